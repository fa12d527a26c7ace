//! The report: Markdown for people, JSON for programs.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use serde::Serialize;

use super::sample::{Phase, Summary};
use super::verdict::{Measured, SteadyState, Verdict};

/// All that is worth keeping.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) squall_version: &'static str,
    pub(super) hypothesis: &'static str,
    pub(super) verdict: Verdict,
    pub(super) reasons: Vec<String>,
    pub(super) fragile: bool,
    pub(super) seed: u64,
    pub(super) requests_per_second: u32,
    pub(super) steady_state: SteadyState,
    pub(super) measured: Measured,
    /// The curl lines of the story, in order.
    pub(super) commands: Vec<String>,
}

/// Writes `report.md` and `report.json`; gives the path of the first.
pub(super) fn write(directory: Option<&Path>, report: &Report) -> anyhow::Result<PathBuf> {
    let directory = directory.map_or_else(directory_new, Path::to_path_buf);
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let json = serde_json::to_string_pretty(report)? + "\n";
    for (name, text) in [("report.json", json), ("report.md", markdown(report))] {
        let file = directory.join(name);
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(directory.join("report.md"))
}

fn directory_new() -> PathBuf {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    std::env::temp_dir().join(format!("squall-demo-{since}-{}", std::process::id()))
}

fn markdown(report: &Report) -> String {
    let mut text = String::new();
    let steady = &report.steady_state;
    let (ratio, p99) = (steady.success_ratio_min * 100.0, steady.p99_seconds_below * 1000.0);
    let kind =
        if report.fragile { "fragile (no timeout, no fallback)" } else { "robust (timeout and cached fallback)" };
    let _ = write!(
        text,
        "# Squall demo: hypothesis {}\n\n> {}\n\n- Why: {}\n- Steady state: success ratio at least {ratio:.0} %, p99 below {p99:.0} ms\n\
         - Service A: {kind}\n- Load: {} requests/s, open; latency from when a request was due\n- Seed: {}\n- Squall {}\n\n",
        report.verdict.as_str(),
        report.hypothesis,
        report.reasons.join("; "),
        report.requests_per_second,
        report.seed,
        report.squall_version,
    );
    text.push_str("| phase | requests | success | p50 | p99 | max | from cache | injected faults |\n");
    text.push_str("|---|---:|---:|---:|---:|---:|---:|---:|\n");
    let measured = &report.measured;
    row(&mut text, Phase::Baseline, &measured.baseline, 0.0);
    row(&mut text, Phase::Fault, &measured.fault, measured.injected);
    row(&mut text, Phase::Recovery, &measured.recovery, measured.injected_after_rollback);
    text.push_str("\nThe same by hand, while traffic flows:\n\n```sh\n");
    for command in &report.commands {
        let _ = writeln!(text, "{command}");
    }
    text.push_str("```\n");
    text
}

fn row(text: &mut String, phase: Phase, summary: &Summary, injected: f64) {
    let ms = |seconds: f64| format!("{:.1} ms", seconds * 1000.0);
    let _ = writeln!(
        text,
        "| {} | {} | {:.2} % | {} | {} | {} | {} | {injected:.0} |",
        phase.as_str(),
        summary.requests,
        summary.success_ratio * 100.0,
        ms(summary.p50_seconds),
        ms(summary.p99_seconds),
        ms(summary.max_seconds),
        summary.from_cache,
    );
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::demo::verdict::STEADY_STATE;

    #[test]
    fn both_files_are_written_and_say_the_same() {
        let summary = Summary { requests: 400, success_ratio: 1.0, ..Summary::default() };
        let (baseline, fault, recovery) = (summary.clone(), summary.clone(), summary);
        let report = Report {
            squall_version: "0.0.0",
            hypothesis: "A stays steady",
            verdict: Verdict::NotHeld,
            reasons: vec!["p99 2000 ms is not below 500 ms".to_owned()],
            fragile: true,
            seed: 1,
            requests_per_second: 200,
            steady_state: STEADY_STATE,
            measured: Measured { baseline, fault, recovery, injected: 21.0, injected_after_rollback: 0.0 },
            commands: vec!["curl -X DELETE http://127.0.0.1:1/v1/rules/slow-b".to_owned()],
        };
        let directory = tempfile::tempdir().unwrap();
        let path = write(Some(&directory.path().join("new")), &report).unwrap();
        let markdown = std::fs::read_to_string(&path).unwrap();
        assert!(markdown.starts_with("# Squall demo: hypothesis NOT HELD\n"), "{markdown}");
        assert!(markdown.contains("curl -X DELETE"), "{markdown}");
        let json: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(path.with_extension("json")).unwrap()).unwrap();
        assert_eq!((&json["verdict"], &json["measured"]["injected"]), (&"not_held".into(), &21.0.into()));
    }
}
