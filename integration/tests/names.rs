//! Endpoints that are names: resolved to all their addresses, again whenever the time of an answer is over.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};
use squall_integration::dns::Dns;
use squall_integration::origin::Origin;
use squall_integration::raw::RawClient;
use squall_integration::settings::Settings;
use squall_integration::squall::Squall;
use squall_integration::wait::{PATIENCE, eventually, pause};

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

/// Origins that say their own address, all on one port.
fn origins<const N: usize>(last: [u8; N]) -> [Origin; N] {
    let mut port = 0;
    last.map(|last| {
        let origin = Origin::named_at(&ip(last).to_string(), SocketAddr::from((ip(last), port)));
        port = origin.address.port();
        origin
    })
}

/// Listener `to-b`, and a cluster of this name at this port.
fn settings(dns: &Dns, port: u16, more: &str) -> Settings {
    let endpoint = format!("{{ address: \"b.test:{port}\", labels: {{ region: a }} }}");
    let listener = Settings::new().listener("to-b", "http", "service-b");
    let dns = format!("dns: {{ server: \"{}\" }}", dns.address);
    listener.cluster_of("service-b", "http1", &endpoint, more).with(&dns)
}

fn bodies(client: &mut RawClient, n: usize) -> Vec<String> {
    let answers = (0..n).map(|_| client.get("/"));
    answers.map(|answer| if answer.status == 200 { answer.text() } else { answer.line }).collect()
}

fn endpoints(squall: &Squall) -> Vec<Value> {
    let status = squall.api().json("/v1/status");
    status["clusters"][0]["endpoints"].as_array().cloned().unwrap_or_default()
}

#[test]
fn every_address_of_a_name_takes_its_turn() {
    let dns = Dns::start();
    let origins = origins([2, 3, 4]);
    dns.set("b.test", &[ip(4), ip(2), ip(3)], 60);
    let squall = Squall::start_with(&settings(&dns, origins[0].address.port(), ""), &["--workers", "1"]);
    let mut client = RawClient::connect(squall.to_b());
    assert_eq!(bodies(&mut client, 6), ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.2", "127.0.0.3", "127.0.0.4"]);
    let endpoints = endpoints(&squall);
    assert_eq!(endpoints.len(), 3);
    assert_eq!(
        endpoints[1],
        json!({
            "name": format!("b.test:{}", origins[0].address.port()),
            "address": origins[1].address.to_string(),
            "health": "healthy",
            "labels": {"region": "a"},
        })
    );
    let label = origins[2].address.to_string();
    let metrics = squall.api().metrics();
    assert_eq!(metrics.sum("squall_endpoint_healthy", &[("cluster", "service-b"), ("endpoint", &label)]), 1.0);
}

#[test]
fn a_change_is_seen_when_the_time_to_live_is_over() {
    let dns = Dns::start();
    let origins = origins([2, 3]);
    dns.set("b.test", &[ip(2)], 1);
    let squall = Squall::start(&settings(&dns, origins[0].address.port(), ""));
    let mut client = RawClient::connect(squall.to_b());
    assert_eq!(bodies(&mut client, 3), ["127.0.0.2"; 3]);
    dns.set("b.test", &[ip(3)], 1);
    // The same downstream connection goes on, to the other address.
    eventually("the new address", PATIENCE, || (bodies(&mut client, 1) == ["127.0.0.3"]).then_some(()));
    assert_eq!(bodies(&mut client, 3), ["127.0.0.3"; 3]);
}

#[test]
fn an_answer_is_good_for_its_time_to_live() {
    let dns = Dns::start();
    let origins = origins([2, 3]);
    dns.set("b.test", &[ip(2)], 60);
    let squall = Squall::start_with(&settings(&dns, origins[0].address.port(), ""), &["--workers", "4"]);
    let mut client = RawClient::connect(squall.to_b());
    assert_eq!(bodies(&mut client, 1), ["127.0.0.2"]);
    dns.set("b.test", &[ip(3)], 60);
    pause(Duration::from_millis(2_500));
    assert_eq!(bodies(&mut client, 1), ["127.0.0.2"]);
    assert_eq!(dns.queries("b.test"), 1, "once for the process, however many workers there are");
}

#[test]
fn connections_stay_while_the_addresses_do_and_leave_with_them() {
    let dns = Dns::start();
    let (closed, ended) = std::sync::mpsc::channel();
    let first = Origin::start_at(SocketAddr::from((ip(2), 0)), move |mut peer| {
        while peer.request().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst");
        }
        let _ = closed.send(());
    });
    let second = Origin::named_at("second", SocketAddr::from((ip(3), first.address.port())));
    dns.set("b.test", &[ip(2)], 1);
    let settings = settings(&dns, first.address.port(), "idle_timeout: 60s");
    let squall = Squall::start_with(&settings, &["--workers", "1"]);
    let mut client = RawClient::connect(squall.to_b());
    eventually("three answers of the DNS server", PATIENCE, || {
        assert_eq!(bodies(&mut client, 1), ["first"]);
        (dns.queries("b.test") >= 3).then_some(())
    });
    assert_eq!(first.accepted(), 1, "the connection outlives answers that say the same");
    dns.set("b.test", &[ip(3)], 1);
    ended.recv_timeout(PATIENCE).expect("the connection to the address that is gone is closed");
    assert_eq!((bodies(&mut client, 2), second.accepted()), (vec!["second".to_owned(); 2], 1));
}

