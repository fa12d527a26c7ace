//! Which endpoint is next, and which is left alone.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use squall_integration::client::{self, Client, get};
use squall_integration::echo::Echo;
use squall_integration::origin::{Origin, refusing};
use squall_integration::raw::{End, RawClient};
use squall_integration::settings::Settings;
use squall_integration::squall::Squall;
use squall_integration::wait::{PATIENCE, eventually};

/// Ejects after two failures, for so long at first.
fn ejecting(listener: &str, endpoints: &[SocketAddr], base_time: &str, more: &str) -> Squall {
    let rules = format!("ejection: {{ consecutive_failures: 2, base_time: {base_time}, max_percentage: 100 }}\n{more}");
    let settings = Settings::new().listener("to-b", listener, "service-b");
    Squall::start_with(&settings.cluster_with("service-b", "http1", endpoints, &rules), &["--workers", "1"])
}

fn ejections(squall: &Squall) -> f64 {
    squall.api().metrics().sum("squall_endpoint_ejections_total", &[("cluster", "service-b")])
}

/// How often each status came.
fn statuses(client: &mut RawClient, n: usize) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..n {
        *counts.entry(client.get("/").status).or_default() += 1;
    }
    counts
}

fn rule_on(endpoint: SocketAddr, fault: &Value) -> Value {
    json!({"match": {"endpoint": endpoint.to_string()}, "percentage": 100, "fault": fault})
}

#[test]
fn least_request_avoids_the_slow_endpoint_and_round_robin_does_not() {
    let share = |balancing: &str| {
        let (slow, fast) = (Echo::http1(), Echo::http1());
        let settings = Settings::new().listener("to-b", "http", "service-b");
        let endpoints = [slow.address, fast.address];
        let more = format!("load_balancing: {balancing}");
        let settings = settings.cluster_with("service-b", "http1", &endpoints, &more);
        let squall = Squall::start_with(&settings, &["--workers", "1", "--seed", "7"]);
        squall.api().rule("slow", &rule_on(slow.address, &json!({"delay": "40ms"})));
        let address = squall.to_b();
        client::run(Duration::from_secs(60), async {
            let all = (0..8).map(|_| {
                tokio::spawn(async move {
                    let mut client = Client::http1(address).await;
                    for _ in 0..50 {
                        assert_eq!(client.must(get("/echo")).await.status, 200);
                    }
                })
            });
            for one in all.collect::<Vec<_>>() {
                one.await.expect("every request is answered");
            }
        });
        slow.requests() as f64 / 400.0
    };
    assert_eq!(share("round_robin"), 0.5);
    let share = share("least_request");
    assert!(share < 0.3, "{share}");
}

#[test]
fn failures_of_any_kind_eject_an_endpoint_for_a_while() {
    let (good, closing, erring) = (
        Origin::ok(),
        Origin::start(|mut peer| drop(peer.request())),
        Origin::answering("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"),
    );
    for (bad, status) in [(refusing(), 502), (closing.address, 502), (erring.address, 500)] {
        let squall = ejecting("http", &[good.address, bad], "700ms", "");
        let mut client = RawClient::connect(squall.to_b());
        let began = Instant::now();
        assert_eq!(statuses(&mut client, 4), BTreeMap::from([(200, 2), (status, 2)]));
        assert_eq!(squall.health(), ["healthy", "ejected"]);
        assert_eq!(ejections(&squall), 1.0);
        let label = bad.to_string();
        assert_eq!(squall.api().metrics().sum("squall_endpoint_healthy", &[("endpoint", &label)]), 0.0);
        assert_eq!(statuses(&mut client, 10), BTreeMap::from([(200, 10)]));
        // When its time is over it is tried again, fails again, and is out for twice as long.
        eventually("the end of the ejection", PATIENCE, || (client.get("/").status == status).then_some(()));
        assert!(began.elapsed() >= Duration::from_millis(700));
        let began = Instant::now();
        eventually("the second ejection", PATIENCE, || {
            client.get("/");
            (ejections(&squall) == 2.0).then_some(())
        });
        eventually("its end", PATIENCE, || (client.get("/").status == status).then_some(()));
        assert!(began.elapsed() >= Duration::from_millis(1_400), "{:?}", began.elapsed());
    }
}

