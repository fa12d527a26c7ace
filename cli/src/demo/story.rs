//! The story: baseline → faults → recovery → verdict, as the experiment goes through its phases.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use http::Method;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::args::DemoArgs;
use super::chosen::Chosen;
use super::load::{Load, RATE};
use super::sample::DemoPhase;
use super::scene::Scene;
use super::table::{LiveTable, Row};
use crate::client::{self, Base, Call, Credentials};
use crate::exit::{Exit, Failure, Outcome};
use crate::experiment::{exit_of, path_of, write_reports};
use crate::verb::ApiArgs;

/// Connections are made and caches are filled before anything is measured.
const WARM_UP: Duration = Duration::from_millis(300);
/// How often the experiment is asked how it is, and the table is drawn.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The last answers are waited for so long.
const SETTLE: Duration = Duration::from_millis(200);

/// Plays the whole and gives the exit code of the verdict.
pub(super) fn play(args: &DemoArgs) -> Outcome {
    let chosen = Chosen::load(&args.experiment)?;
    let chosen = if args.is_scaled() { chosen.within(args.bound()) } else { chosen };
    let scene = Scene::set(args.seed, args.fragile)?;
    let mut stage = Stage::open(&scene, args, chosen)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(stage.perform()).inspect_err(|_| {
        if args.report.is_none() {
            drop(std::fs::remove_dir_all(&stage.directory));
        }
    })?;
    let api = ApiArgs { control: scene.control.clone(), curl: false, credentials: Credentials::default() };
    write_reports(&api, &stage.chosen.name, &stage.directory)?;
    std::fs::write(stage.directory.join("commands.sh"), stage.commands.join("\n") + "\n")?;
    stage.table.tell_verdict(&report)?;
    stage.table.tell(&format!("Report: {}", stage.directory.join("report.html").display()))?;
    drop(stage);
    scene.strike();
    Ok(exit_of(&report))
}

struct Stage {
    table: LiveTable,
    load: Load,
    control: Base,
    chosen: Chosen,
    directory: PathBuf,
    commands: Vec<String>,
    finished: Vec<Row>,
}

impl Stage {
    fn open(scene: &Scene, args: &DemoArgs, chosen: Chosen) -> Result<Self, Failure> {
        let mut table = LiveTable::new();
        let Scene { a, b, inbound, outbound, control, .. } = scene;
        let kind = if args.fragile {
            "fragile: it waits for B as long as B takes"
        } else {
            "robust: 150 ms timeout, then a cached answer"
        };
        let Chosen { hypothesis, steady_state, .. } = &chosen;
        table.tell(&format!(
            "Squall demo (seed {})\nHypothesis: {hypothesis}.\nSteady state: {steady_state}, seen by A's callers. A is {kind}.\n",
            args.seed
        ))?;
        let b = b.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        table.tell(&format!(
            "  load ({RATE}/s) -> squall {inbound} -> A {a} -> squall {outbound} -> B {b}\n  control API and metrics: {control}\n"
        ))?;
        let directory = args.report.clone().unwrap_or_else(directory_new);
        std::fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let load = Load::start(*inbound)?;
        let (commands, finished) = (Vec::new(), Vec::new());
        Ok(Self { table, load, control: control.clone(), chosen, directory, commands, finished })
    }

    async fn perform(&mut self) -> Result<Value, Failure> {
        tokio::time::sleep(WARM_UP).await;
        let file = self.directory.join("experiment.json");
        std::fs::write(&file, format!("{:#}\n", json!(self.chosen.document)))
            .with_context(|| format!("cannot write {}", file.display()))?;
        let of = |rest: &str| path_of(&self.chosen.name, rest);
        let (put, start) = (of(""), of("/start"));

        self.table.tell("1. Baseline: nothing is injected. What the callers of A see:")?;
        self.load.enter(DemoPhase::Baseline);
        self.show(format!("curl -X PUT {}{put} -d @{}", self.control, file.display()))?;
        let document = Call::new(Method::PUT, put).with_body(json!(self.chosen.document));
        client::send(&self.control, &Credentials::default(), &document).await?.into_value()?;
        self.call(&Call::new(Method::POST, start)).await?;
        let report = self.watch().await?;
        self.load.stop();
        self.settle().await;
        let phases = [DemoPhase::Baseline, DemoPhase::Fault, DemoPhase::Recovery];
        let rows = phases.into_iter().filter(|phase| self.finished.iter().any(|row| row.phase == *phase));
        let injected = faulted(&report["rules"]);
        self.table.finish(rows.map(|phase| self.row(phase, injected)).collect())?;
        self.show(format!("curl {}{}", self.control, path_of(&self.chosen.name, "/report?format=markdown")))?;
        Ok(report)
    }

