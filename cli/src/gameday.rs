//! `squall gameday`: experiments, one after the other, with people in between.
//!
//! Each is announced and asked for; while it runs, what is typed is noted in its report, and `abort` ends it. What came of all of
//! them goes into one report.

mod desk;
mod summary;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use http::Method;
use serde_json::Value;
use squall_config::load_game_day_text;
use squall_config::spec::{GameDayDocument, GameDayExperimentSpec};

use crate::client::{Call, send_blocking};
use crate::exit::{Exit, Failure, Outcome};
use crate::experiment::{Document, OnInterrupt, ending, exit_of, follow, path_of, plan, write_reports};
use crate::output;
use crate::source;
use crate::verb::{ApiArgs, EPILOGUE};
use desk::{Answer, Desk};
use summary::Played;

/// Arguments of `squall gameday`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "\
Examples:
  squall gameday checkout.yaml                  announces each experiment and asks before it starts
  squall gameday checkout.yaml --yes            asks nobody, as in a pipeline
  squall gameday checkout.yaml --check          checks all of them, and injects nothing

At each question: go, skip, hold (waits until somebody says go), end (as Ctrl-C does).
While an experiment runs: abort ends it; everything else that is typed is noted in its report.
Exit 0 only if something ran and every hypothesis held.",
    after_long_help = EPILOGUE
)]
pub(crate) struct GameDayArgs {
    /// The document of the game day, YAML or JSON
    file: PathBuf,
    /// Asks nobody
    #[arg(long, conflicts_with = "check")]
    yes: bool,
    /// Checks every experiment against the running squall, says what each would reach, and starts none
    #[arg(long)]
    check: bool,
    /// Where the reports go [default: gameday-NAME in this directory]
    #[arg(long, value_name = "DIR")]
    report_dir: Option<PathBuf>,
    #[command(flatten)]
    api: ApiArgs,
}

/// An experiment of the day.
struct Planned {
    document: Document,
    name: String,
    announcement: String,
}

/// Plays the day.
pub(crate) fn execute(args: &GameDayArgs) -> Outcome {
    let day =
        load_game_day_text(&source::read(&args.file)?).map_err(|problems| source::invalid(&args.file, &problems))?;
    let planned = load_all(&args.file, &day)?;
    if args.api.curl {
        for one in &planned {
            output::data(&one.document.put_call().curl(&args.api.control, &args.api.credentials))?;
            output::data(&start(&one.name).curl(&args.api.control, &args.api.credentials))?;
        }
        return Ok(Exit::Ok);
    }
    // All of them are checked before the first one starts: nobody wants to find out at four o'clock.
    for one in &planned {
        one.document.put(&args.api)?;
    }
    if args.check {
        for one in &planned {
            output::data(&plan(&call(&args.api, &rehearse(&one.name))?))?;
        }
        return Ok(Exit::Ok);
    }
    let name = day.metadata.as_ref().map_or("", |metadata| metadata.name.as_str());
    let directory = args.report_dir.clone().unwrap_or_else(|| PathBuf::from(format!("gameday-{name}")));
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let mut played = Vec::new();
    let ended = play(args, &planned, &directory, &mut played);
    // What has been found out stays found out, whatever came then.
    if ended.is_ok() || played.iter().any(|played| played.report.is_some()) {
        played.extend(planned.iter().skip(played.len()).map(|one| Played::not_run(&one.name)));
        summary::write(&directory, &day, &played)?;
        output::data(&summary::table(&played))?;
        output::say(&format!("report: {}", directory.join("report.md").display()));
    }
    ended.map(|()| verdict(&played))
}

/// One after the other, until all were played or people have had enough.
fn play(args: &GameDayArgs, planned: &[Planned], directory: &Path, played: &mut Vec<Played>) -> Result<(), Failure> {
    let mut desk = Desk::open(args.yes)?;
    for (index, one) in planned.iter().enumerate() {
        announce(&args.api, one, (index + 1, planned.len()))?;
        match desk.ask(&format!("start {}? go, skip, hold or end", one.name))? {
            Answer::Go => {}
            Answer::Skip => {
                played.push(Played::not_run(&one.name));
                continue;
            }
            Answer::End => break,
        }
        call(&args.api, &start(&one.name))?;
        played.push(Played::left(&one.name));
        let report = follow(&args.api, &one.name, OnInterrupt::StopRun, Some(&mut desk.lines))?;
        played.pop();
        played.push(Played::of(&one.name, report.clone()));
        output::say(&ending(&report, None));
        write_reports(&args.api, &one.name, &directory.join(&one.name))?;
    }
    Ok(())
}

/// As bad as the worst of them.
fn verdict(played: &[Played]) -> Exit {
    let ran = played.iter().filter_map(|played| played.report.as_ref());
    let all_held = ran.clone().all(|report| exit_of(report) == Exit::Ok);
    if all_held && ran.count() > 0 { Exit::Ok } else { Exit::CheckFailed }
}

fn load_all(file: &Path, day: &GameDayDocument) -> Result<Vec<Planned>, Failure> {
    let beside = file.parent().unwrap_or(Path::new(""));
    let experiments = day.spec.as_ref().map_or(&[][..], |spec| &spec.experiments[..]);
    let load = |GameDayExperimentSpec { file, announce }: &GameDayExperimentSpec| {
        let document = Document::read(&beside.join(file))?;
        let hypothesis = document.written.spec.as_ref().and_then(|spec| spec.hypothesis.clone());
        let announcement = announce.clone().or(hypothesis).unwrap_or_default();
        Ok(Planned { name: document.name().to_owned(), announcement, document })
    };
    experiments.iter().map(load).collect()
}

fn announce(api: &ApiArgs, one: &Planned, (n, of): (usize, usize)) -> Result<(), Failure> {
    output::say(&format!("\n== {n} of {of}: {}\n{}\n", one.name, one.announcement));
    output::say(&plan(&call(api, &rehearse(&one.name))?));
    Ok(())
}

fn start(name: &str) -> Call {
    Call::new(Method::POST, path_of(name, "/start"))
}

/// Says what a start would do.
fn rehearse(name: &str) -> Call {
    Call::new(Method::POST, path_of(name, "/start?dry_run=true"))
}

fn call(api: &ApiArgs, call: &Call) -> Result<Value, Failure> {
    send_blocking(&api.control, &api.credentials, call)?.into_value()
}
