//! What the upstream does wrong is told apart from faults: 502 and 504 with `x-squall-error`, and never a clean end
//! of a body that was cut short.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use squall_integration::client::{Client, Whole, full, get, request};
use squall_integration::message::Answer;
use squall_integration::origin::{Origin, black_hole, refusing};
use squall_integration::wait::pause;
use squall_integration::{End, RawClient, Settings, Squall, eventually};

fn failed(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{} {}", answer.line, answer.text());
    let error = answer.header("x-squall-error").unwrap_or_else(|| panic!("no x-squall-error: {answer:?}"));
    assert!(error.starts_with("upstream_"), "blame: {error}");
    assert_eq!(answer.header("x-squall-fault"), None, "an accident is no fault");
}

#[test]
fn a_refused_connection_is_502() {
    let squall = Squall::start(&Settings::http(refusing()));
    let mut client = RawClient::connect(squall.to_b());
    failed(&client.get("/"), 502);
    let answer = client.get("/");
    failed(&answer, 502);
    assert_eq!(answer.header("x-squall-error"), Some("upstream_connect_refused"));
    let metrics = squall.api().metrics();
    assert_eq!(metrics.sum("squall_requests_total", &[("origin", "proxy"), ("status_class", "5xx")]), 2.0);
}

#[test]
fn a_refused_connection_is_502_on_http2_too() {
    let squall = Squall::start(&Settings::http2(refusing()));
    let address = squall.to_b();
    squall_integration::client::run(Duration::from_secs(20), async {
        let answer = Client::http2(address).await.must(get("/")).await;
        assert_eq!(answer.status, 502);
        assert!(answer.header("x-squall-error").is_some_and(|e| e.starts_with("upstream_")));
    });
}

#[test]
fn a_connection_that_takes_too_long_is_504() {
    let (address, _held) = black_hole();
    let settings = Settings::new().listener("to-b", "http", "service-b").cluster_with(
        "service-b",
        "http1",
        &[address],
        "connect_timeout: 300ms",
    );
    let squall = Squall::start(&settings);
    let begin = Instant::now();
    failed(&RawClient::connect(squall.to_b()).get("/"), 504);
    assert!((Duration::from_millis(290)..Duration::from_secs(3)).contains(&begin.elapsed()), "{:?}", begin.elapsed());
}

#[test]
fn an_answer_that_takes_too_long_is_504() {
    let origin = Origin::start(|mut peer| {
        peer.request();
        peer.read_to_end();
    });
    let settings = Settings::new().listener("to-b", "http", "service-b").cluster_with(
        "service-b",
        "http1",
        &[origin.address],
        "response_timeout: 300ms",
    );
    let squall = Squall::start(&settings);
    failed(&RawClient::connect(squall.to_b()).get("/"), 504);
}

