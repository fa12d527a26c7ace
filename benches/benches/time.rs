//! What the pieces of the path of a request take, in time: `cargo bench -p squall-benches --bench time`; add
//! `-- --quick` for a glance. `benches/instructions` counts the same in instructions, which repeat on a busy machine.

use std::hint::black_box;
use std::time::Instant;

use criterion::Criterion;
use squall_benches::{cases, config};
use squall_config::model::Direction;
use squall_proxy::bench::{Pool, Relay, chunked_body, request_head, response_head};

fn decide(criterion: &mut Criterion, title: &str, rules: Vec<squall_config::model::Rule>) {
    let decision = cases::Decision::new(rules);
    criterion.bench_function(title, |bencher| bencher.iter(|| black_box(&decision).take()));
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let all = &mut criterion;
    decide(all, "decide/no rules", Vec::new());
    for count in [1, 1_000, 10_000] {
        decide(all, &format!("decide/{count} other paths"), cases::other_paths(count));
        decide(all, &format!("decide/{count} other prefixes"), cases::other_prefixes(count));
    }
    for count in [1, 1_000] {
        decide(all, &format!("decide/{count} other header values"), cases::other_headers(count));
        decide(all, &format!("decide/{count} other query values"), cases::other_queries(count));
    }
    decide(all, "decide/1 matches", cases::last_matches(0));
    decide(all, "decide/1 of 10000 matches", cases::last_matches(9_999));
    for fields in [3, 30] {
        let head = cases::request_head(fields);
        all.bench_function(&format!("head/request, {fields} fields"), |b| b.iter(|| request_head(black_box(&head))));
        let head = cases::response_head(fields);
        all.bench_function(&format!("head/response, {fields} fields"), |b| b.iter(|| response_head(black_box(&head))));
    }
    let body = cases::chunked_body(64);
    all.bench_function("body/64 chunks of 1 KiB", |b| b.iter(|| chunked_body(black_box(&body))));
    let (exchanges, head) = (cases::aborting(Direction::Outbound), cases::request_head(3));
    all.bench_function("exchange/answered by a rule", |b| b.iter(|| exchanges.run(black_box(&head))));
    let (pool, now) = (Pool::new(64).expect("sockets"), Instant::now());
    all.bench_function("pool/take and put", |b| b.iter(|| pool.cycle(black_box(now))));
    let mut relay = Relay::new(config(Vec::new())).expect("sockets");
    all.bench_function("relay/64 B there and back", |b| b.iter(|| relay.round_trip(&mut [1; 64])));
    criterion.final_summary();
}
