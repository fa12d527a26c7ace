//! Bounds on what is going on with an upstream at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use squall_integration::client::{self, Client, get};
use squall_integration::echo::Echo;
use squall_integration::origin::Origin;
use squall_integration::raw::{End, RawClient};
use squall_integration::settings::Settings;
use squall_integration::squall::Squall;
use squall_integration::wait::{PATIENCE, eventually};

fn squall(protocol: &str, endpoint: SocketAddr, caps: &str) -> Squall {
    let settings = Settings::new().listener("to-b", "http", "service-b");
    Squall::start_with(&settings.cluster_with("service-b", protocol, &[endpoint], caps), &["--workers", "2"])
}

/// So many at once, each on a connection of its own; how often each status and `x-squall-error` came.
fn at_once(address: SocketAddr, n: usize, path: &'static str) -> BTreeMap<(u16, Option<String>), usize> {
    client::run(Duration::from_secs(60), async {
        let all = (0..n).map(|_| {
            tokio::spawn(async move {
                let answer = Client::http1(address).await.must(get(path)).await;
                (answer.status.as_u16(), answer.header("x-squall-error").map(str::to_owned))
            })
        });
        let mut counts = BTreeMap::new();
        for one in all.collect::<Vec<_>>() {
            *counts.entry(one.await.expect("every request is answered")).or_default() += 1;
        }
        counts
    })
}

fn overflows(squall: &Squall, cap: &str) -> f64 {
    squall.api().metrics().sum("squall_upstream_overflows_total", &[("cluster", "service-b"), ("cap", cap)])
}

fn overflow() -> (u16, Option<String>) {
    (503, Some("upstream_overflow".to_owned()))
}

#[test]
fn exchanges_beyond_the_bound_are_turned_away_at_once() {
    for (protocol, echo) in [("http1", Echo::http1()), ("http2", Echo::http2())] {
        let squall = squall(protocol, echo.address, "requests_max: 3");
        let counts = at_once(squall.to_b(), 10, "/slow/1500");
        assert_eq!(counts, BTreeMap::from([((200, None), 3), (overflow(), 7)]), "{protocol}");
        assert_eq!((overflows(&squall, "requests"), echo.requests()), (7.0, 3));
        // They are over: the bound is on what is going on.
        assert_eq!(at_once(squall.to_b(), 3, "/slow/10"), BTreeMap::from([((200, None), 3)]));
    }
}

#[test]
fn what_a_rule_holds_takes_up_its_place() {
    let echo = Echo::http1();
    let squall = squall("http1", echo.address, "requests_max: 2");
    let held = json!({"match": {"path": "/held"}, "percentage": 100, "fault": {"blackhole": true}});
    squall.api().rule("held", &held);
    let mut held: Vec<RawClient> = (0..2).map(|_| RawClient::connect(squall.to_b())).collect();
    for client in &mut held {
        client.send("GET /held HTTP/1.1\r\nHost: b\r\n\r\n");
    }
    eventually("two held requests", PATIENCE, || (squall.api().injected("held") == 2).then_some(()));
    assert_eq!(RawClient::connect(squall.to_b()).get("/echo").status, 503);
    drop(held);
    eventually("a free place", PATIENCE, || {
        (RawClient::connect(squall.to_b()).get("/echo").status == 200).then_some(())
    });
}

