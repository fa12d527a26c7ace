//! Connections of downstream: pipelining, keep-alive, upgrades, timeouts.

use std::time::{Duration, Instant};

use squall_integration::echo::Echo;
use squall_integration::origin::Origin;
use squall_integration::raw::exchange;
use squall_integration::{End, RawClient, Settings, Squall, eventually};

#[test]
fn pipelined_requests_are_answered_in_order() {
    let echo = Echo::http1();
    let squall = Squall::start(&Settings::http(echo.address));
    let mut client = RawClient::connect(squall.to_b());
    let all: String = (0..50).map(|i| format!("GET /echo/{i} HTTP/1.1\r\nHost: b\r\n\r\n")).collect();
    client.send(all);
    for i in 0..50 {
        assert_eq!(client.answer().json()["target"], format!("/echo/{i}"));
    }
}

#[test]
fn bytes_after_connection_close_do_not_cost_the_answer() {
    let echo = Echo::http1();
    let squall = Squall::start(&Settings::http(echo.address));
    for _ in 0..50 {
        let request = "GET /sized/2000 HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\nGET /echo/late HTTP/1.1\r\nHost: b\r\n\r\n";
        let mut client = RawClient::connect(squall.to_b());
        let answer = client.send(request).answer();
        assert_eq!((answer.status, answer.body.len(), answer.complete), (200, 2000, true));
        let (rest, _) = client.read_to_end();
        assert!(rest.is_empty(), "nothing is answered after the end: {rest:?}");
    }
    assert_eq!(echo.requests(), 50, "what came after `close` is not forwarded");
}

#[test]
fn keep_alive_survives_many_requests_of_all_kinds() {
    let echo = Echo::http1();
    let squall = Squall::start(&Settings::http(echo.address));
    let mut client = RawClient::connect(squall.to_b());
    for i in 0..100 {
        assert_eq!(client.get("/echo").status, 200);
        assert_eq!(client.send("HEAD /sized/10 HTTP/1.1\r\nHost: b\r\n\r\n").answer_to("HEAD").status, 200);
        let post = format!("POST /echo HTTP/1.1\r\nHost: b\r\nContent-Length: {}\r\n\r\n{}", i, "x".repeat(i));
        assert_eq!(client.send(post).answer_to("POST").json()["body_length"], i);
        assert_eq!(client.get("/status/204").status, 204);
    }
    assert!(echo.connections() <= 2, "{} upstream connections", echo.connections());
}

#[test]
fn upgrade_becomes_a_tunnel_after_101() {
    let origin = Origin::start(|mut peer| {
        let Some(seen) = peer.request() else { return };
        if seen.header("upgrade") != Some("websocket") {
            return peer.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
        // The first bytes of the tunnel come in one packet with the head.
        peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nwelcome");
        while let [byte] = peer.read(1)[..] {
            peer.send([byte.to_ascii_uppercase()]);
        }
        peer.send("bye");
    });
    let squall = Squall::start(&Settings::http(origin.address));
    let mut client = RawClient::connect(squall.to_b());
    let request = "GET /chat HTTP/1.1\r\nHost: b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let answer = client.send(request).answer();
    assert_eq!((answer.status, answer.header("upgrade")), (101, Some("websocket")));
    assert_eq!(client.read_exact(7), b"welcome");
    assert_eq!(client.send("hello").read_exact(5), b"HELLO");
    client.half_close();
    assert_eq!(client.read_to_end(), (b"bye".to_vec(), End::Fin), "half-close goes through the tunnel");
}

#[test]
fn a_refused_upgrade_is_an_ordinary_answer() {
    let origin = Origin::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    let squall = Squall::start(&Settings::http(origin.address));
    let mut client = RawClient::connect(squall.to_b());
    let request = "GET /chat HTTP/1.1\r\nHost: b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(client.send(request).answer().status, 403);
    // What follows is HTTP, not tunnel.
    assert_eq!(client.get("/next").status, 403);
    assert_eq!(origin.seen()[1].line, "GET /next HTTP/1.1");
}

#[test]
fn h2c_upgrade_does_not_reach_the_upstream() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    let mut client = RawClient::connect(squall.to_b());
    let request = "GET / HTTP/1.1\r\nHost: b\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                   HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    assert_eq!(client.send(request).answer().status, 200);
    let seen = &origin.seen()[0];
    assert_eq!((seen.header("upgrade"), seen.header("http2-settings")), (None, None), "{seen:?}");
}

