//! The story: baseline → fault → measurement → rollback → verdict.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::json;

use super::DemoArgs;
use super::board::{Board, Row};
use super::load::{Load, RATE};
use super::report::{self, Report};
use super::sample::Phase;
use super::scene::Scene;
use super::scrape;
use super::verdict::{Measured, STEADY_STATE, judge};
use crate::client::{self, Base, Call, Credentials};
use crate::exit::{Exit, Failure, Outcome};

const HYPOTHESIS: &str = "A stays within its steady state when 5 % of its calls to B take 2 s";
const RULE: &str = "slow-b";
/// Counts the faults that were really injected.
const INJECTED: &str = "chaos_injected_faults_total";
const REDRAW_EVERY: Duration = Duration::from_millis(200);

/// Plays the whole within `--seconds` and gives the verdict's exit code.
pub(super) fn play(args: &DemoArgs) -> Outcome {
    let begun = Instant::now();
    let scene = Scene::set(args.seed, args.fragile)?;
    let mut stage = Stage::open(&scene, args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let measured = runtime.block_on(stage.perform(begun, args.bound()))?;
    let (verdict, reasons) = judge(&STEADY_STATE, &measured);
    stage.board.tell_verdict(verdict, &reasons)?;
    let report = Report {
        squall_version: env!("CARGO_PKG_VERSION"),
        hypothesis: HYPOTHESIS,
        verdict,
        reasons,
        fragile: args.fragile,
        seed: args.seed,
        requests_per_second: RATE,
        steady_state: STEADY_STATE,
        measured,
        commands: std::mem::take(&mut stage.commands),
    };
    let path = report::write(args.report.as_deref(), &report)?;
    stage.board.tell(&format!("Report: {}", path.display()))?;
    drop(stage);
    scene.strike();
    Ok(verdict.exit())
}

/// How much of the time each phase gets; the rest is for what is between them.
fn length(phase: Phase, bound: Duration) -> Duration {
    let share = match phase {
        Phase::WarmUp => 0.05,
        Phase::Baseline => 0.20,
        Phase::Fault => 0.45,
        Phase::Recovery => 0.17,
    };
    bound.mul_f64(share)
}

struct Stage {
    board: Board,
    load: Load,
    control: Base,
    commands: Vec<String>,
    finished: Vec<Row>,
}

impl Stage {
    fn open(scene: &Scene, args: &DemoArgs) -> Result<Self, Failure> {
        let mut board = Board::new();
        let Scene { a, b, inbound, outbound, control, .. } = scene;
        let kind = if args.fragile {
            "fragile: it waits for B as long as B takes"
        } else {
            "robust: 150 ms timeout, then a cached answer"
        };
        board.tell(&format!(
            "Squall demo ({} s, seed {})\nHypothesis: {HYPOTHESIS}.\nSteady state: success ratio >= 99 %, p99 < 500 ms, \
             seen by A's callers. A is {kind}.\n",
            args.seconds, args.seed
        ))?;
        board.tell(&format!(
            "  load ({RATE}/s) -> squall {inbound} -> A {a} -> squall {outbound} -> B {b}\n  control API and metrics: {control}\n"
        ))?;
        let load = Load::start(*inbound)?;
        Ok(Self { board, load, control: control.clone(), commands: Vec::new(), finished: Vec::new() })
    }

    async fn perform(&mut self, begun: Instant, bound: Duration) -> Result<Measured, Failure> {
        tokio::time::sleep(length(Phase::WarmUp, bound)).await;

        self.board.tell("1. Baseline: no rule. What the callers of A see:")?;
        self.watch(Phase::Baseline, length(Phase::Baseline, bound)).await?;

        self.board.tell("\n2. Fault: 5 % of A's calls to B take 2 s longer, from the next request on.")?;
        let rule = json!({ "match": { "cluster": "service-b" }, "percentage": 5, "fault": { "delay": "2s" } });
        // Before the rule: what is due from here on may be hit by it.
        self.load.enter(Phase::Fault);
        let made = self.call(&Call::new(Method::PUT, rule_path()).with_body(rule)).await?;
        made.into_value()?;
        self.watch(Phase::Fault, length(Phase::Fault, bound)).await?;
        self.show(format!("curl -s {}/metrics | grep {INJECTED}", self.control))?;
        let injected = self.injected().await?;

        self.board.tell("\n3. Rollback: the rule goes, and requests that it holds go on.")?;
        let removed = self.call(&Call::new(Method::DELETE, rule_path())).await?;
        removed.into_value()?;
        let gone = self.call(&Call::new(Method::GET, rule_path())).await?;
        if gone.status != StatusCode::NOT_FOUND {
            let message = format_args!("the rule is still there after its removal ({})", gone.status);
            return Err(Failure::new(Exit::Failure, message));
        }
        let injected_before = self.injected().await?;
        self.watch(Phase::Recovery, length(Phase::Recovery, bound)).await?;
        self.load.stop();
        self.settle(begun, bound).await;
        let injected_after_rollback = (self.injected().await? - injected_before).max(0.0);
        let summary = |phase| self.load.samples().summary(phase);
        let (baseline, fault, recovery) = (Phase::Baseline, Phase::Fault, Phase::Recovery);
        let (baseline, fault, recovery) = (summary(baseline), summary(fault), summary(recovery));
        // What was still open when its phase was last drawn is in these.
        let rows = [
            (Phase::Baseline, &baseline, None),
            (Phase::Fault, &fault, Some(injected)),
            (Phase::Recovery, &recovery, None),
        ];
        let rows = rows.map(|(phase, summary, injected)| Row { phase, summary: summary.clone(), injected });
        self.board.finish(rows.to_vec())?;
        Ok(Measured { baseline, fault, recovery, injected, injected_after_rollback })
    }

    /// Lets a phase last, and shows it.
    async fn watch(&mut self, phase: Phase, length: Duration) -> Result<(), Failure> {
        self.load.enter(phase);
        let end = tokio::time::Instant::now() + length;
        while tokio::time::Instant::now() < end {
            let next = tokio::time::Instant::now() + REDRAW_EVERY;
            tokio::time::sleep_until(next.min(end)).await;
            self.draw(phase, false).await?;
        }
        let row = self.draw(phase, true).await?;
        self.finished.push(row);
        Ok(())
    }

    async fn draw(&mut self, phase: Phase, is_final: bool) -> Result<Row, Failure> {
        let injected = if phase == Phase::Fault { Some(self.injected().await?) } else { None };
        let row = Row { phase, summary: self.load.samples().summary(phase), injected };
        let rows = self.finished.iter().cloned().chain([row.clone()]).collect();
        self.board.draw(rows, is_final)?;
        Ok(row)
    }

    /// Waits for the last answers, as long as there is time.
    async fn settle(&self, begun: Instant, bound: Duration) {
        let reserve = Duration::from_millis(400);
        while self.load.n_in_flight() > 0 && begun.elapsed() + reserve < bound {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Calls the control API, and shows the call.
    async fn call(&mut self, call: &Call) -> Result<client::Reply, Failure> {
        self.show(call.curl(&self.control, &Credentials::default()))?;
        client::send(&self.control, &Credentials::default(), call).await
    }

    fn show(&mut self, line: String) -> std::io::Result<()> {
        self.board.tell_command(&line)?;
        self.commands.push(line);
        Ok(())
    }

    /// Faults that the proxy has counted for the rule, from its metrics.
    async fn injected(&self) -> Result<f64, Failure> {
        let reply = client::send(&self.control, &Credentials::default(), &Call::new(Method::GET, "/metrics")).await?;
        let text = String::from_utf8_lossy(&reply.body);
        Ok(scrape::sum(&text, INJECTED, "rule", RULE).unwrap_or(0.0))
    }
}

fn rule_path() -> String {
    format!("/v1/rules/{RULE}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phases_fit_into_the_time_even_when_it_is_short() {
        for seconds in [6, 20, 600] {
            let bound = Duration::from_secs(seconds);
            let phases: Duration = Phase::ALL.into_iter().map(|phase| length(phase, bound)).sum();
            assert!(phases + Duration::from_millis(600) <= bound, "{seconds} s");
            // Enough requests under fault for a p99.
            assert!(length(Phase::Fault, bound).as_secs_f64() * f64::from(RATE) > 300.0, "{seconds} s");
        }
    }
}
