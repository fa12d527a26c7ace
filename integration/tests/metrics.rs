//! The metrics that dashboards rely on: names, kinds, labels, and numbers that agree with what was done.

use std::time::Duration;

use serde_json::json;
use squall_integration::echo::Echo;
use squall_integration::exposition::Exposition;
use squall_integration::origin::refusing;
use squall_integration::{RawClient, Settings, Squall, eventually};

const FAMILIES: [(&str, &str, &[&str]); 17] = [
    ("chaos_injected_network_latency_seconds", "histogram", &["rule", "cluster", "listener"]),
    ("chaos_injected_faults_total", "counter", &["rule", "kind", "cluster", "listener", "direction"]),
    ("chaos_rule_matched_total", "counter", &["rule"]),
    ("chaos_skipped_faults_total", "counter", &["rule", "reason"]),
    ("chaos_active_faults", "gauge", &["rule"]),
    ("chaos_halted", "gauge", &[]),
    ("squall_requests_total", "counter", &["listener", "cluster", "direction", "status_class", "origin"]),
    ("squall_request_duration_seconds", "histogram", &["listener", "cluster", "direction"]),
    ("squall_active_connections", "gauge", &["listener"]),
    ("squall_bytes_total", "counter", &["listener", "cluster", "flow"]),
    ("squall_upstream_connections_total", "counter", &["cluster", "result"]),
    ("squall_config_generation", "gauge", &[]),
    ("squall_config_reloads_total", "counter", &["result"]),
    ("squall_build_info", "gauge", &["version"]),
    ("process_cpu_seconds_total", "counter", &[]),
    ("process_open_fds", "gauge", &[]),
    ("process_resident_memory_bytes", "gauge", &[]),
];

/// A proxy that saw 10 plain requests, 5 delayed ones, 3 aborted ones and one beyond the budget.
fn used() -> (Echo, Squall) {
    let echo = Echo::http1();
    let settings = Settings::http(echo.address)
        .listener_with("from-a", "http", "service-b", "direction: inbound")
        .with("limits: { active_faults_max: 1 }");
    let squall = Squall::start(&settings);
    let api = squall.api();
    let mut client = RawClient::connect(squall.to_b());
    for _ in 0..10 {
        assert_eq!(client.get("/sized/1000").status, 200);
    }
    api.rule("slow", &json!({"match": {"path": "/sized/7"}, "percentage": 100, "fault": {"delay": "20ms"}}));
    for _ in 0..5 {
        assert_eq!(client.get("/sized/7").status, 200);
    }
    api.rule("fail", &json!({"match": {"path": "/fail"}, "percentage": 100, "fault": {"abort": 503}}));
    for _ in 0..3 {
        assert_eq!(client.get("/fail").status, 503);
    }
    api.rule("hold", &json!({"match": {"path": "/hold"}, "percentage": 100, "fault": {"delay": "1s"}}));
    let mut first = RawClient::connect(squall.to_b());
    first.send("GET /hold HTTP/1.1\r\nHost: b\r\n\r\n");
    eventually("one active fault", Duration::from_secs(5), || {
        (api.metrics().sum("chaos_active_faults", &[("rule", "hold")]) == 1.0).then_some(())
    });
    assert_eq!(client.get("/hold").status, 200);
    assert_eq!(first.answer().status, 200);
    (echo, squall)
}

#[test]
fn every_promised_family_is_there() {
    let (_echo, squall) = used();
    let m = squall.api().metrics();
    for (name, kind, labels) in FAMILIES {
        assert_eq!(m.kinds.get(name).map(String::as_str), Some(kind), "{name}");
        assert!(m.help.get(name).is_some_and(|h| !h.is_empty()), "{name} has a help text");
        let sample = if kind == "histogram" { format!("{name}_count") } else { name.to_owned() };
        let optional = name == "squall_config_reloads_total";
        let mut seen = 0;
        for s in m.matching(&sample, &[]) {
            seen += 1;
            let have: Vec<&str> = s.labels.keys().map(String::as_str).collect();
            let mut want = labels.to_vec();
            want.sort_unstable();
            assert_eq!(have, want, "labels of {name}");
        }
        assert!(seen > 0 || optional, "{name} has no sample");
    }
}

