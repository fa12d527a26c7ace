//! Each HTTP fault does what it says, to what its rule matches, and to nothing else.

use std::time::{Duration, Instant};

use serde_json::json;
use squall_integration::End;
use squall_integration::client::{full, get, request, reset_reason};
use squall_integration::path::Path;
use squall_integration::raw::exchange;

const GET: &str = "GET /echo HTTP/1.1\r\nHost: b\r\n\r\n";

#[test]
fn delay_waits_and_says_so() {
    for fault in [
        json!({"delay": "200ms"}),
        json!({"delay": {"fixed": "200ms"}}),
        json!({"delay": {"fixed": "200ms", "on": "response"}}),
    ] {
        let path = Path::with(&fault);
        let mut client = path.client();
        for _ in 0..3 {
            let begin = Instant::now();
            let answer = client.get("/echo");
            let took = begin.elapsed();
            assert!((Duration::from_millis(200)..Duration::from_secs(2)).contains(&took), "{fault}: {took:?}");
            assert_eq!((answer.status, answer.header("x-squall-fault")), (200, Some("rule=r; kind=delay")), "{fault}");
        }
        let m = path.api().metrics();
        let labels = [("rule", "r"), ("cluster", "service-b"), ("listener", "to-b")];
        assert_eq!(m.sum("chaos_injected_network_latency_seconds_count", &labels), 3.0, "{fault}");
        let sum = m.sum("chaos_injected_network_latency_seconds_sum", &labels);
        assert!((0.6..1.5).contains(&sum), "{fault}: {sum} s");
    }
}

#[test]
fn a_request_delay_holds_the_request_and_a_response_delay_the_answer() {
    for (on, arrives) in [("request", 0), ("response", 1)] {
        let path = Path::with(&json!({"delay": {"fixed": "1s", "on": on}}));
        let mut client = path.client();
        client.send(GET);
        assert!(client.is_silent_for(Duration::from_millis(500)));
        assert_eq!(path.echo.requests(), arrives, "delay on {on}");
        assert_eq!(client.answer().status, 200);
    }
}

#[test]
fn every_distribution_stays_within_its_bounds() {
    let shapes = [
        (json!({"uniform": {"min": "20ms", "max": "40ms"}}), 20),
        (json!({"normal": {"mean": "30ms", "stddev": "5ms"}, "max": "50ms"}), 5),
        (json!({"lognormal": {"median": "20ms", "sigma": 0.5}, "max": "60ms"}), 2),
        (json!({"exponential": {"mean": "20ms"}, "max": "60ms"}), 0),
        (json!({"pareto": {"scale": "10ms", "shape": 1.5}, "max": "60ms"}), 10),
    ];
    let path = Path::seeded();
    for (delay, least) in shapes {
        path.api().rule("r", &json!({"percentage": 100, "fault": {"delay": delay}}));
        let mut client = path.client();
        let times: Vec<Duration> = (0..40)
            .map(|_| {
                let begin = Instant::now();
                assert_eq!(client.get("/echo").status, 200);
                begin.elapsed()
            })
            .collect();
        let (low, high) = (*times.iter().min().unwrap(), *times.iter().max().unwrap());
        assert!(low >= Duration::from_millis(least), "{delay}: {low:?}");
        assert!(high < Duration::from_millis(500), "{delay}: {high:?}");
        assert_ne!(low.as_millis(), high.as_millis(), "{delay} varies");
    }
}

#[test]
fn abort_answers_in_the_upstreams_place() {
    let path = Path::with(&json!({"abort": 503}));
    let mut client = path.client();
    for _ in 0..3 {
        let answer = client.get("/echo");
        assert_eq!((answer.status, answer.header("x-squall-fault")), (503, Some("rule=r; kind=abort")));
        assert!(answer.header("x-squall-error").is_none() && answer.text().contains('r'), "{answer:?}");
    }
    let fault = json!({"abort": {"status": 429, "body": "slow down", "headers": {"retry-after": "7", "content-type": "text/x"}}});
    path.api().rule("r", &json!({"percentage": 100, "fault": fault}));
    let answer = client.get("/echo");
    assert_eq!((answer.status, answer.text().as_str()), (429, "slow down"));
    assert_eq!((answer.header("retry-after"), answer.header("content-type")), (Some("7"), Some("text/x")));
    let head = client.send("HEAD /echo HTTP/1.1\r\nHost: b\r\n\r\n").answer_to("HEAD");
    assert_eq!((head.status, head.body.len()), (429, 0));
    assert_eq!(path.echo.requests(), 0, "the upstream knows nothing of it");
    let m = path.api().metrics();
    assert_eq!(m.sum("squall_requests_total", &[("origin", "injected")]), 5.0);
}

