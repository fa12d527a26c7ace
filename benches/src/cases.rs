//! What both benches measure: the one that counts instructions and the one that takes the time.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use squall_config::model::{Abort, AbortAnswer, Direction, Fault, Match, Rule, ValueMatch};
use squall_config::pattern::Pattern;
use squall_fault::decide::decide_request;
use squall_fault::meta::RequestMeta;
use squall_fault::plan::FaultPlan;
use squall_fault::snapshot::Snapshot;
use squall_proxy::bench::Exchanges;

use crate::{config, config_of, delay_rule};

/// A request to be decided, and the rules.
#[derive(Debug)]
pub struct Decision {
    snapshot: Arc<Snapshot>,
    headers: HeaderMap,
}

impl Decision {
    /// The decision about a usual request.
    pub fn new(rules: Vec<Rule>) -> Self {
        let snapshot = Arc::new(squall_fault::compile(config(rules), None, squall_fault::Stamp::first(42)));
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("service-b:8080"));
        headers.insert("user-agent", HeaderValue::from_static("service-a/1.0"));
        headers.insert("x-user", HeaderValue::from_static("alice"));
        Self { snapshot, headers }
    }

    /// Decides.
    pub fn take(&self) -> FaultPlan {
        let request = RequestMeta {
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
            endpoint: &self.snapshot.clusters[0].endpoints[0],
            method: &Method::GET,
            path: "/v1/orders/4711",
            query: Some("page=2"),
            authority: "service-b:8080",
            headers: &self.headers,
        };
        decide_request(&self.snapshot, &self.snapshot.listeners[0], &request).plan
    }
}

/// Rules for other paths.
pub fn other_paths(count: usize) -> Vec<Rule> {
    rules(count, |path| Match { path: Some(Pattern::Exact(path)), ..Match::default() })
}

/// Rules for other prefixes.
pub fn other_prefixes(count: usize) -> Vec<Rule> {
    rules(count, |path| Match { path: Some(Pattern::Prefix(path)), ..Match::default() })
}

/// Rules for other values of a header.
pub fn other_headers(count: usize) -> Vec<Rule> {
    rules(count, |value| {
        let condition = ValueMatch::Pattern(Pattern::Exact(value));
        Match { headers: vec![(HeaderName::from_static("x-user"), condition)], ..Match::default() }
    })
}

/// Rules for other values of a query parameter, which no index finds.
pub fn other_queries(count: usize) -> Vec<Rule> {
    rules(count, |value| {
        let condition = ValueMatch::Pattern(Pattern::Exact(value));
        Match { query: vec![("page".to_owned(), condition)], ..Match::default() }
    })
}

/// As many rules for other paths, and behind them one that matches.
pub fn last_matches(count: usize) -> Vec<Rule> {
    let mut rules = other_paths(count);
    rules.push(delay_rule("all", Match::default()));
    rules
}

fn rules(count: usize, matches: impl Fn(String) -> Match) -> Vec<Rule> {
    (0..count).map(|i| delay_rule(&format!("rule-{i}"), matches(format!("/other/{i}")))).collect()
}

/// A request head of so many fields beside Host.
pub fn request_head(fields: usize) -> Vec<u8> {
    message("GET /v1/orders/4711?page=2 HTTP/1.1\r\nHost: service-b:8080\r\n", fields)
}

/// A response head of so many fields beside Content-Length.
pub fn response_head(fields: usize) -> Vec<u8> {
    message("HTTP/1.1 200 OK\r\nContent-Length: 256\r\n", fields)
}

fn message(begin: &str, fields: usize) -> Vec<u8> {
    let mut text = begin.to_owned();
    for i in 0..fields {
        let _ = write!(text, "X-Field-{i}: some value of an ordinary length\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// A chunked body of so many chunks of 1 KiB.
pub fn chunked_body(chunks: usize) -> Vec<u8> {
    let chunk = format!("400\r\n{}\r\n", "c".repeat(1024));
    format!("{}0\r\n\r\n", chunk.repeat(chunks)).into_bytes()
}

/// A request head of as many fields, of which one names a trace.
pub fn traced_request_head(fields: usize) -> Vec<u8> {
    let trace = "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    message(&format!("GET /v1/orders/4711?page=2 HTTP/1.1\r\nHost: service-b:8080\r\n{trace}"), fields - 1)
}

/// A worker with a rule that answers everything.
///
/// # Panics
/// Never: the configuration has a listener.
pub fn aborting(direction: Direction) -> Exchanges {
    let mut rule = delay_rule("abort", Match::default());
    let answer = AbortAnswer::Http { status: http::StatusCode::SERVICE_UNAVAILABLE, body: None, headers: Vec::new() };
    rule.faults = vec![Fault::Abort(Abort { answer })];
    Exchanges::new(config_of(direction, vec![rule])).expect("a listener")
}
