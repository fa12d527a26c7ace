//! One run: the same load all the time, and an experiment every other moment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use squall_benches::process::{PROXY_CORE, Process, free_address, pinned, run_on_load_core};

use crate::Options;
use crate::api::Api;
use crate::load::{Counts, Load};
use crate::services;

const NAME: &str = "measured";

/// Of one moment.
#[derive(Clone, Copy, Debug)]
struct Cost {
    /// Of all of Squall, for each request to A.
    us: f64,
    /// Of threads that are no workers.
    us_beside_workers: f64,
    requests_per_second: f64,
}

/// Measures, and says what came of it.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    run_on_load_core()?;
    std::fs::create_dir_all(&options.out).with_context(|| format!("cannot make {}", options.out.display()))?;

    let (to_a, to_b, control) = (free_address()?, free_address()?, free_address()?);
    let (b, a) = (services::b()?, services::a(to_b)?);
    let config = options.out.join("squall.yaml");
    let text = format!(
        "version: 1\ncontrol: {{address: '{control}'}}\n\
         listeners:\n- {{name: to-a, address: '{to_a}', direction: inbound, cluster: a}}\n\
         - {{name: to-b, address: '{to_b}', cluster: b}}\n\
         clusters: [{{name: a, endpoints: ['{a}']}}, {{name: b, endpoints: ['{b}']}}]\n"
    );
    std::fs::write(&config, text)?;
    let mut command = pinned(&[PROXY_CORE], &options.squall);
    command.arg("run").arg("-c").arg(&config).args(["--workers", &options.workers.to_string()]);
    let mut squall = Process::start(&mut command, &options.out.join("log"))?;
    squall.wait_for(control)?;
    squall.wait_for(to_a)?;
    let Options { connections, rate, without_ids, .. } = *options;
    let counts = Load { to: to_a, connections, rate, without_ids }.start();
    let measured = Measured { options, squall, api: Api(control), counts: &counts };
    measured.pause(1)?;
    measured.rounds()
}

struct Measured<'a> {
    options: &'a Options,
    squall: Process,
    api: Api,
    counts: &'a Counts,
}

impl Measured<'_> {
    fn rounds(&self) -> anyhow::Result<()> {
        say("| round | µs without | µs with | of it beside workers | more | requests/s |");
        say("|---|---|---|---|---|---|");
        let (mut more, mut report) = (Vec::new(), Value::Null);
        for round in 1..=self.options.rounds {
            let without = self.without()?;
            let (with, told) = self.with()?;
            let ratio = 100.0 * (with.us / without.us - 1.0);
            more.push(ratio);
            report = told;
            say(&format!(
                "| {round} | {:.2} | {:.2} | {:.2} (without: {:.2}) | {ratio:+.1} % | {:.0} |",
                without.us, with.us, with.us_beside_workers, without.us_beside_workers, with.requests_per_second
            ));
        }
        more.sort_by(f64::total_cmp);
        say(&format!("\nmedian {:+.1} %; the last experiment: {}", more[more.len() / 2], report["join"]));
        Ok(())
    }

    /// With the rule of the experiment, but without one.
    fn without(&self) -> anyhow::Result<Cost> {
        self.api.call("PUT", "/v1/rules/same", &rule("same"))?;
        self.pause(1)?;
        let cost = self.measure()?;
        self.api.call("DELETE", "/v1/rules/same", &Value::Null)?;
        Ok(cost)
    }

    /// With an experiment whose faults flow; and its report.
    fn with(&self) -> anyhow::Result<(Cost, Value)> {
        let path = format!("/v1/experiments/{NAME}");
        self.api.call("PUT", &path, &self.document())?;
        self.api.call("POST", &format!("{path}/start"), &Value::Null)?;
        self.api.until(NAME, |status| status["phase"] == "injecting")?;
        // What waits for a while has to be there first.
        self.pause(7)?;
        let cost = self.measure()?;
        self.api.call("POST", &format!("{path}/stop"), &Value::Null)?;
        self.api.until(NAME, |status| !status["verdict"].is_null())?;
        Ok((cost, self.api.call("GET", &format!("{path}/report"), &Value::Null)?))
    }

    fn document(&self) -> Value {
        let statement = json!({"metric": "p99", "direction": "inbound", "below": "10s"});
        let mut document = json!({
            "apiVersion": "squall.dev/v1alpha1", "kind": "Experiment", "metadata": {"name": NAME},
            "spec": {
                "hypothesis": "What it costs is known",
                "steady_state": [{"name": "steady", "condition": statement}],
                "baseline": "1s",
                "method": [{"rules": [rule("measured")], "hold": format!("{}s", self.options.seconds + 30)}],
                "recovery": "1s",
                "expect": {"harmed": 100},
                "minimum_requests": 1,
            }
        });
        if let Some(n) = self.options.joined_per_second {
            document["spec"]["joined_per_second"] = n.into();
        }
        document
    }

    fn measure(&self) -> anyhow::Result<Cost> {
        let seconds = self.options.seconds;
        let (before, answered) = (self.used()?, self.counts.answered.load(Relaxed));
        self.pause(seconds)?;
        let (after, requests) = (self.used()?, self.counts.answered.load(Relaxed) - answered);
        ensure!(self.counts.ended.load(Relaxed) == 0, "connections of the load have ended");
        let each = |is_wanted: fn(&str) -> bool| {
            let used = after.iter().filter(|(_, (name, _))| is_wanted(name));
            let used = used.map(|(thread, (_, us))| us - before.get(thread).map_or(0.0, |(_, us)| *us));
            used.sum::<f64>() / requests as f64
        };
        Ok(Cost {
            us: each(|_| true),
            us_beside_workers: each(|name| !name.contains("worker")),
            requests_per_second: requests as f64 / seconds as f64,
        })
    }

    /// What each thread used so far, with its name.
    fn used(&self) -> anyhow::Result<BTreeMap<OsString, (String, f64)>> {
        let used = self.squall.cpu_us_of_threads()?;
        used.into_iter().map(|(thread, us)| Ok((thread.clone(), (self.squall.name_of_thread(&thread)?, us)))).collect()
    }

    fn pause(&self, seconds: u64) -> anyhow::Result<()> {
        let end = std::time::Instant::now() + Duration::from_secs(seconds);
        while let Some(left) = end.checked_duration_since(std::time::Instant::now()) {
            std::thread::park_timeout(left);
        }
        ensure!(self.counts.ended.load(Relaxed) == 0, "connections of the load have ended");
        Ok(())
    }
}

/// One that takes part in each twentieth call, and does nothing to it.
fn rule(name: &str) -> Value {
    json!({"name": name, "match": {"cluster": "b"}, "percentage": 5, "fault": {"delay": "0s"}})
}

#[expect(clippy::print_stdout, reason = "what the command is for")]
fn say(line: &str) {
    println!("{line}");
}
