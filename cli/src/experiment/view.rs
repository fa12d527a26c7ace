//! Experiments, plans and endings as text.

use std::path::Path;

use serde_json::Value;

use crate::output;

const HEADER: [&str; 6] = ["NAME", "PHASE", "RUN", "VERDICT", "FAULTED", "TITLE"];

/// The answer of `GET /v1/experiments`.
pub(super) fn list(answer: &Value) -> String {
    let all = answer["experiments"].as_array().map(Vec::as_slice).unwrap_or_default();
    if all.is_empty() {
        return "no experiments; `squall config init --experiment` writes one to begin with".to_owned();
    }
    output::table(&HEADER, all.iter().map(row))
}

/// An experiment.
pub(super) fn one(experiment: &Value) -> String {
    let status = &experiment["status"];
    let mut text = output::table(&HEADER, [row(status)]);
    for reason in status["reasons"].as_array().into_iter().flatten() {
        text.push_str(&format!("  {}\n", word(reason)));
    }
    if let Some(next) = status["next_start_at"].as_str() {
        text.push_str(&format!("starts by itself at {next}\n"));
    }
    text
}

fn row(status: &Value) -> Vec<String> {
    let verdict = status["verdict"].as_str().map_or_else(|| "-".to_owned(), str::to_uppercase);
    let run = status["run"].as_u64().map_or_else(|| "-".to_owned(), |run| run.to_string());
    vec![
        word(&status["name"]),
        word(&status["phase"]),
        run,
        verdict,
        status["injected"].to_string(),
        word(&status["title"]),
    ]
}

/// The answer of a dry run.
pub(crate) fn plan(plan: &Value) -> String {
    let seconds = |field: &str| format!("{} s", plan[field].as_f64().unwrap_or_default());
    let mut text = format!(
        "{}: {} of baseline, {} of faults, at most {} of recovery. This is the plan; nothing is injected.\n",
        word(&plan["experiment"]),
        seconds("baseline_seconds"),
        seconds("injection_seconds"),
        seconds("recovery_seconds")
    );
    for (title, field) in [("steady state", "steady_state"), ("guards", "guards")] {
        for line in plan[field].as_array().into_iter().flatten() {
            text.push_str(&format!("  {title}: {}\n", word(line)));
        }
    }
    let rows = plan["rules"].as_array().into_iter().flatten().flat_map(|rule| {
        let reaches = rule["reaches"].as_array().map(Vec::as_slice).unwrap_or_default();
        let head =
            [word(&rule["step"]), word(&rule["name"]), format!("{}%", rule["percentage"].as_f64().unwrap_or_default())];
        let row = |reach: Option<&Value>| {
            let rate = |field: &str| {
                reach
                    .and_then(|reach| reach[field].as_f64())
                    .map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"))
            };
            let place = reach.map_or_else(
                || "nothing".to_owned(),
                |reach| format!("{} -> {}", word(&reach["listener"]), word(&reach["cluster"])),
            );
            let mut row = head.to_vec();
            row.extend([place, rate("requests_per_second"), rate("faults_per_second")]);
            row
        };
        if reaches.is_empty() { vec![row(None)] } else { reaches.iter().map(|reach| row(Some(reach))).collect() }
    });
    text.push('\n');
    text.push_str(&output::table(&["STEP", "RULE", "SHARE", "REACHES", "REQUESTS/S", "FAULTS/S"], rows));
    if plan["rules"].as_array().into_iter().flatten().all(|rule| !is_called(rule)) {
        text.push_str("no requests go that way: somebody has to call Service A through Squall while it runs, or it shows nothing\n");
    }
    text
}

/// Whether there is traffic where a rule of a plan reaches.
fn is_called(rule: &Value) -> bool {
    let reaches = rule["reaches"].as_array().into_iter().flatten();
    reaches.into_iter().any(|reach| reach["requests_per_second"].as_f64().is_some_and(|rate| rate > 0.0))
}

/// What came of a run.
pub(crate) fn ending(report: &Value, directory: Option<&Path>) -> String {
    let verdict = report["verdict"].as_str().unwrap_or("none").to_uppercase();
    let mut text = format!("{verdict}: {}\n", word(&report["hypothesis"]));
    for reason in report["reasons"].as_array().into_iter().flatten() {
        text.push_str(&format!("  {}\n", word(reason)));
    }
    let group = |name: &str| {
        let group = &report["groups"][name];
        // The share of nothing is no share.
        let n = group["requests"].as_u64().unwrap_or_default();
        let share = |field: &str| match group[field]["share"].as_f64().filter(|_| n > 0) {
            Some(share) => format!("{:.2} %", share * 100.0),
            None => "-".to_owned(),
        };
        let time = |field: &str| {
            group[field].as_f64().map_or_else(|| "-".to_owned(), |seconds| format!("{:.1} ms", seconds * 1000.0))
        };
        let shares = ["absorbed", "slower", "degraded", "propagated"].map(share);
        [vec![name.to_owned(), n.to_string()], shares.to_vec(), vec![time("p50"), time("p99")]].concat()
    };
    let header = ["GROUP", "REQUESTS", "ABSORBED", "SLOWER", "DEGRADED", "PROPAGATED", "P50", "P99"];
    text.push('\n');
    text.push_str(&output::table(&header, ["faulted", "control", "others", "baseline"].map(group)));
    text.push_str(
        "requests to A: faulted, with a fault in one of A's calls; control, a rule matched and injected nothing;\n\
         others, no rule matched; baseline, all before anything was injected\n",
    );
    if let Some(directory) = directory {
        text.push_str(&format!("\nreport: {}\n", directory.join("report.html").display()));
    }
    text
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}