#[test]
fn an_injected_fault_counts_like_the_real_failure() {
    let (one, two) = (Origin::ok(), Origin::ok());
    for fault in [
        json!({"abort": 503}),
        json!({"abort": {"grpc_status": 14}}),
        json!({"reset": true}),
        json!({"reset": {"on": "response"}}),
        json!({"blackhole": {"max": "50ms"}}),
        json!({"blackhole": true}),
    ] {
        let squall = ejecting("http", &[one.address, two.address], "60s", "response_timeout: 200ms");
        squall.api().rule("bad", &rule_on(two.address, &fault));
        for _ in 0..4 {
            let mut client = RawClient::connect(squall.to_b());
            client.send("GET / HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n");
            // Whatever it is; a reset is none.
            let _ = client.try_answer("GET");
        }
        assert_eq!(squall.health(), ["healthy", "ejected"], "{fault}");
        assert_eq!(statuses(&mut RawClient::connect(squall.to_b()), 6), BTreeMap::from([(200, 6)]), "{fault}");
    }
    // What is no failure ejects nobody.
    let squall = ejecting("http", &[one.address, two.address], "60s", "");
    for fault in [json!({"abort": 404}), json!({"delay": "1ms"})] {
        squall.api().rule("bad", &rule_on(two.address, &fault));
        statuses(&mut RawClient::connect(squall.to_b()), 8);
        assert_eq!(squall.health(), ["healthy", "healthy"], "{fault}");
    }
}

#[test]
fn a_client_that_gives_up_waiting_tells_on_the_endpoint() {
    let (good, silent) = (Origin::ok(), Origin::start(|mut peer| while peer.request().is_some() {}));
    let squall = ejecting("http", &[good.address, silent.address], "60s", "");
    for _ in 0..4 {
        let mut client = RawClient::connect(squall.to_b()).patience(Duration::from_millis(100));
        client.send("GET / HTTP/1.1\r\nHost: b\r\n\r\n");
        let _ = client.try_answer("GET");
    }
    eventually("the ejection", PATIENCE, || (squall.health() == ["healthy", "ejected"]).then_some(()));
}

#[test]
fn when_all_are_out_all_are_tried() {
    let (one, two) = (refusing(), refusing());
    let squall = ejecting("http", &[one, two], "60s", "");
    let mut client = RawClient::connect(squall.to_b());
    assert_eq!(statuses(&mut client, 20), BTreeMap::from([(502, 20)]));
    assert_eq!((squall.health(), ejections(&squall)), (vec!["ejected".to_owned(); 2], 2.0));
    let refused = [("cluster", "service-b"), ("result", "refused")];
    assert_eq!(squall.api().metrics().sum("squall_upstream_connections_total", &refused), 20.0);
}

#[test]
fn half_of_the_endpoints_stay_unless_told_otherwise() {
    let all = [refusing(), refusing(), refusing(), refusing()];
    let settings = Settings::new().listener("to-b", "http", "service-b");
    let settings = settings.cluster_with("service-b", "http1", &all, "ejection: { consecutive_failures: 1 }");
    let squall = Squall::start_with(&settings, &["--workers", "1"]);
    statuses(&mut RawClient::connect(squall.to_b()), 20);
    assert_eq!(squall.health().iter().filter(|health| *health == "ejected").count(), 2);
}

#[test]
fn tcp_connections_eject_as_well() {
    let hello = Origin::start(|mut peer| peer.send("hello"));
    let mute = Origin::start(|peer| peer.reset());
    for (bad, fault) in [
        (refusing(), None),
        (mute.address, None),
        (Origin::mirror().address, Some(json!({"refuse": true}))),
        (Origin::mirror().address, Some(json!({"blackhole": {"max": "20ms"}}))),
    ] {
        let squall = ejecting("tcp", &[hello.address, bad], "60s", "");
        if let Some(fault) = &fault {
            squall.api().rule("bad", &rule_on(bad, fault));
        }
        for _ in 0..4 {
            if let Ok(mut client) = RawClient::try_connect(squall.to_b()) {
                client.read_to_end();
            }
        }
        eventually("the ejection", PATIENCE, || (squall.health() == ["healthy", "ejected"]).then_some(()));
        for _ in 0..4 {
            assert_eq!(RawClient::connect(squall.to_b()).read_to_end(), (b"hello".to_vec(), End::Fin), "{fault:?}");
        }
    }
}
