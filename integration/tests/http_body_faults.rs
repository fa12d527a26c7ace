//! Faults of answers, bodies and requests: what the client and the upstream see, byte for byte.

use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::Reason;
use http_body_util::BodyExt;
use serde_json::json;
use squall_integration::client::{self, full, get, request, reset_reason};
use squall_integration::origin::Origin;
use squall_integration::path::Path;
use squall_integration::raw::exchange;
use squall_integration::{End, RawClient, Settings, Squall, eventually};

fn get_text(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: b\r\n\r\n")
}

fn pattern(count: u64) -> Vec<u8> {
    (0..count).map(|i| i.to_le_bytes()[0]).collect()
}

/// Where a head ends.
fn body_of(bytes: &[u8]) -> &[u8] {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("a head came");
    &bytes[end + 4..]
}

#[test]
fn a_lost_response_was_worked_for() {
    let path = Path::with(&json!({"response_lost": true}));
    let (bytes, end, _) = exchange(path.squall.to_b(), get_text("/echo"));
    assert_eq!((bytes.len(), end), (0, End::Reset));
    assert_eq!(path.echo.requests(), 1, "the upstream did answer");
    path.http2(async |mut client| {
        let error = client.send(get("/echo")).await.unwrap_err();
        assert_eq!(reset_reason(&error), Some(Reason::INTERNAL_ERROR));
        // The next stream of the connection is well.
        path.api().remove("r");
        assert_eq!(client.must(get("/echo")).await.status, 200);
    });
    assert_eq!(path.echo.requests(), 3);
}

#[test]
fn a_truncated_answer_promises_more_than_comes_and_ends_in_fin() {
    let path = Path::with(&json!({"truncate": {"after_bytes": 1000}}));
    let (bytes, end, _) = exchange(path.squall.to_b(), get_text("/sized/5000"));
    let head = String::from_utf8_lossy(&bytes[..bytes.len() - 1000]).into_owned();
    assert!(head.contains("content-length: 5000") && head.contains("kind=truncate"), "{head}");
    assert_eq!((body_of(&bytes), end), (&pattern(1000)[..], End::Fin));
    // In chunks: the last one is missing.
    let (bytes, end, _) = exchange(path.squall.to_b(), get_text("/bytes/5000"));
    assert!(!bytes.ends_with(b"0\r\n\r\n"));
    assert_eq!(end, End::Fin);
    // A shorter answer is whole, and the connection goes on.
    let mut client = path.client();
    assert_eq!((client.get("/sized/999").body.len(), client.get("/sized/10").body.len()), (999, 10));
    path.http2(async |mut client| {
        // Without a length nothing but the missing trailers tells.
        let answer = client.must(get("/bytes/5000")).await;
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &pattern(1000)[..]));
    });
}

#[test]
fn truncation_after_a_time_lets_what_came_before_pass() {
    let origin = Origin::start(|mut peer| {
        while peer.request().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nearly");
            // Until the other side ends.
            peer.read(1);
        }
    });
    let squall = Squall::start(&Settings::http(origin.address));
    for (fault, expected) in [("truncate", End::Fin), ("reset", End::Reset)] {
        squall.api().rule("r", &json!({"percentage": 100, "fault": {fault: {"after": "300ms"}}}));
        let (bytes, end, took) = exchange(squall.to_b(), get_text("/x"));
        assert_eq!((body_of(&bytes), end), (&b"early"[..], expected));
        assert!((300..2000).contains(&took.as_millis()), "{took:?}");
    }
}

#[test]
fn a_stall_stops_at_its_byte_and_ends_with_its_rule() {
    let path = Path::with(&json!({"stall": {"after_bytes": 10}}));
    let mut client = path.client();
    client.send(get_text("/sized/100"));
    let mut seen = Vec::new();
    while !seen.windows(14).any(|w| w == [b"\r\n\r\n", &pattern(10)[..]].concat()) {
        seen.extend(client.read_exact(1));
    }
    assert!(client.is_silent_for(Duration::from_millis(300)));
    path.api().remove("r");
    assert_eq!(client.read_exact(90), pattern(100)[10..]);
    // With a bound it goes on by itself; halt lets go as well.
    let path = Path::with(&json!({"stall": {"max": "300ms"}}));
    let begin = Instant::now();
    assert_eq!(path.client().get("/sized/100").body, pattern(100));
    assert!(begin.elapsed() >= Duration::from_millis(300));
    let path = Path::with(&json!({"stall": true}));
    let mut client = path.client();
    client.send(get_text("/sized/100"));
    eventually("the stall is on", Duration::from_secs(5), || {
        (path.api().metrics().sum("chaos_active_faults", &[]) == 1.0).then_some(())
    });
    path.api().halt();
    assert_eq!(client.answer().body, pattern(100));
}