#[test]
fn names_and_values_are_of_good_form() {
    let (_echo, squall) = used();
    let answer = squall.api().get("/metrics");
    assert!(answer.header("content-type").is_some_and(|t| t.starts_with("text/plain; version=0.0.4")), "{answer:?}");
    let m = Exposition::parse(&answer.text());
    for (name, kind) in &m.kinds {
        let total = name.ends_with("_total");
        assert_eq!(kind == "counter", total, "{name}: counters, and they alone, end with _total");
        assert!(["chaos_", "squall_", "process_"].iter().any(|p| name.starts_with(p)), "{name}");
        assert!(!name.contains("millis") && !name.ends_with("_ms"), "{name}: seconds");
    }
    let mut series: Vec<String> = m.samples.iter().map(|s| format!("{}{:?}", s.name, s.labels)).collect();
    series.sort();
    let count = series.len();
    series.dedup();
    assert_eq!(series.len(), count, "no series twice");
    for s in m.samples.iter().filter(|s| s.name.ends_with("_total") || s.name.ends_with("_count")) {
        assert!(s.value >= 0.0, "{s:?}");
    }
}

#[test]
fn numbers_agree_with_what_was_done() {
    let (_echo, squall) = used();
    let m = squall.api().metrics();
    let to_b = ("listener", "to-b");
    assert_eq!(m.sum("squall_requests_total", &[to_b]), 20.0);
    assert_eq!(m.sum("squall_requests_total", &[to_b, ("origin", "upstream"), ("status_class", "2xx")]), 17.0);
    assert_eq!(m.sum("squall_requests_total", &[to_b, ("origin", "injected"), ("status_class", "5xx")]), 3.0);
    assert_eq!(m.sum("squall_requests_total", &[to_b, ("origin", "proxy")]), 0.0);
    assert_eq!(m.sum("squall_request_duration_seconds_count", &[to_b]), 20.0);
    assert_eq!(m.sum("chaos_rule_matched_total", &[("rule", "slow")]), 5.0);
    assert_eq!(m.sum("chaos_rule_matched_total", &[("rule", "hold")]), 2.0);
    let faults =
        |rule, kind| m.sum("chaos_injected_faults_total", &[("rule", rule), ("kind", kind), ("direction", "outbound")]);
    assert_eq!((faults("slow", "delay"), faults("fail", "abort"), faults("hold", "delay")), (5.0, 3.0, 1.0));
    assert_eq!(m.sum("chaos_skipped_faults_total", &[("rule", "hold")]), 1.0);
    assert_eq!(m.sum("chaos_injected_network_latency_seconds_count", &[("rule", "slow")]), 5.0);
    let seconds = m.sum("chaos_injected_network_latency_seconds_sum", &[("rule", "slow")]);
    assert!((0.1..0.5).contains(&seconds), "{seconds}");
    assert!(m.sum("squall_bytes_total", &[to_b]) >= 10_035.0, "{}", m.sum("squall_bytes_total", &[to_b]));
    assert_eq!(m.sum("chaos_active_faults", &[]), 0.0);
    assert_eq!(m.sum("chaos_halted", &[]), 0.0);
    assert_eq!(m.sum("squall_config_generation", &[]), squall.api().generation() as f64);
    assert!(m.sum("squall_upstream_connections_total", &[("cluster", "service-b")]) >= 1.0);
}