#[test]
fn the_last_addresses_stay_when_the_server_breaks_down() {
    let dns = Dns::start();
    let origins = origins([2]);
    dns.set("b.test", &[ip(2)], 1);
    let squall = Squall::start(&settings(&dns, origins[0].address.port(), ""));
    let mut client = RawClient::connect(squall.to_b());
    assert_eq!(bodies(&mut client, 1), ["127.0.0.2"]);
    dns.break_down("b.test");
    let before = dns.queries("b.test");
    eventually("two queries in vain", PATIENCE, || (dns.queries("b.test") >= before + 2).then_some(()));
    assert_eq!(bodies(&mut client, 3), ["127.0.0.2"; 3]);
    eventually("a line of the log", PATIENCE, || squall.said().contains("cannot be resolved").then_some(()));
}

#[test]
fn the_first_request_waits_for_the_first_answer() {
    let dns = Dns::start();
    let origins = origins([2]);
    dns.set("b.test", &[ip(2)], 60);
    dns.slow_down("b.test", Duration::from_millis(1_500));
    let squall = Squall::start(&settings(&dns, origins[0].address.port(), ""));
    assert_eq!(bodies(&mut RawClient::connect(squall.to_b()), 1), ["127.0.0.2"]);
}

#[test]
fn a_name_without_an_address_is_a_failure_of_the_upstream() {
    let dns = Dns::start();
    let squall = Squall::start(&settings(&dns, 80, "connect_timeout: 1s"));
    let answer = RawClient::connect(squall.to_b()).get("/");
    assert_eq!((answer.status, answer.header("x-squall-error")), (502, Some("upstream_resolve_failed")));
    assert_eq!(endpoints(&squall)[0]["health"], "unresolved");
    // A rule stands where the upstream would be: it needs none.
    squall.api().rule("broken", &json!({"percentage": 100, "fault": {"abort": 503}}));
    assert_eq!(RawClient::connect(squall.to_b()).get("/").status, 503);
    // A server that says nothing is given up with the time to connect.
    dns.set("b.test", &[ip(2)], 60);
    dns.slow_down("b.test", Duration::from_secs(30));
    let squall = Squall::start(&settings(&dns, 80, "connect_timeout: 300ms"));
    let answer = RawClient::connect(squall.to_b()).get("/");
    assert_eq!((answer.status, answer.header("x-squall-error")), (502, Some("upstream_resolve_failed")));
}

