use http::HeaderValue;
use http::header::CONTENT_TYPE;
use proptest::prelude::*;
use squall_config::model::{HostPort, Rule};

use super::*;
use crate::testing::*;

/// Matches `request` against a rule with these conditions.
fn outcome(matches: Match, change: impl FnOnce(&mut RequestMeta<'_>)) -> Result<(), Condition> {
    let snapshot = snapshot(1, vec![Rule { matches, ..rule("r", vec![abort()]) }]);
    let mut request = get(&snapshot, "/v1/orders");
    change(&mut request);
    match_request(&snapshot.rules[0], &request)
}

fn exact(text: &str) -> Pattern {
    Pattern::Exact(text.to_owned())
}

#[test]
fn empty_matches_everything() {
    assert_eq!(outcome(Match::default(), |_| ()), Ok(()));
}

#[test]
fn method_and_path() {
    let post = Match { method: vec![http::Method::POST, http::Method::PUT], ..Match::default() };
    assert_eq!(outcome(post.clone(), |_| ()), Err(Condition::Method));
    assert_eq!(outcome(post, |request| request.method = &http::Method::PUT), Ok(()));
    let path = Match { path: Some(Pattern::regex("/v[0-9]/[a-z]+").unwrap()), ..Match::default() };
    assert_eq!(outcome(path.clone(), |_| ()), Ok(()));
    assert_eq!(outcome(path, |request| request.path = "/v1/orders/1"), Err(Condition::Path));
}

#[test]
fn source_in_networks() {
    let networks =
        || Match { source: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()], ..Match::default() };
    let from = |source: &str| outcome(networks(), |request| request.source = source.parse().unwrap());
    assert_eq!(from("10.9.9.9"), Ok(()));
    assert_eq!(from("::ffff:10.9.9.9"), Ok(()));
    assert_eq!(from("fd00::1"), Ok(()));
    assert_eq!(from("11.0.0.1"), Err(Condition::Source));
    assert_eq!(from("::1"), Err(Condition::Source));
}

#[test]
fn endpoint_by_address_or_labels() {
    let at = |endpoint| outcome(Match { endpoint: Some(endpoint), ..Match::default() }, |_| ());
    let address = |port| EndpointMatch::Address(HostPort { host: "127.0.0.1".into(), port });
    let labels = |pairs: &[(&str, &str)]| {
        EndpointMatch::Labels(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    };
    assert_eq!(at(address(9000)), Ok(()));
    assert_eq!(at(address(9001)), Err(Condition::Endpoint));
    assert_eq!(at(labels(&[("region", "a")])), Ok(()));
    assert_eq!(at(labels(&[("region", "a"), ("zone", "2")])), Err(Condition::Endpoint));
    assert_eq!(at(labels(&[("rack", "a")])), Err(Condition::Endpoint));
}

#[test]
fn a_name_is_matched_by_itself_and_by_the_address_that_it_stands_for() {
    let at = |host: &str, port, ip: Option<&str>| {
        let endpoint = Endpoint {
            ip: ip.map(|ip| ip.parse().unwrap()),
            ..Endpoint::new(HostPort { host: "name".into(), port: 80 })
        };
        let address = EndpointMatch::Address(HostPort { host: host.into(), port });
        let snapshot = snapshot(1, vec![rule("r", vec![abort()])]);
        let meta = ConnectionMeta { endpoint: &endpoint, source: get(&snapshot, "/").source };
        match_connection(&Match { endpoint: Some(address), ..Match::default() }, &meta).is_ok()
    };
    assert!(at("name", 80, None) && at("name", 80, Some("10.0.0.1")) && at("10.0.0.1", 80, Some("10.0.0.1")));
    assert!(at("::1", 80, Some("::1")));
    assert!(!at("name", 81, None) && !at("10.0.0.1", 80, None) && !at("10.0.0.1", 81, Some("10.0.0.1")));
    assert!(!at("10.0.0.2", 80, Some("10.0.0.1")) && !at("other", 80, None));
}

#[test]
fn authority_without_case_with_and_without_port() {
    let matches = |pattern: Pattern, authority: &'static str| {
        outcome(Match { authority: Some(pattern), ..Match::default() }, |request| request.authority = authority).is_ok()
    };
    for authority in ["B.example:8080", "b.EXAMPLE:8080"] {
        assert!(matches(exact("b.Example"), authority));
        assert!(matches(exact("b.example:8080"), authority));
        assert!(matches(Pattern::glob("*.EXAMPLE").unwrap(), authority));
        assert!(matches(Pattern::regex(r"B\.\D+").unwrap(), authority));
        assert!(matches(Pattern::Prefix("B.".to_owned()), authority));
        assert!(!matches(exact("b.example:80"), authority));
    }
    assert!(matches(exact("b.example"), "b.example"));
    assert!(!matches(exact("b.example:8080"), "b.example"));
    assert!(matches(exact("[::1]"), "[::1]:80"));
    assert_eq!(host_of("[::1]"), None);
    assert_eq!(host_of("::1"), None);
    assert_eq!(host_of("a:b"), None);
}

