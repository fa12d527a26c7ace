//! The program's own log: how much of it is changed while it runs, what repeats itself, and what must never be in it.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use squall_integration::client::{self, Client, get};
use squall_integration::echo::Echo;
use squall_integration::origin::{Origin, refusing};
use squall_integration::wait::PATIENCE;
use squall_integration::{RawClient, Settings, Squall, eventually, squall};

#[test]
fn the_level_is_changed_while_it_runs() {
    let squall = Squall::start(&Settings::http(refusing()));
    let api = squall.api();
    let mut client = RawClient::connect(squall.to_b());
    let mut fails = || assert_eq!(client.get("/").status, 502);
    fails();
    assert!(!squall.said().contains("exchange failed"), "that is a matter of debug");
    assert_eq!(api.json("/v1/log-level")["level"], "hyper=warn,h2=warn,info");

    let generation = api.generation();
    for (target, body, status) in [
        ("/v1/log-level?dry_run=true", json!({"level": "debug"}), 200),
        ("/v1/log-level", json!({"level": "loud"}), 422),
        ("/v1/log-level", json!({"level": 7}), 422),
        ("/v1/log-level", json!({"filter": "debug"}), 422),
    ] {
        let answer = api.put(target, &body.to_string());
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    assert_eq!(api.call("PUT", "/v1/log-level", &["if-match: \"99\""], r#"{"level": "debug"}"#).status, 412);
    fails();
    assert!(!squall.said().contains("exchange failed"));

    assert_eq!(
        api.put("/v1/log-level", r#"{"level": "info,squall_proxy=debug"}"#).json()["level"],
        "squall_proxy=debug,info"
    );
    fails();
    eventually("lines of debug", PATIENCE, || squall.said().contains("exchange failed").then_some(()));
    assert_eq!(api.generation(), generation, "rules are as they were");
}

#[test]
fn the_command_line_changes_it_too() {
    let squall = Squall::start(&Settings::http(refusing()));
    let control = squall.api().url();
    let run = |arguments: &[&str]| {
        let output = squall::output(&[&["log-level", "--control", &control], arguments].concat());
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    assert_eq!(run(&["warn"]), (Some(0), "warn\n".to_owned()));
    assert_eq!(run(&[]), (Some(0), "warn\n".to_owned()));
    let (code, said) = run(&["loud"]);
    assert!(code == Some(3) && said.contains("\"loud\" is no level"), "{code:?} {said}");
    // And when it starts.
    let output = squall::output(&["run", "--upstream", "http://127.0.0.1:9", "--log", "loud"]);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_storm_of_one_warning_is_one_line_and_a_count() {
    let squall = Squall::start(&Settings::http(refusing()));
    for _ in 0..200 {
        let page = ["origin: http://page.example", "sec-fetch-site: cross-site"];
        assert_eq!(squall.api().call("GET", "/v1/status", &page, "").status, 403);
    }
    let lines = |text: &str| squall.said().lines().filter(|l| l.contains(text)).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines("refused a call from a web page").len(), 1);
    let counts = eventually("the count", Duration::from_secs(20), || {
        let counts = lines("again: refused a call from a web page");
        (!counts.is_empty()).then_some(counts)
    });
    assert!(counts.len() == 1 && counts[0].contains("times=199"), "{counts:?}");
}

#[test]
fn lines_of_json_are_objects() {
    let upstream = format!("http://{}", refusing());
    let arguments = ["run", "--upstream", &upstream, "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"];
    let mut command = squall::command(&[&arguments[..], &["--log-format", "json", "--log", "debug"]].concat());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(|line| {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert!(line["level"].is_string() && line["timestamp"].is_string() && line["target"].is_string(), "{line}");
        line["message"].as_str().unwrap().to_owned()
    });
    assert!(lines.any(|message| message == "started"));
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert!(lines.any(|message| message == "drained"));
    assert_eq!(lines.filter(|message| message == "started").count(), 0, "and the rest are objects, too");
    assert!(child.wait().unwrap().success());
}

#[test]
fn secrets_are_in_no_log() {
    const SECRET: &str = "c2VjcmV0LW9mLWE";
    let (echo, echo2, gone) = (Echo::http1(), Echo::http2(), refusing());
    let settings = Settings::new()
        .listener("to-b", "http", "service-b")
        .listener("to-c", "http", "service-c")
        .listener("to-d", "http", "service-d")
        .cluster("service-b", "http1", &[echo.address])
        .cluster("service-c", "http2", &[echo2.address])
        .cluster("service-d", "http1", &[gone])
        .with("access_log: stdout");
    let mut squall = Squall::start_with(&settings, &["--log", "debug"]);
    squall.api().rule("r", &json!({"percentage": 50, "fault": {"abort": 503}}));
    client::run(PATIENCE * 3, async {
        for listener in ["to-b", "to-c", "to-d"] {
            for mut client in
                [Client::http1(squall.address(listener)).await, Client::http2(squall.address(listener)).await]
            {
                for _ in 0..4 {
                    let mut call = get(&format!("/echo?token={SECRET}"));
                    for name in ["authorization", "proxy-authorization", "cookie", "x-api-key"] {
                        call.headers_mut().insert(name, SECRET.parse().unwrap());
                    }
                    client.must(call).await;
                }
            }
        }
    });
    squall.api().call(
        "GET",
        &format!("/v1/rules/none?token={SECRET}"),
        &[&format!("authorization: Bearer {SECRET}")],
        "",
    );
    squall.signal("TERM");
    assert!(squall.wait(PATIENCE).success());
    let said = squall.said();
    assert!(said.contains("\"path\":\"/echo\"") && said.contains("exchange failed"), "{said}");
    let leaks: Vec<&str> = said.lines().filter(|line| line.contains(SECRET)).collect();
    assert_eq!(leaks, Vec::<&str>::new());
}

#[test]
fn an_injected_fault_is_found_by_its_rule_and_its_trace() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address).with("access_log: { file: access.log }"));
    squall.api().rule("broken-b", &json!({"percentage": 100, "fault": {"abort": 503}}));
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    for field in [
        format!("traceparent: 00-{trace}-00f067aa0ba902b7-01"),
        format!("b3: {trace}-00f067aa0ba902b7-1"),
        format!("x-b3-traceid: {trace}\r\nx-b3-spanid: 00f067aa0ba902b7"),
    ] {
        let mut client = RawClient::connect(squall.to_b());
        assert_eq!(client.send(format!("GET /x HTTP/1.1\r\nhost: b\r\n{field}\r\n\r\n")).answer().status, 503);
    }
    eventually("three lines", PATIENCE, || {
        let text = std::fs::read_to_string(squall.directory().join("access.log")).ok()?;
        let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let found = lines.iter().filter(|l| l["trace_id"] == trace && l["faults"][0]["rule"] == "broken-b").count();
        (found == 3).then_some(())
    });
}
