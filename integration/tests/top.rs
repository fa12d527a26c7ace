//! `squall top`: on a terminal, off it, and what it acts on.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use squall_integration::path::Path;
use squall_integration::programs::find;
use squall_integration::wait::PATIENCE;
use squall_integration::{eventually, squall};

/// With a rule for what is broken at B.
fn broken() -> Path {
    let path = Path::bare();
    path.api().rule("broken-b", &json!({"match": {"path": "/broken"}, "percentage": 100, "fault": {"abort": 503}}));
    path
}

#[test]
fn off_a_terminal_it_is_one_object_a_line_with_rates() {
    let path = broken();
    let mut top = squall::command(&["top", "--every", "1s", "-n", "3", "-o", "json", "--control", &path.api().url()]);
    let mut top = top.stdout(Stdio::piped()).spawn().unwrap();
    let mut client = path.client();
    let mut text = String::new();
    let (mut sent, mut out) = (0.0, top.stdout.take().unwrap());
    eventually("three boards", PATIENCE, || {
        client.get("/echo");
        client.get("/broken");
        sent += 1.0;
        top.try_wait().unwrap()
    });
    out.read_to_string(&mut text).unwrap();
    let boards: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(boards.len(), 3, "{text}");
    let last = &boards[2];
    let row = &last["traffic"][0];
    assert_eq!((row["listener"].as_str(), row["cluster"].as_str()), (Some("to-b"), Some("service-b")));
    let (all, injected) = (row["requests_per_second"].as_f64().unwrap(), row["aborted_per_second"].as_f64().unwrap());
    // One of two goes to the rule; what is under way at either end of the interval may be one more or less.
    assert!(injected > 0.0 && (all - 2.0 * injected).abs() <= 4.0, "{row}");
    assert!(all <= 2.0 * sent, "{row}");
    assert_eq!(row["failed_percentage"].as_f64(), Some(0.0), "what rules made is no failure");
    assert!(row["p50_seconds"].as_f64().unwrap() > 0.0 && row["connections"].as_u64() == Some(1), "{row}");
    let rule = &last["rules"][0];
    assert_eq!((rule["name"].as_str(), rule["enabled"].as_bool()), (Some("broken-b"), Some(true)));
    assert!(rule["injected_per_second"].as_f64().unwrap() > 0.0, "{rule}");
}

#[test]
fn off_a_terminal_a_table_is_text() {
    let path = broken();
    let said = squall::output(&["top", "-n", "1", "--control", &path.api().url()]);
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(said.status.success() && !text.contains('\u{1b}'), "{text}");
    assert!(text.contains("LISTENER") && text.contains("to-b") && text.contains("broken-b"), "{text}");
}

#[test]
fn without_squall_it_says_so_and_ends() {
    let said = squall::output(&["top", "--control", "127.0.0.1:1"]);
    assert_eq!(said.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&said.stderr).contains("cannot reach the control API"));
    let said = squall::output(&["top", "--every", "1ms"]);
    assert_eq!(said.status.code(), Some(2));
}

/// `squall top` on a terminal of 40 lines.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    fn start(control: &str) -> Option<Self> {
        let script = find("script", "squall top on a terminal")?;
        let top =
            format!("stty rows 40 cols 160; exec {} top --every 100ms --control {control}", squall::binary().display());
        let mut command = Command::new(script);
        command.args(["-qec", &top, "/dev/null"]).env("TERM", "xterm").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (keys, mut out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let shown = Arc::new(Mutex::new(String::new()));
        let into = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = out.read(&mut bytes) {
                into.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
        });
        Some(Self { child, keys, shown })
    }

    fn press(&mut self, key: &str) {
        self.keys.write_all(key.as_bytes()).unwrap();
    }

    fn shows(&self, text: &str) {
        eventually(text, PATIENCE, || self.shown.lock().unwrap().contains(text).then_some(()));
    }
}

#[test]
fn on_a_terminal_it_is_live_and_keys_act() {
    let path = broken();
    let Some(mut terminal) = Terminal::start(&path.api().url()) else { return };
    terminal.shows("broken-b");
    terminal.press("h");
    eventually("a halt", PATIENCE, || (path.api().json("/v1/status")["halted"] == true).then_some(()));
    terminal.shows("HALTED");
    terminal.press("r");
    eventually("an end of it", PATIENCE, || (path.api().json("/v1/status")["halted"] == false).then_some(()));
    terminal.press("j ");
    let is_on = || path.api().json("/v1/rules/broken-b")["enabled"] != false;
    eventually("the rule is off", PATIENCE, || (!is_on()).then_some(()));
    terminal.press("q");
    let status = eventually("the end", PATIENCE, || terminal.child.try_wait().unwrap());
    assert!(status.success(), "{status}");
    // The screen is as it was before.
    terminal.shows("\u{1b}[?1049l");
}
