//! The main job on real programs: nginx and redis-server behind Squall, curl, redis-cli, nghttp and h2load before it.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use squall_integration::programs::{Program, find};
use squall_integration::{End, RawClient, Settings, Squall};

/// Standard output of a command that must succeed.
fn said(command: &mut Command) -> String {
    let done = command.output().expect("the program starts");
    assert!(done.status.success(), "{command:?}: {}: {}", done.status, String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn curl_reaches_nginx_through_squall() {
    let test = "curl_reaches_nginx_through_squall";
    let (Some(nginx), Some(curl)) = (Program::nginx(test), find("curl", test)) else { return };
    let squall = Squall::start(&Settings::http(nginx.address));
    let (to_b, control) = (format!("http://{}", squall.to_b()), squall.api().url());
    let curl = |arguments: &[&str]| said(Command::new(&curl).args(["-sS", "--max-time", "20"]).args(arguments));
    let status_and_time = |extra: &[&str]| {
        let text = curl(&[extra, &["-o", "/dev/null", "-w", "%{http_code} %{time_total}", &to_b]].concat());
        let (status, seconds) = text.split_once(' ').unwrap();
        (status.to_owned(), seconds.parse::<f64>().unwrap())
    };
    assert_eq!(curl(&[&to_b]), "nginx says hello\n");
    assert_eq!(curl(&["--http2-prior-knowledge", &to_b]), "nginx says hello\n");
    assert_eq!(curl(&["-o", "/dev/null", "-w", "%{size_download}", &format!("{to_b}/big")]), "1048576");
    assert_eq!(curl(&["-r", "10-19", &format!("{to_b}/big")]), "nnnnnnnnnn", "ranges");
    // Faults on and off by curl, as the README shows.
    let rule = format!("{control}/v1/rules/slow-b");
    curl(&["-X", "PUT", &rule, "-d", "{\"percentage\": 100, \"fault\": {\"delay\": \"400ms\"}}"]);
    let (status, seconds) = status_and_time(&[]);
    assert!(status == "200" && seconds >= 0.4, "{status} after {seconds} s");
    assert!(curl(&["-I", &to_b]).to_lowercase().contains("x-squall-fault: rule=slow-b; kind=delay"));
    curl(&["-X", "PUT", &rule, "-d", "{\"percentage\": 100, \"fault\": {\"abort\": 503}}"]);
    assert_eq!(status_and_time(&[]).0, "503");
    curl(&["-X", "PUT", &rule, "-d", "{\"percentage\": 100, \"fault\": {\"reset\": true}}"]);
    let done = Command::new("curl").args(["-sS", &to_b]).output().unwrap();
    assert_eq!(done.status.code(), Some(56), "CURLE_RECV_ERROR: {}", String::from_utf8_lossy(&done.stderr));
    curl(&["-X", "POST", &format!("{control}/v1/halt")]);
    assert_eq!(status_and_time(&[]).0, "200", "halted");
    curl(&["-X", "POST", &format!("{control}/v1/resume")]);
    curl(&["-X", "DELETE", &rule]);
    let (status, seconds) = status_and_time(&[]);
    assert!(status == "200" && seconds < 0.4, "{status} after {seconds} s");
    let metrics = curl(&[&format!("{control}/metrics")]);
    assert!(metrics.contains("chaos_injected_faults_total"), "{metrics}");
}

#[test]
fn nginx_keep_alive_timeouts_cause_no_failures() {
    let Some(nginx) = Program::nginx("nginx_keep_alive_timeouts_cause_no_failures") else { return };
    let squall = Squall::start(&Settings::http(nginx.address));
    let mut client = RawClient::connect(squall.to_b());
    // nginx ends a connection after 1,000 requests by default.
    for i in 0..2500 {
        assert_eq!(client.get("/").status, 200, "request {i}");
    }
}

#[test]
fn h2load_meets_no_failure_and_a_fault_meets_h2load() {
    let test = "h2load_meets_no_failure_and_a_fault_meets_h2load";
    let (Some(nginx), Some(h2load)) = (Program::nginx(test), find("h2load", test)) else { return };
    let squall = Squall::start(&Settings::http(nginx.address));
    let run = |extra: &[&str]| {
        let url = format!("http://{}/", squall.to_b());
        said(Command::new(&h2load).args(["-n", "4000", "-c", "4", "-m", "10", "-t", "1"]).args(extra).arg(url))
    };
    let plain = run(&[]);
    assert!(plain.contains("4000 succeeded, 0 failed, 0 errored"), "{plain}");
    let http1 = run(&["--h1"]);
    assert!(http1.contains("4000 succeeded, 0 failed, 0 errored"), "{http1}");
    let rule = json!({"percentage": 25, "sample": {"mode": "exact"}, "fault": {"abort": 503}});
    squall.api().rule("r", &rule);
    let faulted = run(&[]);
    assert!(faulted.contains("3000 2xx") && faulted.contains("1000 5xx"), "{faulted}");
}

#[test]
fn nghttp_sees_a_reset_of_one_stream() {
    let test = "nghttp_sees_a_reset_of_one_stream";
    let (Some(nginx), Some(nghttp)) = (Program::nginx(test), find("nghttp", test)) else { return };
    let squall = Squall::start(&Settings::http(nginx.address));
    squall.api().rule("r", &json!({"match": {"path": "/big"}, "percentage": 100, "fault": {"reset": true}}));
    let base = format!("http://{}", squall.to_b());
    let done = Command::new(nghttp).args(["-v", "-n"]).args([format!("{base}/big"), format!("{base}/")]).output();
    let text = String::from_utf8_lossy(&done.unwrap().stdout).into_owned();
    assert!(text.contains("recv RST_STREAM") && text.contains("INTERNAL_ERROR"), "{text}");
    assert!(text.contains(":status: 200") && !text.contains("recv GOAWAY"), "its neighbour is well: {text}");
}

fn redis(client: &mut RawClient, command: &str, answer: &str) -> Duration {
    let begin = Instant::now();
    let words: Vec<&str> = command.split(' ').collect();
    let mut text = format!("*{}\r\n", words.len());
    for word in words {
        text += &format!("${}\r\n{word}\r\n", word.len());
    }
    let came = client.send(text).read_exact(answer.len());
    assert_eq!(String::from_utf8_lossy(&came), answer, "{command}");
    begin.elapsed()
}

#[test]
fn redis_works_and_fails_as_told() {
    let Some(server) = Program::redis("redis_works_and_fails_as_told") else { return };
    let squall = Squall::start(&Settings::tcp(server.address));
    let api = squall.api();
    let mut client = RawClient::connect(squall.to_b());
    redis(&mut client, "SET key value", "+OK\r\n");
    redis(&mut client, "GET key", "$5\r\nvalue\r\n");
    let all: String = (0..1000).map(|_| "*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n").collect();
    client.send(all);
    for i in 1..=1000 {
        let answer = format!(":{i}\r\n");
        assert_eq!(client.read_exact(answer.len()), answer.as_bytes(), "pipelined");
    }
    api.rule("slow", &json!({"percentage": 100, "fault": {"delay": "250ms"}}));
    let took = redis(&mut client, "PING", "+PONG\r\n");
    assert!(took >= Duration::from_millis(250), "on an open connection: {took:?}");
    api.remove("slow");
    assert!(redis(&mut client, "PING", "+PONG\r\n") < Duration::from_millis(250));
    api.rule("cut", &json!({"percentage": 100, "fault": {"reset": true}}));
    assert_eq!(client.read_to_end(), (vec![], End::Reset));
    api.remove("cut");
    let mut client = RawClient::connect(squall.to_b());
    redis(&mut client, "GET n", "$4\r\n1000\r\n");
}

#[test]
fn redis_cli_and_benchmark_pass() {
    let test = "redis_cli_and_benchmark_pass";
    let (Some(server), Some(cli)) = (Program::redis(test), find("redis-cli", test)) else { return };
    let squall = Squall::start(&Settings::tcp(server.address));
    let port = squall.to_b().port().to_string();
    assert_eq!(said(Command::new(cli).args(["-p", &port, "PING"])), "PONG\n");
    let Some(benchmark) = find("redis-benchmark", test) else { return };
    let text = said(
        Command::new(benchmark).args(["-p", &port, "-n", "20000", "-c", "20", "-P", "8", "-t", "set,get", "--csv"]),
    );
    assert_eq!(text.lines().filter(|l| l.starts_with("\"SET\"") || l.starts_with("\"GET\"")).count(), 2, "{text}");
}