#[test]
fn a_stalled_upload_keeps_its_window_shut_and_its_neighbour_well() {
    let path = Path::with(&json!({"stall": {"on": "request", "after_bytes": 100}}));
    path.api().rule(
        "r",
        &json!({"percentage": 100, "match": {"path": "/mirror"}, "fault": {"stall": {"on": "request", "after_bytes": 100}}}),
    );
    path.http2(async |mut client| {
        let mut neighbour = client.stream();
        let upload = client.must(request("POST", "/mirror", full(vec![7; 4_000_000])));
        let others = async {
            for _ in 0..20 {
                assert_eq!(neighbour.must(request("POST", "/echo", full("hello"))).await.status, 200);
            }
            path.api().remove("r");
        };
        let (answer, ()) = tokio::join!(upload, others);
        assert_eq!(answer.body.len(), 4_000_000);
    });
}

#[test]
fn corruption_flips_bits_and_leaves_the_framing_alone() {
    let path = Path::with(&json!({"corrupt": {"rate": 10}}));
    let mut client = path.client();
    for target in ["/sized/10000", "/bytes/10000"] {
        let body = client.get(target).body;
        assert_eq!(body.len(), 10_000);
        let flipped = body.iter().zip(pattern(10_000)).filter(|(a, b)| **a != *b).count();
        assert!((850..1150).contains(&flipped), "{target}: {flipped}");
    }
    // The upload is another direction.
    path.api().rule("r", &json!({"percentage": 100, "fault": {"corrupt": {"rate": 100, "direction": "request"}}}));
    let sent = client.send("POST /echo HTTP/1.1\r\nHost: b\r\nContent-Length: 4\r\n\r\nAAAA").answer().json();
    assert_ne!(sent["body"], "AAAA");
    assert_eq!(sent["body_length"], 4);
}

#[test]
fn throttled_bodies_keep_to_their_rate_in_both_directions() {
    // 100 kB/s: 300 kB take 3 s, each way.
    let path = Path::with(&json!({"throttle": {"rate": "100kB/s", "direction": "response"}}));
    let begin = Instant::now();
    assert_eq!(path.client().get("/sized/300000").body.len(), 300_000);
    let took = begin.elapsed().as_secs_f64();
    assert!((2.91..3.09).contains(&took), "download took {took} s");
    path.api()
        .rule("r", &json!({"percentage": 100, "fault": {"throttle": {"rate": "100kB/s", "direction": "request"}}}));
    path.http2(async |mut client| {
        let begin = Instant::now();
        let answer = client.must(request("POST", "/mirror", full(vec![1; 300_000]))).await;
        let took = begin.elapsed().as_secs_f64();
        assert_eq!(answer.body.len(), 300_000);
        assert!((2.91..3.09).contains(&took), "upload took {took} s");
    });
}

#[test]
fn a_slow_body_comes_in_pieces() {
    let path = Path::with(&json!({"slow_body": {"chunk": "100B", "every": "100ms"}}));
    let begin = Instant::now();
    assert_eq!(path.client().get("/sized/1000").body, pattern(1000));
    let took = begin.elapsed();
    // Nine pauses between ten pieces.
    assert!((900..1500).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn server_sent_events_come_one_at_a_time() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 37\r\n\r\n\
         data: 1\n\ndata: two\ndata: 2\n\ndata: 3\n\n",
    );
    let squall = Squall::start(&Settings::http(origin.address));
    squall.api().rule("r", &json!({"percentage": 100, "fault": {"slow_body": {"chunk": "event", "every": "300ms"}}}));
    let mut client = RawClient::connect(squall.to_b());
    client.send(get_text("/events"));
    let mut seen = Vec::new();
    while !seen.ends_with(b"data: 1\n\n") {
        seen.extend(client.read_exact(1));
    }
    assert!(client.is_silent_for(Duration::from_millis(150)));
    assert_eq!(client.read_exact(19), b"data: two\ndata: 2\n\n");
    assert!(client.is_silent_for(Duration::from_millis(150)));
    assert_eq!(client.read_exact(9), b"data: 3\n\n");
}

#[test]
fn modified_answers_have_another_head_and_body() {
    let path = Path::with(
        &json!({"modify": {"status": 404, "set_headers": {"x-new": "1", "set-cookie": "only=1"}, "body": "gone"}}),
    );
    let mut client = path.client();
    for _ in 0..2 {
        let answer = client.get("/cookies");
        assert_eq!((answer.status, answer.text().as_str(), answer.header("content-length")), (404, "gone", Some("4")));
        assert_eq!((answer.header_all("set-cookie"), answer.header("x-new")), (vec!["only=1"], Some("1")));
        assert_eq!(answer.header("x-squall-fault"), Some("rule=r; kind=modify"));
    }
    assert_eq!(path.echo.requests(), 2);
    path.api().rule("r", &json!({"percentage": 100, "fault": {"modify": {"remove_headers": "set-cookie"}}}));
    let answer = client.get("/cookies");
    assert_eq!((answer.header("set-cookie"), answer.text().as_str()), (None, "cookies"));
    path.api().rule("r", &json!({"percentage": 100, "fault": {"modify": {"status": 204}}}));
    let answer = client.get("/sized/1000");
    assert_eq!((answer.status, answer.body.len(), client.get("/sized/9").status), (204, 0, 204));
}