#[test]
fn connections_are_bounded_over_all_workers_and_waited_for() {
    let counts: Arc<[AtomicUsize; 3]> = Arc::default();
    let [open, busy, most_busy] = &*counts;
    let of_script = Arc::clone(&counts);
    let origin = Origin::start(move |mut peer| {
        let [open, busy, most_busy] = &*of_script;
        open.fetch_add(1, Ordering::SeqCst);
        while peer.request().is_some() {
            most_busy.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            squall_integration::wait::pause(Duration::from_millis(50));
            busy.fetch_sub(1, Ordering::SeqCst);
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
        open.fetch_sub(1, Ordering::SeqCst);
    });
    let squall = squall("http1", origin.address, "connections_max: 3\nidle_timeout: 30s");
    for _ in 0..3 {
        assert_eq!(at_once(squall.to_b(), 12, "/"), BTreeMap::from([((200, None), 12)]));
    }
    // Each connection carries one request at a time; that one ended the origin sees a little later.
    assert_eq!((most_busy.load(Ordering::SeqCst), busy.load(Ordering::SeqCst)), (3, 0));
    eventually("no more than three open connections", PATIENCE, || (open.load(Ordering::SeqCst) <= 3).then_some(()));
    assert_eq!(overflows(&squall, "connections"), 0.0);
}

#[test]
fn no_more_wait_than_may_and_none_for_ever() {
    let echo = Echo::http1();
    let limits = "connections_max: 1\npending_max: 2\nconnect_timeout: 1s";
    let squall = squall("http1", echo.address, limits);
    let began = Instant::now();
    let counts = at_once(squall.to_b(), 6, "/slow/3000");
    assert_eq!(counts, BTreeMap::from([((200, None), 1), (overflow(), 5)]));
    assert_eq!((overflows(&squall, "pending"), overflows(&squall, "connections")), (3.0, 2.0));
    assert!(began.elapsed() < Duration::from_secs(8));
    let none = squall_with_no_queue(echo.address);
    assert_eq!(at_once(none.to_b(), 4, "/slow/1500"), BTreeMap::from([((200, None), 1), (overflow(), 3)]));
    assert_eq!(overflows(&none, "connections"), 3.0);
}

fn squall_with_no_queue(endpoint: SocketAddr) -> Squall {
    squall("http1", endpoint, "connections_max: 1\npending_max: 0")
}

#[test]
fn an_http2_upstream_needs_one_connection_a_worker() {
    let echo = Echo::http2();
    let squall = squall("http2", echo.address, "connections_max: 2");
    assert_eq!(at_once(squall.to_b(), 20, "/slow/50"), BTreeMap::from([((200, None), 20)]));
    assert!(echo.connections() <= 2, "{}", echo.connections());
    // A worker without one has nothing to wait for.
    let tight = Echo::http2();
    let squall = self::squall("http2", tight.address, "connections_max: 1");
    let began = Instant::now();
    let counts = at_once(squall.to_b(), 20, "/slow/50");
    assert!(counts.keys().all(|key| key.0 == 200 || *key == overflow()), "{counts:?}");
    assert!(counts.contains_key(&(200, None)) && began.elapsed() < Duration::from_secs(4), "{counts:?}");
    assert_eq!(tight.connections(), 1);
}

#[test]
fn tcp_connections_beyond_the_bound_are_closed() {
    let mirror = Origin::mirror();
    let settings = Settings::new().listener("to-b", "tcp", "service-b");
    let squall = Squall::start(&settings.cluster_with("service-b", "http1", &[mirror.address], "connections_max: 2"));
    let mut open: Vec<RawClient> = (0..2)
        .map(|_| {
            let mut client = RawClient::connect(squall.to_b());
            client.send("hello");
            assert_eq!(client.read_exact(5), b"hello");
            client
        })
        .collect();
    match RawClient::try_connect(squall.to_b()) {
        Ok(mut client) => assert_eq!(client.read_to_end(), (Vec::new(), End::Reset)),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    assert_eq!((overflows(&squall, "connections"), mirror.accepted()), (1.0, 2));
    open.pop();
    eventually("a free place", PATIENCE, || {
        let mut client = RawClient::try_connect(squall.to_b()).ok()?;
        client.try_send("again").ok()?;
        // Sent before the reset can be told from accepted: only the echo tells.
        let _ = client.stream().shutdown(std::net::Shutdown::Write);
        (client.read_to_end().0 == b"again").then_some(())
    });
}
