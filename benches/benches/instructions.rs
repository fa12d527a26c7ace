//! What the pieces of the path of a request take, in instructions of user space. They repeat to within a few however
//! busy the machine is. Run it with `benches/instructions`, which installs what it needs.
#![allow(
    missing_docs,
    clippy::disallowed_methods,
    reason = "what the macros make: items without docs, and a call of exit"
)]

use std::hint::black_box;
use std::time::Instant;

use gungraun::{library_benchmark, library_benchmark_group, main};
use squall_benches::cases::{self, Decision};
use squall_benches::config;
use squall_config::model::{Direction, Rule};
use squall_fault::plan::FaultPlan;
use squall_proxy::bench::{self, Exchanges, Pool, Relay};

/// A first time fills caches and makes what is kept for later; it is not what a request pays.
fn decision(rules: Vec<Rule>) -> Decision {
    let decision = Decision::new(rules);
    let _plan = decision.take();
    decision
}

#[library_benchmark]
#[bench::no_rules(decision(Vec::new()))]
#[bench::other_path(decision(cases::other_paths(1)))]
#[bench::other_paths_1000(decision(cases::other_paths(1_000)))]
#[bench::other_paths_10000(decision(cases::other_paths(10_000)))]
#[bench::other_prefixes_1000(decision(cases::other_prefixes(1_000)))]
#[bench::other_prefixes_10000(decision(cases::other_prefixes(10_000)))]
#[bench::other_header_values_1000(decision(cases::other_headers(1_000)))]
#[bench::other_query_values_1000(decision(cases::other_queries(1_000)))]
#[bench::one_matches(decision(cases::last_matches(0)))]
#[bench::one_of_10000_matches(decision(cases::last_matches(9_999)))]
fn decide(decision: Decision) -> (FaultPlan, Decision) {
    (black_box(&decision).take(), decision)
}

fn warm<T>(head: Vec<u8>, once: fn(&[u8]) -> Option<T>) -> Vec<u8> {
    assert!(once(&head).is_some(), "a case that works");
    head
}

#[library_benchmark]
#[bench::fields_3(warm(cases::request_head(3), bench::request_head))]
#[bench::fields_30(warm(cases::request_head(30), bench::request_head))]
fn request_head(head: Vec<u8>) -> (Option<usize>, Vec<u8>) {
    (bench::request_head(black_box(&head)), head)
}

#[library_benchmark]
#[bench::fields_3(warm(cases::response_head(3), bench::response_head))]
#[bench::fields_30(warm(cases::response_head(30), bench::response_head))]
fn response_head(head: Vec<u8>) -> (Option<usize>, Vec<u8>) {
    (bench::response_head(black_box(&head)), head)
}

#[library_benchmark]
#[bench::chunks_64(warm(cases::chunked_body(64), bench::chunked_body))]
fn chunked_body(body: Vec<u8>) -> (Option<()>, Vec<u8>) {
    (bench::chunked_body(black_box(&body)), body)
}

fn aborting() -> (Exchanges, Vec<u8>) {
    let (exchanges, head) = (cases::aborting(Direction::Outbound), cases::request_head(3));
    assert!(exchanges.run(&head).is_some(), "a case that works");
    (exchanges, head)
}

/// While an experiment runs.
fn observed(direction: Direction) -> (Exchanges, Vec<u8>) {
    let (exchanges, head) = (cases::aborting(direction), cases::traced_request_head(3));
    exchanges.observe();
    assert!(exchanges.run(&head).is_some(), "a case that works");
    (exchanges, head)
}

#[library_benchmark]
#[bench::answered_by_a_rule(aborting())]
#[bench::observed_call_of_a(observed(Direction::Outbound))]
#[bench::observed_call_to_a(observed(Direction::Inbound))]
fn exchange((exchanges, head): (Exchanges, Vec<u8>)) -> (Option<()>, Exchanges, Vec<u8>) {
    (exchanges.run(black_box(&head)), exchanges, head)
}

fn pool_of_64() -> (Pool, Instant) {
    let (pool, now) = (Pool::new(64).expect("sockets"), Instant::now());
    assert!(pool.cycle(now).is_some(), "a case that works");
    (pool, now)
}

#[library_benchmark]
#[bench::take_and_put(pool_of_64())]
fn pool((pool, now): (Pool, Instant)) -> (Option<()>, Pool) {
    (pool.cycle(black_box(now)), pool)
}

fn relaying() -> Relay {
    let mut relay = Relay::new(config(Vec::new())).expect("sockets");
    relay.round_trip(&mut [1; 64]).expect("a relay that works");
    relay
}

#[library_benchmark]
#[bench::there_and_back_64(relaying())]
fn relay(mut relay: Relay) -> (std::io::Result<()>, Relay) {
    (relay.round_trip(&mut [1; 64]), relay)
}

library_benchmark_group!(
    name = path,
    benchmarks = [decide, request_head, response_head, chunked_body, exchange, pool, relay]
);
main!(library_benchmark_groups = path);