#[test]
fn modified_requests_reach_the_upstream_so() {
    let fault = json!({"modify": {"on": "request", "set_headers": {"x-who": "squall"}, "remove_headers": ["x-a"], "body": "other"}});
    let path = Path::with(&fault);
    let mut client = path.client();
    let seen = client.send("POST /echo HTTP/1.1\r\nHost: b\r\nX-A: 1\r\nContent-Length: 3\r\n\r\nabc").answer().json();
    assert_eq!((seen["body"].as_str(), seen["body_length"].as_u64()), (Some("other"), Some(5)));
    let headers = seen["headers"].to_string();
    assert!(headers.contains("squall") && !headers.contains("x-a"), "{headers}");
    // What the client had sent is out of the way.
    assert_eq!(client.get("/echo").status, 200);
    path.http2(async |mut client| {
        let seen = client.must(request("POST", "/echo", full("abc"))).await.json();
        assert_eq!(seen["body"], "other");
    });
}

#[test]
fn malformed_answers_are_what_they_say() {
    let path = Path::with(&json!({"malformed": "empty"}));
    let (bytes, end, _) = exchange(path.squall.to_b(), get_text("/echo"));
    assert_eq!((bytes.len(), end), (0, End::Fin));
    path.api().rule("r", &json!({"percentage": 100, "fault": {"malformed": "garbage"}}));
    let (bytes, end, _) = exchange(path.squall.to_b(), get_text("/echo"));
    assert_eq!((bytes.len(), end), (256, End::Fin));
    assert!(!bytes.starts_with(b"HTTP/"));
    path.api().rule("r", &json!({"percentage": 100, "fault": {"malformed": "bad_chunk"}}));
    let (bytes, end, _) = exchange(path.squall.to_b(), get_text("/echo"));
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(
        text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("x-squall-fault: rule=r; kind=malformed"),
        "{text}"
    );
    assert_eq!((body_of(&bytes), end), (&b"5\r\nhello\r\nno chunk\r\n"[..], End::Fin));
    assert_eq!(path.echo.requests(), 0, "the upstream knows nothing of it");
    path.http2(async |mut client| {
        let error = client.send(get("/echo")).await.unwrap_err();
        assert_eq!(reset_reason(&error), Some(Reason::PROTOCOL_ERROR));
        path.api().remove("r");
        assert_eq!(client.must(get("/echo")).await.status, 200);
    });
}

