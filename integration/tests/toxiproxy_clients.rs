//! Clients that were written for Toxiproxy, before Squall: for Node, for Python, and Chaos Toolkit's driver. Redis is behind it.
//!
//! What they do, and what has to come of it, stands in the scripts of `integration/clients`; those pass with Toxiproxy, too.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use squall_integration::programs::{self, Program, python, python_program};
use squall_integration::{Settings, Squall};

/// The seconds after which a script that hangs is ended.
const DEADLINE: &str = "150";

/// Squall that nobody has told anything yet, and a Redis that proxies can lead to.
struct World {
    squall: Squall,
    redis: Program,
}

impl World {
    /// `None`, with a line that says so, when it is left out.
    fn new(test: &str) -> Option<Self> {
        let redis = Program::redis(test)?;
        Some(Self { squall: Squall::start_without_file(&["--toxiproxy", "127.0.0.1:0"]), redis })
    }

    /// Runs a script that must succeed.
    fn run(&self, program: &Command, script: &str) {
        let mut command = self.command(program);
        command.arg(programs::script(script));
        let done = command.output().expect("`timeout` is there");
        let said = [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(done.status.success(), "{command:?}: {} (124: it hung)\n{said}", done.status);
    }

    /// The program and its arguments, ended when it takes too long, with the addresses in its environment.
    fn command(&self, program: &Command) -> Command {
        let mut command = Command::new("timeout");
        command.arg(DEADLINE).arg(program.get_program()).args(program.get_args());
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("TOXIPROXY_URL", format!("http://{}", self.squall.toxiproxy().address));
        command.env("REDIS", self.redis.address.to_string()).env("PYTHONDONTWRITEBYTECODE", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

fn in_node(test: &str, script: &str) {
    let Some(mut node) = programs::node(test) else { return };
    let Some(world) = World::new(test) else { return };
    node.arg("--test-reporter=spec");
    world.run(&node, &format!("node/{script}"));
}

fn in_python(test: &str, script: &str) {
    let Some(python) = python(test) else { return };
    let Some(world) = World::new(test) else { return };
    world.run(&Command::new(python), &format!("toxiproxy_python/{script}"));
}

#[test]
fn node_proxies() {
    in_node("node_proxies", "proxies.js");
}

#[test]
fn node_toxics() {
    in_node("node_toxics", "toxics.js");
}

#[test]
fn node_refusals() {
    in_node("node_refusals", "refusals.js");
}

#[test]
fn node_effects() {
    in_node("node_effects", "effects.js");
}

#[test]
fn python_proxies() {
    in_python("python_proxies", "proxies.py");
}

#[test]
fn python_effects() {
    in_python("python_effects", "effects.py");
}

/// The journal of `chaos run` with these arguments.
fn chaos(world: &World, program: &Path, document: &Path, more: &[(&str, &str)], arguments: &[&str]) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let mut command = world.command(&Command::new(program));
    command.args(["--no-version-check", "--no-log-file", "run"]).arg(document).args(arguments);
    command.envs(more.iter().copied()).env("HOME", directory.path()).current_dir(directory.path());
    let done = command.output().expect("`timeout` is there");
    let journal = std::fs::read(directory.path().join("journal.json"));
    let said = String::from_utf8_lossy(&done.stderr);
    let journal: Value = serde_json::from_slice(&journal.unwrap_or_else(|_| panic!("{said}"))).unwrap();
    let of_status = if journal["deviated"] == true { Some(1) } else { Some(0) };
    assert_eq!(done.status.code(), of_status, "{said}");
    journal
}

fn toxic(name: &str, kind: &str, toxicity: u8, attributes: &Value) -> Value {
    json!({ "name": name, "type": kind, "stream": "downstream", "toxicity": toxicity, "attributes": attributes })
}

/// What each activity of `every_action.json` has to come to: a ping as `redis-cli` says it, everything else as the driver gives it.
fn every_outcome(upstream: &str) -> Vec<(&'static str, Value)> {
    let toxics = json!([
        toxic("bandwidth", "bandwidth", 1, &json!({ "rate": 1 })),
        toxic("slow-close", "slow_close", 1, &json!({ "delay": 100 })),
        toxic("slicer", "slicer", 1, &json!({ "average_size": 2, "size_variation": 1, "delay": 1000 })),
        toxic("never", "timeout", 0, &json!({ "timeout": 0 })),
    ]);
    let (pong, closed) = (json!("PONG"), json!("Error: Server closed the connection"));
    vec![
        ("not-there-yet", json!(false)),
        ("create", json!(true)),
        ("there", json!(true)),
        ("its-upstream", json!(upstream)),
        ("ping", pong.clone()),
        ("latency", json!(true)),
        ("ping-with-latency", pong.clone()),
        ("delete-latency", json!(true)),
        ("delete-latency-again", json!(false)),
        ("ping-without-latency", pong.clone()),
        ("limiter", json!(true)),
        ("ping-with-limiter", closed.clone()),
        ("delete-limiter", json!(true)),
        ("timeout", json!(true)),
        ("ping-with-timeout", closed),
        ("delete-timeout", json!(true)),
        ("reset", json!(true)),
        ("ping-with-reset", json!("Error: Connection reset by peer")),
        ("delete-reset", json!(true)),
        ("bandwidth", json!(true)),
        ("slow-close", json!(true)),
        ("slicer", json!(true)),
        ("never", json!(true)),
        ("ping-with-four-toxics", pong.clone()),
        ("four-toxics", toxics),
        ("disable", json!(true)),
        ("disabled", json!(false)),
        ("ping-disabled", json!("Connection refused")),
        ("enable", json!(true)),
        ("ping-enabled", pong),
        ("elsewhere", json!(true)),
        ("ping-elsewhere", json!("closed")),
        ("back", json!(true)),
        ("disable-again", json!(true)),
        ("reset-all", json!(true)),
        ("no-toxics", json!([])),
    ]
}

fn outcome_of(run: &Value) -> Value {
    let Some(text) = run["output"]["stdout"].as_str() else { return run["output"].clone() };
    // The line names the port.
    let refused = "Connection refused";
    if text.contains(refused) {
        return json!(refused);
    }
    // A connection that is closed at once is so before or after `PING` came, and then it is reset.
    let is_closed = text.contains("closed the connection") || text.contains("reset by peer");
    if run["activity"]["name"] == "ping-elsewhere" && is_closed {
        return json!("closed");
    }
    json!(text.trim())
}

#[test]
fn every_action_of_chaos_toolkit() {
    let test = "every_action_of_chaos_toolkit";
    let (Some(program), Some(_)) = (python_program("chaos", test), programs::find("redis-cli", test)) else { return };
    let Some(world) = World::new(test) else { return };
    let (host, port) = (world.redis.address.ip().to_string(), world.redis.address.port().to_string());
    let document = programs::script("chaostoxi/every_action.json");
    let redis = [("UPSTREAM_HOST", host.as_str()), ("UPSTREAM_PORT", port.as_str())];
    let journal = chaos(&world, &program, &document, &redis, &[]);
    assert_eq!((&journal["status"], &journal["deviated"]), (&json!("completed"), &json!(false)), "{journal:#}");
    let runs = journal["run"].as_array().unwrap();
    let expected = every_outcome(&world.redis.address.to_string());
    assert_eq!(runs.len(), expected.len());
    for (run, (name, outcome)) in runs.iter().zip(expected) {
        assert_eq!((&run["activity"]["name"], outcome_of(run)), (&json!(name), outcome), "{run:#}");
    }
    let took =
        |name: &str| runs.iter().find(|run| run["activity"]["name"] == name).unwrap()["duration"].as_f64().unwrap();
    assert!(took("ping-with-latency") >= 1.5 && took("ping-without-latency") < 1.5);
    assert!(took("ping-with-timeout") >= 0.5);
    assert_eq!(world.squall.toxiproxy().json("/proxies"), json!({}), "the rollback took the proxy away");
}

/// Our document, as it is, beside a Squall whose file has the proxy.
#[test]
fn an_experiment_of_chaos_toolkit_holds_and_deviates() {
    let test = "an_experiment_of_chaos_toolkit_holds_and_deviates";
    let (Some(program), Some(_)) = (python_program("chaos", test), programs::find("redis-cli", test)) else { return };
    let Some(redis) = Program::redis(test) else { return };
    let proxy = format!("{{ name: redis, listen: \"127.0.0.1:0\", upstream: \"{}\" }}", redis.address);
    let settings = Settings::new().with(&format!("toxiproxy: {{ address: \"127.0.0.1:0\", proxies: [{proxy}] }}"));
    let world = World { squall: Squall::start(&settings), redis };
    let document: PathBuf =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/experiments/chaos-toolkit/toxiproxy.yaml");
    let api = world.squall.toxiproxy();
    let before = api.json("/proxies");
    let port = before["redis"]["listen"].as_str().and_then(|listen| listen.rsplit_once(':')).unwrap().1;
    for (arguments, deviated) in [(&[][..], false), (&["--var", "latency:int=5000"], true)] {
        let journal = chaos(&world, &program, &document, &[("PROXY_PORT", port)], arguments);
        assert_eq!((&journal["status"], &journal["deviated"]), (&json!("completed"), &json!(deviated)), "{journal:#}");
        let states = &journal["steady_states"];
        let met = [&states["before"]["steady_state_met"], &states["after"]["steady_state_met"]];
        assert_eq!(met, [&json!(true), &json!(!deviated)], "{states:#}");
        assert_eq!(journal["rollbacks"][0]["output"], true, "{journal:#}");
        assert_eq!(api.json("/proxies"), before, "no toxic stays");
    }
}
