//! `squall experiment`: experiments of a running squall.

mod document;
mod follow;
mod view;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};
use squall_control::ReportFormat;

use crate::client::{Call, send_blocking};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, Format};
use crate::verb::{ApiArgs, EPILOGUE};

pub(crate) use document::{Document, path_of};
pub(crate) use follow::{OnInterrupt, follow};
pub(crate) use view::{ending, plan};

/// Arguments of `squall experiment`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "\
Examples:
  squall experiment run slow-b.yaml                   runs it; exit 0 only if the hypothesis held
  squall experiment run slow-b.yaml --dry-run         what it would reach; nothing is injected
  squall experiment ls                                all experiments, and how they are
  squall experiment wait slow-b                       follows a run that was started elsewhere
  squall experiment stop slow-b                       its faults end at once
  squall experiment report slow-b -o html > report.html
  squall config init --experiment slow-b.yaml         one to begin with",
    after_long_help = EPILOGUE
)]
pub(crate) struct ExperimentArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    api: ApiArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Hands an experiment to the running squall, starts it and follows it to its end; Ctrl-C stops it
    Run(RunArgs),
    /// Lists experiments
    Ls(Shown),
    /// Shows an experiment
    Get(One),
    /// Hands an experiment to the running squall, and starts nothing
    Put {
        /// Its document, YAML or JSON; `-` is stdin
        file: PathBuf,
        #[command(flatten)]
        shown: Shown,
    },
    /// Starts an experiment that the running squall has, and does not wait for its end
    Start(One),
    /// Waits for the end of a run and says what came of it; Ctrl-C leaves the run alone
    Wait(One),
    /// Stops a run: its faults end at once
    Stop {
        #[command(flatten)]
        one: One,
        /// For the report
        #[arg(long)]
        reason: Option<String>,
    },
    /// Notes something in the report of the run under way
    Note {
        #[command(flatten)]
        one: One,
        /// What happened
        text: String,
    },
    /// Removes an experiment with its reports
    Rm(One),
    /// Writes the report of the last run to stdout
    Report {
        #[command(flatten)]
        named: Named,
        /// Its form
        #[arg(short, long = "output", value_parser = form_parser(), default_value = "markdown")]
        output: ReportFormat,
        /// Of this run [default: the last one]
        #[arg(long)]
        run: Option<u64>,
    },
}

#[derive(Debug, Args)]
struct Named {
    /// The name of the experiment
    name: String,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, Args)]