#[test]
fn abort_on_http2() {
    let path = Path::with(&json!({"abort": 503}));
    path.http2(async |mut client| {
        let answer = client.must(get("/echo")).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-squall-fault")), (503, Some("rule=r; kind=abort")));
    });
}

#[test]
fn a_grpc_abort_is_trailers_only() {
    let path = Path::with(&json!({"abort": {"grpc_status": 14, "message": "50% gone"}}));
    path.http2(async |mut client| {
        let mut call = request("POST", "/pkg.Service/Method", full("grpc"));
        call.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        call.headers_mut().insert("te", "trailers".parse().unwrap());
        let answer = client.must(call).await;
        assert_eq!((answer.status.as_u16(), answer.header("grpc-status")), (200, Some("14")));
        assert_eq!(answer.header("grpc-message"), Some("50%25 gone"), "percent-encoded");
        assert!(answer.body.is_empty() && answer.trailers.is_none(), "trailers-only");
        assert_eq!(answer.header("content-type"), Some("application/grpc"));
        assert_eq!(client.must(get("/echo")).await.status, 503, "a plain request gets the HTTP status that fits");
    });
    assert_eq!(path.echo.requests(), 0);
}

#[test]
fn an_abort_of_an_upload_is_seen_by_the_client() {
    let path = Path::with(&json!({"abort": 503}));
    for _ in 0..20 {
        let mut client = path.client();
        client.send("POST /echo HTTP/1.1\r\nHost: b\r\nContent-Length: 2000000\r\n\r\n");
        for _ in 0..20 {
            if client.try_send(vec![b'x'; 100_000]).is_err() {
                break;
            }
        }
        assert_eq!(client.answer_to("POST").status, 503);
    }
}

#[test]
fn no_100_continue_before_an_abort() {
    let path = Path::with(&json!({"abort": 503}));
    let request =
        "PUT /echo HTTP/1.1\r\nHost: b\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n";
    let (bytes, _, _) = exchange(path.squall.to_b(), request);
    assert!(bytes.starts_with(b"HTTP/1.1 503"), "{}", String::from_utf8_lossy(&bytes));
}

#[test]
fn reset_is_rst_without_a_byte() {
    for fault in [json!({"reset": true}), json!({"reset": {"on": "request"}}), json!({"reset": {"on": "response"}})] {
        let path = Path::with(&fault);
        for _ in 0..20 {
            let (bytes, end, _) = exchange(path.squall.to_b(), GET);
            assert_eq!((bytes.len(), end), (0, End::Reset), "{fault}");
        }
        let expected = if fault["reset"]["on"] == "response" { 20 } else { 0 };
        assert_eq!(path.echo.requests(), expected, "{fault}: what the upstream saw");
        assert_eq!(path.api().injected("r"), 20);
    }
}

#[test]
fn reset_after_so_many_bytes_of_the_body() {
    let path = Path::with(&json!({"reset": {"on": "response", "after_bytes": 50000}}));
    for target in ["/sized/200000", "/bytes/200000"] {
        for _ in 0..10 {
            let mut client = path.client();
            client.send(format!("GET {target} HTTP/1.1\r\nHost: b\r\n\r\n"));
            let (bytes, end) = client.read_to_end();
            assert_eq!(end, End::Reset, "{target}");
            let text = String::from_utf8_lossy(&bytes);
            let head = text.split("\r\n\r\n").next().unwrap();
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            let body = bytes.len() - bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap() - 4;
            let slack = if target.starts_with("/bytes") { 1000 } else { 0 };
            assert!((50_000..=50_000 + slack).contains(&body), "{target}: {body} bytes (chunk sizes included)");
        }
    }
}