#[test]
fn any_value_of_a_repeated_header() {
    let mut headers = HeaderMap::new();
    headers.append("x-user", HeaderValue::from_static("alice"));
    headers.append("x-user", HeaderValue::from_static("bob"));
    headers.append("x-raw", HeaderValue::from_bytes(b"\xff").unwrap());
    let holds = |name: &'static str, value: ValueMatch| is_header(&HeaderName::from_static(name), &value, &headers);
    assert!(holds("x-user", ValueMatch::Pattern(exact("bob"))));
    assert!(!holds("x-user", ValueMatch::Pattern(exact("carol"))));
    assert!(holds("x-user", ValueMatch::Present(true)) && !holds("x-user", ValueMatch::Present(false)));
    assert!(holds("x-none", ValueMatch::Present(false)) && !holds("x-none", ValueMatch::Pattern(exact(""))));
    assert!(
        holds("x-raw", ValueMatch::Present(true))
            && !holds("x-raw", ValueMatch::Pattern(Pattern::regex(".*").unwrap()))
    );
}

#[test]
fn query_parameters_are_decoded() {
    let query = "a=1&a=2&na%6De=x%20y+z&flag&&bad=%zz%4";
    let holds = |name: &str, value: &str| is_query(name, &ValueMatch::Pattern(exact(value)), query);
    assert!(holds("a", "1") && holds("a", "2") && !holds("a", "3"));
    assert!(holds("name", "x y z") && holds("flag", "") && holds("bad", "%zz%4"));
    assert!(
        is_query("flag", &ValueMatch::Present(true), query) && is_query("none", &ValueMatch::Present(false), query)
    );
    assert!(!is_query("", &ValueMatch::Present(true), ""));
    assert_eq!(decode("%ff"), "\u{FFFD}");
}

#[test]
fn grpc_needs_content_type_and_path() {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/gRPC+proto"));
    let snapshot = snapshot(1, Vec::new());
    let call = |path, headers: &HeaderMap, service: Option<&str>, method: Option<&str>| {
        let wanted = GrpcMatch { service: service.map(str::to_owned), method: method.map(str::to_owned) };
        is_grpc_call(&wanted, &RequestMeta { headers, ..get(&snapshot, path) })
    };
    assert!(call("/pkg.S/M", &headers, Some("pkg.S"), Some("M")) && call("/pkg.S/M", &headers, None, None));
    assert!(!call("/pkg.S/N", &headers, None, Some("M")) && !call("/pkg.T/M", &headers, Some("pkg.S"), None));
    assert!(!call("/pkg.S/M", &HeaderMap::new(), None, None) && !call("/M", &headers, None, None));
}

#[test]
fn the_first_condition_that_fails_is_named() {
    let present = || ValueMatch::Present(true);
    let headers = vec![(CONTENT_TYPE, ValueMatch::Present(false)), (http::header::COOKIE, present())];
    assert_eq!(outcome(Match { headers, ..Match::default() }, |_| ()), Err(Condition::Header(1)));
    let query = vec![("a".to_owned(), present()), ("b".to_owned(), present())];
    assert_eq!(
        outcome(Match { query, ..Match::default() }, |request| request.query = Some("a")),
        Err(Condition::Query(1))
    );
}

proptest! {
    #[test]
    fn network_input_never_panics(text in any::<String>(), pattern in "[a-c%+]{0,4}") {
        decode(&text);
        host_of(&text);
        is_authority(&exact(&pattern), &text);
        is_query(&pattern, &ValueMatch::Present(true), &text);
    }

    #[test]
    fn decoding_undoes_encoding(text in any::<String>()) {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        prop_assert_eq!(decode(&encoded), text);
    }
}
