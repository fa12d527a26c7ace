//! What deciding costs one request. `cargo bench -p squall-benches --bench decide`; add `-- --quick` for a glance.
//! Rules that name other paths should cost the same whether they are one or ten thousand.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::Criterion;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use squall_benches::{config, delay_rule};
use squall_config::model::{Match, Rule, ValueMatch};
use squall_config::pattern::Pattern;
use squall_fault::compile;
use squall_fault::decide::decide_request;
use squall_fault::meta::RequestMeta;

fn exact(path: String) -> Match {
    Match { path: Some(Pattern::Exact(path)), ..Match::default() }
}

fn prefix(path: String) -> Match {
    Match { path: Some(Pattern::Prefix(path)), ..Match::default() }
}

fn header(value: String) -> Match {
    let condition = ValueMatch::Pattern(Pattern::Exact(value));
    Match { headers: vec![(HeaderName::from_static("x-user"), condition)], ..Match::default() }
}

fn rules(count: usize, matches: impl Fn(String) -> Match) -> Vec<Rule> {
    (0..count).map(|i| delay_rule(&format!("rule-{i}"), matches(format!("/other/{i}")))).collect()
}

fn bench(criterion: &mut Criterion, title: &str, rules: Vec<Rule>) {
    let snapshot = compile(config(rules), None, 1, false, 42);
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("service-b:8080"));
    headers.insert("user-agent", HeaderValue::from_static("service-a/1.0"));
    headers.insert("x-user", HeaderValue::from_static("alice"));
    let request = RequestMeta {
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        endpoint: &snapshot.clusters[0].endpoints[0],
        method: &Method::GET,
        path: "/v1/orders/4711",
        query: Some("page=2"),
        authority: "service-b:8080",
        headers: &headers,
    };
    let listener = &snapshot.listeners[0];
    criterion.bench_function(title, |bencher| {
        bencher.iter(|| decide_request(black_box(&snapshot), black_box(listener), black_box(&request)));
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bench(&mut criterion, "decide/no rules", Vec::new());
    for count in [1, 1_000, 10_000] {
        bench(&mut criterion, &format!("decide/{count} other exact paths"), rules(count, exact));
        bench(&mut criterion, &format!("decide/{count} other prefixes"), rules(count, prefix));
    }
    for count in [1, 1_000] {
        bench(&mut criterion, &format!("decide/{count} other header values"), rules(count, header));
    }
    bench(&mut criterion, "decide/1 matches", vec![delay_rule("all", Match::default())]);
    let mut last_matches = rules(9_999, exact);
    last_matches.push(delay_rule("all", Match::default()));
    bench(&mut criterion, "decide/1 of 10000 matches", last_matches);
    criterion.final_summary();
}