#[test]
fn a_fault_that_did_not_come_to_be_is_not_injected() {
    let squall = Squall::start(&Settings::http(refusing()));
    let api = squall.api();
    api.rule("late", &json!({"percentage": 100, "fault": {"delay": {"fixed": "1s", "on": "response"}}}));
    let answer = RawClient::connect(squall.to_b()).get("/");
    assert_eq!((answer.status, answer.header("x-squall-fault")), (502, None), "no answer that could be delayed");
    let status = api.rule_status("late");
    assert_eq!((&status["matched"], &status["injected"]), (&json!(1), &json!(0)), "{status}");
    assert_eq!(api.metrics().sum("chaos_injected_faults_total", &[("rule", "late")]), 0.0);
}

#[test]
fn buckets_are_cumulative() {
    let (_echo, squall) = used();
    let m = squall.api().metrics();
    for (name, labels) in [
        ("chaos_injected_network_latency_seconds", ("rule", "slow")),
        ("squall_request_duration_seconds", ("listener", "to-b")),
    ] {
        let bucket = format!("{name}_bucket");
        let mut buckets: Vec<(f64, f64)> = m
            .matching(&bucket, &[labels])
            .map(|s| (if s.labels["le"] == "+Inf" { f64::INFINITY } else { s.labels["le"].parse().unwrap() }, s.value))
            .collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(buckets.len() > 5 && buckets.is_sorted_by(|a, b| a.1 <= b.1), "{name}: {buckets:?}");
        assert_eq!(buckets.last().unwrap().1, m.sum(&format!("{name}_count"), &[labels]), "{name}");
    }
}

#[test]
fn connections_are_counted_while_they_last() {
    let (_echo, squall) = used();
    let count = || squall.api().metrics().sum("squall_active_connections", &[("listener", "to-b")]);
    eventually("no connection", Duration::from_secs(5), || (count() == 0.0).then_some(()));
    let mut clients: Vec<RawClient> = (0..20).map(|_| RawClient::connect(squall.to_b())).collect();
    for client in &mut clients {
        client.get("/echo");
    }
    assert_eq!(count(), 20.0);
    clients.truncate(5);
    eventually("five connections", Duration::from_secs(5), || (count() == 5.0).then_some(()));
}

#[test]
fn a_removed_rule_keeps_its_counters_until_restart_or_loses_them_whole() {
    let (_echo, squall) = used();
    let api = squall.api();
    let before = api.metrics().sum("chaos_injected_faults_total", &[("rule", "fail")]);
    api.remove("fail");
    let after = api.metrics().sum("chaos_injected_faults_total", &[("rule", "fail")]);
    assert!(after == before || after == 0.0, "{before} → {after}");
    assert_eq!(api.metrics().sum("squall_requests_total", &[("listener", "to-b")]), 20.0, "requests stay counted");
}

#[test]
fn the_access_log_has_one_line_an_exchange() {
    let echo = Echo::http1();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("access.log");
    let squall =
        Squall::start(&Settings::http(echo.address).with(&format!("access_log: {{ file: \"{}\" }}", file.display())));
    squall.api().rule("r", &json!({"match": {"path": "/slow/1"}, "percentage": 100, "fault": {"delay": "30ms"}}));
    let mut client = RawClient::connect(squall.to_b());
    client.get("/echo?secret=1");
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    client.send(format!("GET /slow/1 HTTP/1.1\r\nHost: b\r\ntraceparent: {trace}\r\n\r\n")).answer();
    let lines = eventually("two lines", Duration::from_secs(5), || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        (text.lines().count() == 2).then_some(text)
    });
    let lines: Vec<serde_json::Value> = lines.lines().map(|l| serde_json::from_str(l).expect("JSON lines")).collect();
    let (plain, slow) = (lines[0].to_string(), lines[1].to_string());
    assert!(plain.contains("upstream") && plain.contains("/echo") && plain.contains("200"), "{plain}");
    for word in ["0af7651916cd43dd8448eb211c80319c", "\"r\"", "delay", "service-b", "to-b"] {
        assert!(slow.contains(word), "{word} in {slow}");
    }
}