#[test]
fn a_duplicate_reaches_the_upstream_and_its_answer_nobody() {
    let path = Path::with(&json!({"duplicate": true}));
    let mut client = path.client();
    let seen = client.send("POST /echo HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\n\r\nabc").answer();
    assert_eq!(seen.json()["body"], "abc");
    eventually("both have come", Duration::from_secs(5), || (path.echo.requests() == 2).then_some(()));
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    squall.api().rule("r", &json!({"percentage": 100, "fault": {"duplicate": {"after": "200ms"}}}));
    let mut client = RawClient::connect(squall.to_b());
    // In chunks: of unknown length, but short enough to be copied.
    client.send("PUT /x HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    assert_eq!(origin.seen().len(), 1);
    eventually("the second has come", Duration::from_secs(5), || (origin.seen().len() == 2).then_some(()));
    assert!(origin.seen().iter().all(|seen| seen.line == "PUT /x HTTP/1.1" && seen.body == b"hello"));
    // What is too long to be kept goes once, and is counted.
    let body = vec![b'x'; 2_000_000];
    client.send(format!("PUT /y HTTP/1.1\r\nHost: b\r\nContent-Length: {}\r\n\r\n", body.len())).send(&body);
    assert_eq!(client.answer().status, 200);
    assert_eq!((origin.seen().len(), origin.seen()[2].body.len()), (3, 2_000_000));
    let skipped = [("rule", "r"), ("reason", "not_applicable")];
    assert_eq!(squall.api().metrics().sum("chaos_skipped_faults_total", &skipped), 1.0);
}

#[test]
fn a_floor_and_a_multiple_depend_on_what_the_upstream_took() {
    let path = Path::with(&json!({"delay": {"at_least": "400ms"}}));
    let mut client = path.client();
    let mut took = |target: &str| {
        let begin = Instant::now();
        assert_eq!(client.get(target).status, 200);
        begin.elapsed().as_millis()
    };
    assert!((400..600).contains(&took("/echo")));
    assert!((400..600).contains(&took("/slow/300")), "300 ms of the floor were the upstream's");
    assert!((500..800).contains(&took("/slow/500")), "the floor was reached already");
    path.api().rule("r", &json!({"percentage": 100, "fault": {"delay": {"multiply": 3, "max": "5s"}}}));
    assert!((600..900).contains(&took("/slow/200")));
    path.api().rule("r", &json!({"percentage": 100, "fault": {"delay": {"multiply": 30, "max": "100ms"}}}));
    assert!((300..550).contains(&took("/slow/200")), "no more than max is added");
    let m = path.api().metrics();
    assert_eq!(
        m.sum("chaos_injected_faults_total", &[("kind", "delay")]),
        4.0,
        "a floor that was reached adds nothing"
    );
}

#[test]
fn a_stream_is_reset_with_the_code_that_was_asked_for() {
    for (code, expected) in [("REFUSED_STREAM", Reason::REFUSED_STREAM), ("11", Reason::ENHANCE_YOUR_CALM)] {
        let path = Path::with(&json!({"reset": {"on": "response", "code": code}}));
        path.http2(async |mut client| {
            let error = client.send(get("/echo")).await.unwrap_err();
            assert_eq!(reset_reason(&error), Some(expected));
        });
    }
}

#[test]
fn goaway_lets_streams_finish_or_ends_them() {
    let path = Path::with(&json!({"goaway": true}));
    path.http2(async |mut client| {
        assert_eq!(client.must(get("/sized/100000")).await.body.len(), 100_000);
        // The connection takes no more.
        assert!(client.send(get("/echo")).await.is_err());
    });
    let mut client = path.client();
    let answer = client.get("/echo");
    assert_eq!(
        (answer.header("connection"), answer.header("x-squall-fault")),
        (Some("close"), Some("rule=r; kind=goaway"))
    );
    assert_eq!(client.read_to_end(), (vec![], End::Fin));
    // With an error everything ends at once, which is what this fault is for.
    path.api().rule(
        "r",
        &json!({"percentage": 100, "match": {"path": "/bad"}, "fault": {"goaway": {"code": "ENHANCE_YOUR_CALM"}}}),
    );
    let address = path.squall.to_b();
    client::run(Duration::from_secs(60), async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut send = |path: &str| {
            let request = http::Request::get(format!("http://b{path}")).body(()).unwrap();
            requests.send_request(request, true).unwrap().0
        };
        let (slow, bad) = (send("/slow/2000"), send("/bad"));
        assert!(slow.await.is_err() && bad.await.is_err());
        let error = connection.await.unwrap().unwrap_err();
        assert!(error.is_go_away() && error.is_remote(), "{error:?}");
        assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM));
    });
    let (bytes, end, _) = exchange(path.squall.to_b(), get_text("/bad"));
    assert_eq!((bytes.len(), end), (0, End::Fin));
}

#[test]
fn faults_of_the_body_touch_an_injected_answer_too() {
    let path = Path::with(
        &json!({"abort": {"status": 503, "body": "0123456789"}, "slow_body": {"chunk": 2, "every": "100ms"}}),
    );
    let begin = Instant::now();
    let answer = path.client().get("/x");
    assert_eq!((answer.status, answer.text().as_str()), (503, "0123456789"));
    assert!(begin.elapsed() >= Duration::from_millis(400));
    assert_eq!(answer.header_all("x-squall-fault"), ["rule=r; kind=abort", "rule=r; kind=slow_body"]);
}

#[test]
fn a_drain_waits_for_no_slow_body() {
    let path = Path::with(&json!({"throttle": "1kB/s"}));
    let mut client = path.client();
    client.send(get_text("/sized/100000"));
    eventually("the throttle is on", Duration::from_secs(5), || {
        (path.api().metrics().sum("chaos_active_faults", &[]) == 1.0).then_some(())
    });
    path.squall.signal("TERM");
    let begin = Instant::now();
    assert_eq!(client.answer().body, pattern(100_000));
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_slow_body_of_one_stream_does_not_slow_another() {
    let path = Path::with(&json!({"delay": "1ms"}));
    path.api()
        .rule("r", &json!({"percentage": 100, "match": {"path": "/bytes/1000000"}, "fault": {"throttle": "10kB/s"}}));
    path.http2(async |mut client| {
        let mut slow = client.stream();
        let response = slow.head(get("/bytes/1000000")).await.unwrap();
        let begin = Instant::now();
        assert_eq!(client.must(get("/bytes/3000000")).await.body.len(), 3_000_000);
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
        path.api().remove("r");
        let rest: Bytes = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(rest.len(), 1_000_000);
    });
}
