//! A collector that is away, hangs or refuses costs spans and nothing else: no traffic, no end of the process, no flood of
//! the log.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use squall_integration::origin::{Origin, refusing};
use squall_integration::wait::pause;
use squall_integration::{RawClient, Settings, Squall, eventually};

const PATIENCE: Duration = Duration::from_secs(15);
const REQUESTS: u32 = 300;
/// Two of each exchange.
const SPANS: f64 = 2.0 * REQUESTS as f64;

fn traced(origin: SocketAddr, collector: SocketAddr, variables: &[(&str, &str)]) -> Squall {
    let endpoint = format!("http://{collector}");
    let own = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "20")];
    Squall::start_under(&Settings::http(origin), &[&own, variables].concat(), &[])
}

/// Sends all, one after the other; the longest that one took.
fn load(squall: &Squall) -> Duration {
    let mut client = RawClient::connect(squall.to_b());
    let took = (0..REQUESTS).map(|_| {
        let begin = Instant::now();
        assert_eq!(client.get("/").status, 200);
        begin.elapsed()
    });
    took.max().unwrap()
}

fn spans(squall: &Squall, result: &str) -> f64 {
    squall.api().metrics().sum("squall_trace_spans_total", &[("result", result)])
}

fn warnings(squall: &Squall) -> usize {
    squall.said().matches("the collector does not take traces").count()
}

#[test]
fn one_that_is_away_is_said_once_and_counted_and_holds_nothing_up() {
    let origin = Origin::ok();
    let mut squall = traced(origin.address, refusing(), &[("OTEL_EXPORTER_OTLP_TIMEOUT", "200")]);
    load(&squall);
    eventually("all spans are counted as lost", PATIENCE, || (spans(&squall, "failed") >= SPANS).then_some(()));
    assert_eq!((warnings(&squall), spans(&squall, "exported"), spans(&squall, "dropped")), (1, 0.0, 0.0));
    squall.says("refused");
    squall.signal("TERM");
    assert!(squall.wait(PATIENCE).success());
}

#[test]
fn one_that_hangs_fills_the_queue_and_does_not_keep_the_process() {
    let origin = Origin::ok();
    let collector = Origin::start(|mut peer| {
        peer.request();
        pause(Duration::from_secs(60));
    });
    let limits = [("OTEL_BSP_MAX_QUEUE_SIZE", "16"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")];
    let mut squall = traced(origin.address, collector.address, &limits);
    let longest = load(&squall);
    assert!(longest < Duration::from_secs(1), "a request waited for the collector: {longest:?}");
    // One batch is on its way, one queue is full.
    assert!(spans(&squall, "dropped") >= SPANS - 16.0 - 2.0 * 4.0, "{}", spans(&squall, "dropped"));
    let begin = Instant::now();
    squall.signal("TERM");
    assert!(squall.wait(PATIENCE).success());
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    squall.says("the last spans are lost");
}

#[test]
fn one_that_comes_back_gets_what_is_new() {
    let origin = Origin::ok();
    let collector = Origin::start(|mut peer| {
        while peer.request().is_some() {
            let status = if peer.number == 0 { "401 Unauthorized" } else { "200 OK" };
            peer.send(format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"));
        }
    });
    let squall =
        traced(origin.address, collector.address, &[("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic c2VjcmV0")]);
    let mut client = RawClient::connect(squall.to_b());
    client.get("/");
    eventually("a refusal", PATIENCE, || (spans(&squall, "failed") > 0.0).then_some(()));
    client.get("/");
    eventually("an export", PATIENCE, || (spans(&squall, "exported") > 0.0).then_some(()));
    eventually("both are said", PATIENCE, || squall.said().contains("answers again").then_some(()));
    squall.says("401");
    assert_eq!(warnings(&squall), 1, "{}", squall.said());
    assert_eq!(collector.seen()[0].header("authorization"), Some("Basic c2VjcmV0"));
    assert!(!squall.said().contains("c2VjcmV0"));
}

#[test]
fn without_an_endpoint_nothing_is_traced() {
    let origin = Origin::ok();
    let variables = [("OTEL_SERVICE_NAME", "a"), ("OTEL_TRACES_SAMPLER", "always_on")];
    let squall = Squall::start_under(&Settings::http(origin.address), &variables, &[]);
    RawClient::connect(squall.to_b()).get("/");
    assert!(origin.seen()[0].header("traceparent").is_none());
    assert!(squall.api().metrics().samples.iter().all(|sample| !sample.name.starts_with("squall_trace")));
}

#[test]
fn a_variable_that_is_not_valid_is_said_before_anything_is_served() {
    let run = |variable: &str, value: &str| {
        let mut command = squall_integration::squall::command(&["run", "--upstream", "http://127.0.0.1:9"]);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318").env(variable, value);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (variable, value, fix) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "write http://host:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "use http/protobuf"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many", "a whole number"),
    ] {
        let (code, said) = run(variable, value);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(variable) && said.contains(fix), "{said}");
    }
}