#[test]
fn reset_on_http2_ends_one_stream_and_no_other() {
    let path = Path::seeded();
    path.api()
        .rule("r", &json!({"match": {"path": {"prefix": "/echo/bad"}}, "percentage": 100, "fault": {"reset": true}}));
    path.http2(async |client| {
        let slow = tokio::spawn({
            let mut stream = client.stream();
            async move { stream.must(get("/slow/500")).await.status }
        });
        for i in 0..20 {
            let error = client.stream().send(get(&format!("/echo/bad/{i}"))).await.expect_err("a reset");
            assert_eq!(reset_reason(&error), Some(h2::Reason::INTERNAL_ERROR), "{error:?}");
            assert_eq!(client.stream().must(get("/echo/good")).await.status, 200, "its neighbour");
        }
        assert_eq!(slow.await.unwrap(), 200, "a stream that was open all the time");
    });
}

#[test]
fn reset_after_bytes_on_http2() {
    let path = Path::with(&json!({"reset": {"on": "response", "after_bytes": 50000}}));
    path.http2(async |mut client| {
        use http_body_util::BodyExt as _;
        let mut body = client.head(get("/sized/200000")).await.expect("a head").into_body();
        let mut count = 0;
        let error = loop {
            match body.frame().await {
                Some(Ok(frame)) => count += frame.into_data().map_or(0, |d| d.len()),
                Some(Err(e)) => break e,
                None => panic!("a clean end after {count} bytes"),
            }
        };
        assert_eq!((count, reset_reason(&error)), (50_000, Some(h2::Reason::INTERNAL_ERROR)));
    });
}

#[test]
fn blackhole_never_answers() {
    let path = Path::with(&json!({"blackhole": true}));
    let mut client = path.client();
    client.send(GET);
    assert!(client.is_silent_for(Duration::from_millis(700)));
    assert_eq!(path.echo.requests(), 0);
    let path = Path::with(&json!({"blackhole": {"max": "300ms"}}));
    let (bytes, end, took) = exchange(path.squall.to_b(), GET);
    assert!(bytes.is_empty() && end != End::Silence, "{end:?}");
    assert!((Duration::from_millis(300)..Duration::from_secs(3)).contains(&took), "{took:?}");
}

#[test]
fn the_next_request_on_an_open_connection_meets_a_new_rule() {
    let path = Path::seeded();
    let mut client = path.client();
    for i in 0..50 {
        assert_eq!(client.get("/echo").status, 200, "before, {i}");
        path.api().rule("r", &json!({"percentage": 100, "fault": {"abort": 503}}));
        assert_eq!(client.get("/echo").status, 503, "the very next, {i}");
        path.api().remove("r");
    }
    path.http2(async |mut client| {
        for _ in 0..20 {
            assert_eq!(client.must(get("/echo")).await.status, 200);
            path.api().rule("r", &json!({"percentage": 100, "fault": {"abort": 503}}));
            assert_eq!(client.must(get("/echo")).await.status, 503);
            path.api().remove("r");
        }
    });
}

#[test]
fn a_faulted_exchange_leaves_the_pool_in_order() {
    let path = Path::seeded();
    path.api().rule("r", &json!({"percentage": 50, "fault": {"reset": {"on": "response", "after_bytes": 1000}}}));
    let (mut reset, mut whole) = (0, 0);
    for _ in 0..200 {
        let mut client = path.client();
        client.send("GET /sized/5000 HTTP/1.1\r\nHost: b\r\n\r\n");
        match client.try_answer("GET") {
            Ok(answer) if answer.complete => {
                assert_eq!(answer.body.len(), 5000);
                assert!(
                    answer.body.iter().enumerate().all(|(i, b)| *b == i.to_le_bytes()[0]),
                    "bytes of another answer"
                );
                whole += 1;
            }
            _ => reset += 1,
        }
    }
    assert!(reset > 60 && whole > 60, "{reset} reset, {whole} whole");
}