    /// Follows the experiment to its end, and shows it.
    async fn watch(&mut self) -> Result<Value, Failure> {
        let mut phase = DemoPhase::Baseline;
        let (mut interrupts, mut is_stopping) = (signal(SignalKind::interrupt())?, false);
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = interrupts.recv() => self.stop(&mut is_stopping).await?,
            }
            let status = self.ask("").await?["status"].take();
            let now = match status["phase"].as_str().unwrap_or_default() {
                "injecting" => DemoPhase::Fault,
                "recovering" | "done" | "aborted" => DemoPhase::Recovery,
                _ => DemoPhase::Baseline,
            };
            let injected = status["injected"].as_u64().unwrap_or(0);
            if now != phase {
                self.load.enter(now);
                let row = self.row(phase, injected);
                self.finished.push(row);
                self.draw(None, injected, true)?;
                phase = now;
                self.tell_phase(phase)?;
            }
            self.draw(Some(phase), injected, false)?;
            if !status["verdict"].is_null() {
                let row = self.row(phase, injected);
                self.finished.push(row);
                return self.ask("/report").await;
            }
        }
    }

    /// The first Ctrl-C ends the faults, and what was seen so far becomes the report; the second one leaves it at that.
    async fn stop(&mut self, is_stopping: &mut bool) -> Result<(), Failure> {
        if std::mem::replace(is_stopping, true) {
            return Err(Failure::new(Exit::Failure, "left before the report was there"));
        }
        self.table.tell("\nInterrupted. The experiment is stopped; once more leaves without its report.")?;
        match self.call(&Call::new(Method::POST, path_of(&self.chosen.name, "/stop"))).await {
            // It has just ended by itself.
            Err(failure) if failure.exit == Exit::Conflict => Ok(()),
            other => other.map(drop),
        }
    }

    fn tell_phase(&mut self, phase: DemoPhase) -> Result<(), Failure> {
        match phase {
            DemoPhase::Fault => {
                self.table.tell("\n2. Faults: from the next call on, on calls that are chosen by chance.")?;
                self.show(format!("curl -s {}/metrics | grep chaos_injected_faults_total", self.control))?;
                for rule in self.chosen.rules.clone() {
                    self.show(
                        Call::new(Method::GET, format!("/v1/rules/{rule}"))
                            .curl(&self.control, &Credentials::default()),
                    )?;
                }
            }
            DemoPhase::Recovery => {
                self.table.tell("\n3. Recovery: the rules are gone, and requests that they held go on.")?;
            }
            DemoPhase::WarmUp | DemoPhase::Baseline => {}
        }
        Ok(())
    }

    fn row(&self, phase: DemoPhase, injected: u64) -> Row {
        let summary = self.load.samples().summary(phase);
        Row { phase, summary, injected: (phase == DemoPhase::Fault).then_some(injected) }
    }

    fn draw(&mut self, phase: Option<DemoPhase>, injected: u64, is_final: bool) -> Result<(), Failure> {
        let row = phase.map(|phase| self.row(phase, injected));
        let rows = self.finished.iter().cloned().chain(row).collect();
        Ok(self.table.draw(rows, is_final)?)
    }

    /// Waits a moment for the last answers.
    async fn settle(&self) {
        let begun = Instant::now();
        while self.load.n_in_flight() > 0 && begun.elapsed() < SETTLE {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn ask(&self, rest: &str) -> Result<Value, Failure> {
        let call = Call::new(Method::GET, path_of(&self.chosen.name, rest));
        client::send(&self.control, &Credentials::default(), &call).await?.into_value()
    }

    /// Calls the control API, and shows the call.
    async fn call(&mut self, call: &Call) -> Result<Value, Failure> {
        self.show(call.curl(&self.control, &Credentials::default()))?;
        client::send(&self.control, &Credentials::default(), call).await?.into_value()
    }

    fn show(&mut self, line: String) -> std::io::Result<()> {
        self.table.tell_command(&line)?;
        self.commands.push(line);
        Ok(())
    }
}

fn faulted(rules: &Value) -> u64 {
    rules.as_array().into_iter().flatten().filter_map(|rule| rule["injected"].as_u64()).sum()
}

fn directory_new() -> PathBuf {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    std::env::temp_dir().join(format!("squall-demo-{since}-{}", std::process::id()))
}