#[test]
fn rules_match_the_name_its_addresses_and_its_labels() {
    let dns = Dns::start();
    let origins = origins([2, 3]);
    let port = origins[0].address.port();
    dns.set("b.test", &[ip(2), ip(3)], 60);
    let squall = Squall::start_with(&settings(&dns, port, ""), &["--workers", "1"]);
    let statuses = |endpoint: Value| {
        let rule = json!({"match": {"endpoint": endpoint}, "percentage": 100, "fault": {"abort": 418}});
        squall.api().rule("one", &rule);
        let mut client = RawClient::connect(squall.to_b());
        let mut statuses: Vec<u16> = (0..4).map(|_| client.get("/").status).collect();
        statuses.sort_unstable();
        statuses
    };
    assert_eq!(statuses(json!(format!("127.0.0.3:{port}"))), [200, 200, 418, 418]);
    assert_eq!(statuses(json!(format!("b.test:{port}"))), [418; 4]);
    assert_eq!(statuses(json!({"labels": {"region": "a"}})), [418; 4]);
    let other = json!({"match": {"endpoint": {"labels": {"region": "b"}}}, "percentage": 100, "fault": {"abort": 418}});
    let refused = squall.api().put("/v1/rules/one", &other.to_string());
    assert_eq!(refused.status, 422, "no endpoint has it: {}", refused.text());
}

#[test]
fn tcp_connections_wait_and_take_turns_as_well() {
    let dns = Dns::start();
    let hello = |last| Origin::start_at(last, |mut peer| peer.send("hello"));
    let first = hello(SocketAddr::from((ip(2), 0)));
    let second = hello(SocketAddr::from((ip(3), first.address.port())));
    dns.set("b.test", &[ip(2), ip(3)], 60);
    dns.slow_down("b.test", Duration::from_millis(500));
    let settings = Settings::new().listener("to-b", "tcp", "service-b");
    let settings = settings.cluster_of("service-b", "http1", &format!("\"b.test:{}\"", first.address.port()), "");
    let settings = settings.with(&format!("dns: {{ server: \"{}\" }}", dns.address));
    let squall = Squall::start_with(&settings, &["--workers", "1"]);
    for _ in 0..4 {
        assert_eq!(RawClient::connect(squall.to_b()).read_to_end().0, b"hello");
    }
    assert_eq!((first.accepted(), second.accepted()), (2, 2));
}

#[test]
fn localhost_is_this_machine_in_both_families() {
    let (four, six) = (Origin::named("four"), Origin::named_at("six", "[::1]:0".parse().expect("an address")));
    for (origin, name) in [(&four, "four"), (&six, "six")] {
        let settings = Settings::new().listener("to-b", "http", "b");
        let settings = settings.cluster_of("b", "http1", &format!("\"localhost:{}\"", origin.address.port()), "");
        let squall = Squall::start(&settings);
        assert_eq!(bodies(&mut RawClient::connect(squall.to_b()), 2), [name; 2]);
    }
}

#[test]
fn the_hosts_file_comes_first() {
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let of_line = |line: &str| {
        let mut words = line.split_whitespace();
        let is_here = words.next() == Some("127.0.0.1");
        words.find(|name| is_here && !name.starts_with("localhost")).map(str::to_owned)
    };
    let Some(name) = hosts.lines().find_map(of_line) else {
        // Not `eprintln!`: the test runner would keep it to itself.
        let _ = writeln!(std::io::stderr(), "left out: names needs another name of 127.0.0.1 in /etc/hosts");
        return;
    };
    let (dns, origin) = (Dns::start(), Origin::named("here"));
    let settings = Settings::new().listener("to-b", "http", "b");
    let settings = settings.cluster_of("b", "http1", &format!("\"{name}:{}\"", origin.address.port()), "");
    let squall = Squall::start(&settings.with(&format!("dns: {{ server: \"{}\" }}", dns.address)));
    assert_eq!(bodies(&mut RawClient::connect(squall.to_b()), 2), ["here"; 2]);
    assert_eq!(dns.queries(&name), 0);
}