#[test]
fn a_101_that_nobody_asked_for_is_a_bad_answer() {
    let origin = Origin::answering("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    let squall = Squall::start(&Settings::http(origin.address));
    let answer = RawClient::connect(squall.to_b()).get("/");
    assert_eq!(answer.status, 502, "{answer:?}");
}

#[test]
fn an_early_answer_to_an_upload_is_seen() {
    let origin = Origin::start(|mut peer| {
        if peer.read_head().is_none() {
            return;
        }
        peer.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig");
        squall_integration::wait::pause(Duration::from_millis(300));
    });
    let squall = Squall::start(&Settings::http(origin.address));
    let mut client = RawClient::connect(squall.to_b());
    client.send("POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 1000000\r\n\r\n").send(vec![b'x'; 100_000]);
    let answer = client.answer_to("POST");
    assert_eq!((answer.status, answer.text().as_str()), (413, "big"));
}

#[test]
fn a_connection_outlives_an_answer_that_came_before_the_body() {
    let origin = Origin::start(|mut peer| {
        if peer.read_head().is_none() {
            return;
        }
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
        squall_integration::wait::pause(Duration::from_millis(300));
    });
    let squall = Squall::start(&Settings::http(origin.address));
    let mut client = RawClient::connect(squall.to_b());
    for _ in 0..3 {
        client.send("POST / HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        assert_eq!(client.answer_to("POST").text(), "early");
        // Nobody waits for the rest any more; it is not taken for the next request.
        client.send("6\r\nsecond\r\n0\r\n\r\n");
    }
    assert_eq!(client.get("/").text(), "early");
}

#[test]
fn requests_that_wait_behind_a_held_one_are_kept_and_the_client_that_leaves_is_noticed() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    let api = squall.api();
    api.rule("hold", &serde_json::json!({"percentage": 100, "fault": {"delay": "400ms"}}));
    let mut client = RawClient::connect(squall.to_b());
    client.send("POST /1 HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\n\r\n");
    client.send("abcGET /2 HTTP/1.1\r\nHost: b\r\n\r\n");
    assert_eq!((client.answer_to("POST").status, client.answer().status), (200, 200));
    let seen = origin.seen();
    assert_eq!((seen[0].body.as_slice(), seen[1].line.as_str()), (&b"abc"[..], "GET /2 HTTP/1.1"));
    api.rule("hold", &serde_json::json!({"percentage": 100, "fault": {"blackhole": true}}));
    let mut client = RawClient::connect(squall.to_b());
    client.send("POST /3 HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\n\r\nabc");
    let held = || api.metrics().sum("chaos_active_faults", &[]);
    squall_integration::eventually("it is held", Duration::from_secs(5), || (held() == 1.0).then_some(()));
    drop(client);
    squall_integration::eventually("it is let go", Duration::from_secs(5), || (held() == 0.0).then_some(()));
}

#[test]
fn a_head_that_does_not_come_ends_the_connection() {
    let origin = Origin::ok();
    let settings = Settings::new()
        .listener_with("to-b", "http", "service-b", "header_timeout: 300ms\nidle_timeout: 30s")
        .cluster("service-b", "http1", &[origin.address]);
    let squall = Squall::start(&settings);
    let begin = Instant::now();
    let (_, end, _) = exchange(squall.to_b(), "GET / HTTP/1.1\r\nHost: b\r\nX-Slow: ");
    assert_ne!(end, End::Silence);
    assert!((Duration::from_millis(250)..Duration::from_secs(5)).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    assert_eq!(origin.seen().len(), 0);
}

#[test]
fn an_idle_connection_outlives_the_header_timeout_but_not_the_idle_timeout() {
    let origin = Origin::ok();
    let settings = Settings::new()
        .listener_with("to-b", "http", "service-b", "header_timeout: 200ms\nidle_timeout: 1s")
        .cluster("service-b", "http1", &[origin.address]);
    let squall = Squall::start(&settings);
    let mut client = RawClient::connect(squall.to_b());
    assert_eq!(client.get("/").status, 200);
    squall_integration::wait::pause(Duration::from_millis(600));
    assert_eq!(client.get("/").status, 200, "idle for longer than header_timeout, shorter than idle_timeout");
    let begin = Instant::now();
    assert_eq!(client.read_to_end(), (vec![], End::Fin));
    assert!((Duration::from_millis(900)..Duration::from_secs(4)).contains(&begin.elapsed()), "{:?}", begin.elapsed());
}

#[test]
fn a_client_that_leaves_takes_its_upstream_request_along() {
    let (gone, seen_gone) = std::sync::mpsc::channel();
    let gone = std::sync::Mutex::new(gone);
    let origin = Origin::start(move |mut peer| {
        if peer.request().is_some() {
            let (_, end) = peer.read_to_end();
            let _ = gone.lock().unwrap().send(end);
        }
    });
    let squall = Squall::start(&Settings::http(origin.address));
    let mut client = RawClient::connect(squall.to_b());
    client.send("GET / HTTP/1.1\r\nHost: b\r\n\r\n");
    eventually("the request arrives", Duration::from_secs(5), || (origin.seen().len() == 1).then_some(()));
    drop(client);
    let end = seen_gone.recv_timeout(Duration::from_secs(5)).expect("the upstream connection ends");
    assert_ne!(end, End::Silence);
}

#[test]
fn the_auto_listener_tells_protocols_apart() {
    let (mirror, echo) = (Origin::mirror(), Echo::http1());
    let settings = Settings::new()
        .listener_with("auto", "auto", "web", "detect_timeout: 300ms")
        .listener_with("bytes", "auto", "mirror", "detect_timeout: 300ms")
        .cluster("web", "http1", &[echo.address])
        .cluster("mirror", "http1", &[mirror.address]);
    let squall = Squall::start(&settings);
    let address = squall.address("auto");
    assert_eq!(RawClient::connect(address).get("/echo").status, 200, "HTTP/1");
    squall_integration::client::run(Duration::from_secs(20), async {
        use squall_integration::client::{Client, get};
        assert_eq!(Client::http2(address).await.must(get("/echo")).await.status, 200, "HTTP/2");
    });
    let bytes = squall.address("bytes");
    assert_eq!(RawClient::connect(bytes).send([0, 1, 2, 255]).read_exact(4), [0, 1, 2, 255], "bytes");
    let greeter = Origin::start(|mut peer| {
        peer.send("220 server speaks first\r\n");
        peer.read_to_end();
    });
    let settings = Settings::new().listener_with("auto", "auto", "greeter", "detect_timeout: 200ms").cluster(
        "greeter",
        "http1",
        &[greeter.address],
    );
    let squall = Squall::start(&settings);
    assert_eq!(RawClient::connect(squall.address("auto")).read_exact(3), b"220", "silence means bytes");
}