struct Shown {
    /// How the answer is written
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

/// An experiment by its name, and how the answer is written.
#[derive(Debug, Args)]
struct One {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The document of the experiment, YAML or JSON; `-` is stdin
    file: PathBuf,
    /// Says what it would do and which traffic it would reach, and injects nothing
    #[arg(long)]
    dry_run: bool,
    /// Writes the report there in all forms
    #[arg(long, value_name = "DIR")]
    report_dir: Option<PathBuf>,
    #[command(flatten)]
    shown: Shown,
}

/// The forms of a report, by name.
fn form_parser() -> impl TypedValueParser<Value = ReportFormat> {
    PossibleValuesParser::new(ReportFormat::ALL.map(ReportFormat::name)).try_map(|name| name.parse::<ReportFormat>())
}

/// Does it.
pub(crate) fn execute(args: &ExperimentArgs) -> Outcome {
    let api = &args.api;
    let of = |method: Method, one: &One, rest: &str| Call::new(method, path_of(&one.named.name, rest));
    match &args.verb {
        Verb::Run(wanted) => run(api, wanted),
        Verb::Ls(shown) => api.call(&Call::new(Method::GET, "/v1/experiments"), shown.output, view::list),
        Verb::Get(one) => api.call(&of(Method::GET, one, ""), one.shown.output, view::one),
        Verb::Put { file, shown } => put(api, file, *shown),
        Verb::Start(one) => api.call(&of(Method::POST, one, "/start"), one.shown.output, view::one),
        Verb::Wait(one) => wait(api, one),
        Verb::Stop { one, reason } => {
            let call = of(Method::POST, one, "/stop");
            let call = match reason {
                Some(reason) => call.with_body(json!({ "reason": reason })),
                None => call,
            };
            api.call(&call, one.shown.output, view::one)
        }
        Verb::Note { one, text } => {
            let call = of(Method::POST, one, "/notes").with_body(json!({ "text": text }));
            api.call(&call, one.shown.output, view::one)
        }
        Verb::Rm(one) => {
            let removed = |_: &Value| format!("experiment {} is removed, with its reports", one.named.name);
            api.call(&of(Method::DELETE, one, ""), one.shown.output, removed)
        }
        Verb::Report { named, output, run } => report(api, &named.name, *output, *run),
    }
}

fn put(api: &ApiArgs, file: &Path, shown: Shown) -> Outcome {
    let document = Document::read(file)?;
    if api.curl {
        output::data(&document.put_call().curl(&api.control, &api.credentials))?;
        return Ok(Exit::Ok);
    }
    let put = document.put(api)?;
    output::value(shown.output, &put, || view::one(&put))?;
    Ok(Exit::Ok)
}

fn run(api: &ApiArgs, wanted: &RunArgs) -> Outcome {
    let document = Document::read(&wanted.file)?;
    let name = document.name();
    let start = Call::new(Method::POST, path_of(name, if wanted.dry_run { "/start?dry_run=true" } else { "/start" }));
    if api.curl {
        for call in [&document.put_call(), &start] {
            output::data(&call.curl(&api.control, &api.credentials))?;
        }
        return Ok(Exit::Ok);
    }
    document.put(api)?;
    if wanted.dry_run {
        return api.call(&start, wanted.shown.output, plan);
    }
    let started = send_blocking(&api.control, &api.credentials, &start)?.into_value()?;
    output::say(&format!("run {} of {name}; Ctrl-C stops it", started["status"]["run"]));
    let report = follow(api, name, OnInterrupt::StopRun, None)?;
    if let Some(directory) = &wanted.report_dir {
        write_reports(api, name, directory)?;
    }
    output::value(wanted.shown.output, &report, || ending(&report, wanted.report_dir.as_deref()))?;
    Ok(exit_of(&report))
}

/// Asks for the report until there is a verdict, that of the last run when none is under way.
fn wait(api: &ApiArgs, one: &One) -> Outcome {
    let name = &one.named.name;
    if api.curl {
        output::data(&report_call(name, ReportFormat::Json, None).curl(&api.control, &api.credentials))?;
        return Ok(Exit::Ok);
    }
    let report = follow(api, name, OnInterrupt::EndProcess, None)?;
    output::value(one.shown.output, &report, || ending(&report, None))?;
    Ok(exit_of(&report))
}

/// Only a hypothesis that held is a success: nothing was shown by a run that says nothing.
pub(crate) fn exit_of(report: &Value) -> Exit {
    if report["verdict"] == "held" { Exit::Ok } else { Exit::CheckFailed }
}

/// The name of the file of a form.
fn file(format: ReportFormat) -> String {
    format!("report.{}", format.file_ending())
}

/// Writes the report of the last run in all forms.
pub(crate) fn write_reports(api: &ApiArgs, name: &str, directory: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    for form in ReportFormat::ALL {
        let file = directory.join(file(form));
        std::fs::write(&file, fetch(api, name, form, None)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn report(api: &ApiArgs, name: &str, format: ReportFormat, run: Option<u64>) -> Outcome {
    if api.curl {
        output::data(&report_call(name, format, run).curl(&api.control, &api.credentials))?;
        return Ok(Exit::Ok);
    }
    output::data(&fetch(api, name, format, run)?)?;
    Ok(Exit::Ok)
}

fn report_call(name: &str, format: ReportFormat, run: Option<u64>) -> Call {
    let run = run.map_or_else(String::new, |run| format!("&run={run}"));
    Call::new(Method::GET, path_of(name, &format!("/report?format={}{run}", format)))
}

fn fetch(api: &ApiArgs, name: &str, format: ReportFormat, run: Option<u64>) -> Result<String, Failure> {
    let reply = send_blocking(&api.control, &api.credentials, &report_call(name, format, run))?;
    if reply.status.is_success() {
        return Ok(String::from_utf8_lossy(&reply.body).into_owned());
    }
    Err(reply.into_value().err().unwrap_or_else(|| Failure::new(Exit::Failure, "no report")))
}