#[test]
fn a_head_that_has_begun_and_does_not_end_is_504() {
    let origin = Origin::start(|mut peer| {
        while let Some(request) = peer.request() {
            if request.line.contains("/half") {
                peer.send("HTTP/1.1 200 OK\r\nX-Slow: ");
                peer.read_to_end();
            } else if request.line.contains("/early") {
                peer.send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
            }
            pause(Duration::from_millis(700));
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let settings = Settings::new().listener("to-b", "http", "service-b").cluster_with(
        "service-b",
        "http1",
        &[origin.address],
        "header_timeout: 300ms",
    );
    let squall = Squall::start(&settings);
    let begin = Instant::now();
    let answer = RawClient::connect(squall.to_b()).get("/half");
    failed(&answer, 504);
    assert_eq!(answer.header("x-squall-error"), Some("upstream_header_timeout"));
    assert!((Duration::from_millis(290)..Duration::from_secs(3)).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    // What has not begun is for the application to wait for, also behind an interim answer.
    for path in ["/late", "/early"] {
        assert_eq!(RawClient::connect(squall.to_b()).get(path).status, 200, "{path}");
    }
}

#[test]
fn garbage_and_broken_heads_are_502() {
    let answers: &[(&str, &[u8])] = &[
        ("garbage", b"\x00\x01\x02 not http at all\r\n\r\n"),
        ("nothing", b""),
        ("half a head", b"HTTP/1.1 200 OK\r\nContent-Le"),
        ("obs-fold", b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 0\r\n\r\n"),
        ("NUL in a value", b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n"),
        ("two different CL", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        ("negative CL", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
        ("TE gzip, chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        ("TE gzip", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx"),
        ("status 42", b"HTTP/1.1 42 What\r\nContent-Length: 0\r\n\r\n"),
    ];
    let mut wrong = Vec::new();
    for (name, bytes) in answers {
        let origin = Origin::answering_once(*bytes);
        let squall = Squall::start(&Settings::http(origin.address));
        match RawClient::connect(squall.to_b()).send("GET / HTTP/1.1\r\nHost: b\r\n\r\n").try_answer("GET") {
            Ok(a) if a.status == 502 && a.header("x-squall-error").is_some_and(|e| e.starts_with("upstream_")) => {}
            other => wrong.push(format!("{name}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_answer_with_te_and_cl_is_framed_anew() {
    let origin = Origin::answering_once(
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    let squall = Squall::start(&Settings::http(origin.address));
    let mut client = RawClient::connect(squall.to_b());
    let answer = client.get("/");
    assert_eq!((answer.status, answer.text().as_str(), answer.header("content-length")), (200, "hello", None));
    assert_eq!(client.get("/").text(), "hello", "downstream's connection is still in step");
}

#[test]
fn a_body_cut_short_is_not_ended_cleanly() {
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nonly this",
    ];
    for text in answers {
        let origin = Origin::answering_once(text);
        let squall = Squall::start(&Settings::http(origin.address));
        let mut client = RawClient::connect(squall.to_b());
        client.send("GET / HTTP/1.1\r\nHost: b\r\n\r\n");
        match client.try_answer("GET") {
            Ok(answer) => assert!(!answer.complete, "{text:?} became {answer:?}"),
            Err(e) => assert!(squall_integration::raw::end_of(&e).is_some_and(|end| end != End::Silence), "{e}"),
        }
        let address = squall.to_b();
        squall_integration::client::run(Duration::from_secs(20), async {
            let answer = Client::http2(address).await.send(get("/")).await;
            assert!(answer.is_err(), "{text:?} became {answer:?} on HTTP/2");
        });
    }
}

#[test]
fn an_answer_to_http_1_0_that_breaks_off_does_not_look_complete() {
    // Its length is not told, so only the way in which the connection ends can tell.
    let origin = Origin::answering_once("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n");
    let squall = Squall::start(&Settings::http(origin.address));
    let (_, end, _) = squall_integration::raw::exchange(squall.to_b(), "GET / HTTP/1.0\r\nHost: b\r\n\r\n");
    assert_eq!(end, End::Reset);
}

#[test]
fn a_stale_pooled_connection_is_replaced_unseen() {
    // Each connection serves one request, pretends to keep alive, and is closed a moment later.
    let origin = Origin::answering_once("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let squall = Squall::start(&Settings::http(origin.address));
    let mut client = RawClient::connect(squall.to_b());
    for _ in 0..300 {
        assert_eq!(client.get("/").status, 200);
    }
}

#[test]
fn a_connection_that_dies_under_an_idempotent_request_is_retried() {
    // The second request on each connection is read and then answered with a close.
    let origin = Origin::start(|mut peer| {
        if peer.request().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
        peer.request();
    });
    let squall = Squall::start(&Settings::http(origin.address));
    let mut client = RawClient::connect(squall.to_b());
    for _ in 0..50 {
        assert_eq!(client.get("/").status, 200);
    }
}

#[test]
fn a_post_is_never_sent_twice() {
    let origin = Origin::start(|mut peer| {
        if peer.request().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
        peer.request();
    });
    let squall = Squall::start_with(&Settings::http(origin.address), &["--workers", "1"]);
    let mut client = RawClient::connect(squall.to_b());
    for i in 0..10 {
        client.send(format!("POST /{i} HTTP/1.1\r\nHost: b\r\nContent-Length: 1\r\n\r\nx"));
        let answer = client.answer_to("POST");
        assert!(matches!(answer.status, 200 | 502), "{answer:?}");
        if answer.header("connection") == Some("close") {
            client = RawClient::connect(squall.to_b());
        }
    }
    let seen = origin.seen();
    for i in 0..10 {
        let times = seen.iter().filter(|s| s.line.starts_with(&format!("POST /{i} "))).count();
        assert_eq!(times, 1, "POST /{i}");
    }
}

#[test]
fn a_broken_answer_does_not_spoil_the_next_request() {
    let origin = Origin::start(|mut peer| {
        while let Some(seen) = peer.request() {
            if seen.line.starts_with("GET /bad") {
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and some bytes too many");
            } else {
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        }
    });
    let squall = Squall::start_with(&Settings::http(origin.address), &["--workers", "1"]);
    let mut client = RawClient::connect(squall.to_b());
    for _ in 0..30 {
        assert_eq!((client.get("/bad").text().as_str(), client.get("/good").status), ("ok", 200));
    }
}

#[test]
fn an_http2_upstream_that_goes_away_is_replaced() {
    let squall;
    let first = squall_integration::echo::Echo::http2();
    let second = squall_integration::echo::Echo::http2();
    squall = Squall::start(&Settings::new().listener("to-b", "http", "b").cluster(
        "b",
        "http2",
        &[first.address, second.address],
    ));
    let address = squall.to_b();
    squall_integration::client::run(Duration::from_secs(30), async {
        let mut client = Client::http1(address).await;
        for _ in 0..10 {
            assert_eq!(client.must(get("/echo")).await.status, 200);
        }
        drop(first);
        // The dead endpoint may answer 502, the living one must go on, and nothing hangs.
        let mut good = 0;
        for _ in 0..20 {
            good += usize::from(
                client.must(request("GET", "/echo", squall_integration::client::empty())).await.status == 200,
            );
        }
        assert!(good >= 10, "{good} of 20");
    });
}

#[test]
fn failures_are_counted_apart_from_faults() {
    let squall = Squall::start(&Settings::http(refusing()));
    let api = squall.api();
    api.rule("slow", &json!({"percentage": 100, "fault": {"delay": "10ms"}}));
    let answer = RawClient::connect(squall.to_b()).get("/");
    assert_eq!(answer.status, 502);
    assert!(answer.header("x-squall-error").is_some());
    eventually("the counters", Duration::from_secs(5), || {
        let m = api.metrics();
        let failed = m.sum("squall_upstream_connections_total", &[("cluster", "service-b")]);
        (m.sum("chaos_injected_faults_total", &[("rule", "slow")]) == 1.0 && failed >= 1.0).then_some(())
    });
}

/// A call of gRPC to an upstream like this, over HTTP/2: its answer, and the line of the access log about it.
fn call(protocol: &str, endpoint: SocketAddr, more: &str, rule: Option<Value>) -> (Squall, Whole, Value) {
    let settings = Settings::new().listener("to-b", "http", "service-b");
    let settings = settings.cluster_with("service-b", protocol, &[endpoint], more);
    let squall = Squall::start(&settings.with("access_log: { file: access.log }"));
    if let Some(fault) = rule {
        squall.api().rule("held", &json!({"percentage": 100, "fault": fault}));
    }
    let address = squall.to_b();
    let answer = squall_integration::client::run(Duration::from_secs(20), async {
        let mut call = request("POST", "/shop.v1.Basket/Add", full(&b"\0\0\0\0\0"[..]));
        call.headers_mut().insert("content-type", "application/grpc+proto".parse().unwrap());
        call.headers_mut().insert("te", "trailers".parse().unwrap());
        Client::http2(address).await.must(call).await
    });
    let line = eventually("the call is logged", Duration::from_secs(5), || {
        let text = std::fs::read_to_string(squall.directory().join("access.log")).ok()?;
        serde_json::from_str(text.lines().next()?).ok()
    });
    (squall, answer, line)
}

#[test]
fn a_caller_of_grpc_gets_a_status_of_grpc_and_is_counted_as_anybody() {
    let closing = Origin::start(|mut peer| drop(peer.request()));
    let silent = Origin::start(|mut peer| drop(peer.read_to_end()));
    let (hole, _held) = black_hole();
    for (protocol, endpoint, more, error, words, status) in [
        ("http1", refusing(), "", "upstream_connect_refused", "is the upstream running?", 502),
        ("http2", refusing(), "", "upstream_connect_refused", "is the upstream running?", 502),
        ("http1", closing.address, "", "upstream_closed", "closed the connection", 502),
        ("http2", hole, "connect_timeout: 300ms", "upstream_connect_timeout", "in time", 504),
        ("http1", silent.address, "response_timeout: 300ms", "upstream_response_timeout", "response_timeout", 504),
        ("http2", silent.address, "response_timeout: 300ms", "upstream_response_timeout", "response_timeout", 504),
    ] {
        let (squall, answer, line) = call(protocol, endpoint, more, None);
        let what = format!("{protocol} {error}: {answer:?}");
        assert_eq!((answer.status.as_u16(), answer.body.len(), &answer.trailers), (status, 0, &None), "{what}");
        assert_eq!(answer.header("content-type"), Some("application/grpc"), "{what}");
        assert_eq!(
            (answer.header("grpc-status"), answer.header("x-squall-error")),
            (Some("14"), Some(error)),
            "{what}"
        );
        assert!(answer.header("grpc-message").is_some_and(|message| message.contains(words)), "{what}");
        assert_eq!((&line["status"], &line["grpc_status"]), (&json!(status), &json!(14)), "{line}");
        assert_eq!((&line["origin"], &line["error"]), (&json!("proxy"), &json!(error)), "{line}");
        let labels = [("origin", "proxy"), ("status_class", "5xx")];
        assert_eq!(squall.api().metrics().sum("squall_requests_total", &labels), 1.0, "{what}");
    }
}

#[test]
fn a_caller_of_grpc_whom_a_rule_held_for_too_long_gets_a_status_of_grpc() {
    let fault = json!({"delay": "30s"});
    let (squall, answer, line) = call("http2", refusing(), "response_timeout: 300ms", Some(fault));
    assert_eq!((answer.status.as_u16(), answer.header("grpc-status")), (504, Some("14")), "{answer:?}");
    assert_eq!(answer.header("x-squall-fault"), Some("rule=held; kind=delay"));
    assert_eq!(answer.header("x-squall-error"), None);
    assert_eq!((&line["status"], &line["grpc_status"], &line["origin"]), (&json!(504), &json!(14), &json!("injected")));
    let labels = [("origin", "injected"), ("status_class", "5xx")];
    assert_eq!(squall.api().metrics().sum("squall_requests_total", &labels), 1.0);
}

#[test]
fn a_caller_of_grpc_is_told_what_was_wrong_with_its_request() {
    let squall = Squall::start(&Settings::http2(refusing()));
    let address = squall.to_b();
    squall_integration::client::run(Duration::from_secs(20), async {
        let mut call = request("POST", "/shop.v1.Basket/Add", full(&b"\0\0\0\0\0"[..]));
        call.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        call.headers_mut().insert("host", "somebody-else".parse().unwrap());
        let answer = Client::http2(address).await.must(call).await;
        assert_eq!((answer.status.as_u16(), answer.header("grpc-status")), (400, Some("13")), "{answer:?}");
        assert_eq!(answer.header("grpc-message"), Some("exactly one valid Host is required"));
        assert_eq!(answer.header("x-squall-error"), Some("downstream_invalid_host"));
    });
}

#[test]
fn grpc_over_http_1_gets_the_same_and_keeps_its_connection() {
    let squall = Squall::start(&Settings::http(refusing()));
    let mut client = RawClient::connect(squall.to_b());
    for content_type in ["application/grpc-web+proto", "application/grpc"] {
        client.send(format!(
            "POST /shop.v1.Basket/Add HTTP/1.1\r\nHost: b\r\nContent-Type: {content_type}\r\nContent-Length: 5\r\n\r\n\0\0\0\0\0"
        ));
        let answer = client.answer_to("POST");
        assert_eq!((answer.status, answer.header("grpc-status")), (502, Some("14")), "{answer:?}");
        assert_eq!((answer.text().as_str(), answer.header("content-length")), ("", Some("0")), "{answer:?}");
        assert_eq!(answer.header("x-squall-error"), Some("upstream_connect_refused"));
    }
    failed(&client.get("/"), 502);
}

#[test]
fn a_rule_that_changes_what_goes_to_the_upstream_does_not_change_what_its_caller_understands() {
    let squall = Squall::start(&Settings::http(refusing()));
    let modify = json!({"modify": {"on": "request", "set_headers": {"content-type": "application/grpc"}}});
    squall.api().rule("r", &json!({"percentage": 100, "fault": modify}));
    let mut client = RawClient::connect(squall.to_b());
    let head = "POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\nContent-Type:";
    client.send(format!("{head} application/json\r\n\r\n"));
    let answer = client.answer_to("POST");
    assert_eq!((answer.status, answer.header("content-type")), (502, Some("application/problem+json")), "{answer:?}");
}
