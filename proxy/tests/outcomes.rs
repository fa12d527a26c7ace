//! What is noted of exchanges for experiments, by a proxy in this process between raw sockets.
#![expect(clippy::unwrap_used, reason = "tests")]

mod outcomes {
    pub(crate) mod setup;
}

use std::collections::HashSet;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use outcomes::setup::{Observed, Setup, Side};
use squall_config::model::{Direction, Fallback, Name};
use squall_fault::trace_share::{SharedId, TraceShare};
use squall_proxy::{Propagation, Sampler, Traces, span_queue};
use squall_telemetry::{ExperimentMatch, Observation, Outcome};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const TRACE_NUMBER: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
const ID: &str = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";
const ID_NUMBER: u128 = 0x6ba7_b810_9dad_41d1_80b4_00c0_4fd4_30c8;

fn with_ids() -> Observation {
    Observation { add_ids: true, ..Observation::default() }
}

/// What the upstream got of a field.
fn got(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
}

#[test]
fn calls_to_a_and_calls_of_a_have_the_same_trace() {
    let setup = Setup::observed(with_ids());
    let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-00");
    for (side, direction, route) in
        [(Side::In, Direction::Inbound, "GET /orders/*"), (Side::Out, Direction::Outbound, "")]
    {
        let Observed { outcome, head, .. } =
            setup.exchange(side, "GET /orders/4711?x=1 HTTP/1.1", &[("traceparent", &traceparent)]);
        assert_eq!((outcome.trace, outcome.request_id, outcome.has_added_ids), (TRACE_NUMBER, 0, false));
        assert_eq!((outcome.direction, outcome.cluster.as_str(), &*outcome.route), (direction, "b", route));
        assert_eq!((outcome.status, outcome.response_bytes, outcome.grpc_status), (Some(200), 5, None));
        assert!(outcome.is_repeatable && !outcome.is_injected && !outcome.is_abandoned);
        assert_eq!(outcome.matched, None);
        assert!(outcome.began <= outcome.ended && outcome.ended <= Instant::now());
        assert_eq!(got(&head, "traceparent"), Some(traceparent.clone()), "byte for byte");
        assert_eq!(got(&head, "x-request-id"), None);
    }
}

#[test]
fn a_request_id_alone_joins_too() {
    let setup = Setup::observed(with_ids());
    for (value, number) in [(ID, Some(ID_NUMBER)), ("order-17", None)] {
        let [one, other] = [Side::In, Side::Out].map(|side| {
            let Observed { outcome, head, .. } = setup.exchange(side, "GET / HTTP/1.1", &[("x-request-id", value)]);
            assert_eq!((got(&head, "x-request-id").as_deref(), got(&head, "traceparent")), (Some(value), None));
            assert_eq!((outcome.trace, outcome.has_added_ids), (0, false));
            outcome.request_id
        });
        assert!(one == other && one != 0 && number.is_none_or(|number| number == one), "{value}");
    }
}

#[test]
fn a_call_to_a_without_ids_gets_both() {
    let setup = Setup::observed(with_ids());
    let Observed { outcome, head, .. } = setup.exchange(Side::In, "GET / HTTP/1.1", &[]);
    assert!(outcome.has_added_ids && outcome.trace != 0);
    let (traceparent, request_id) = (got(&head, "traceparent").unwrap(), got(&head, "x-request-id").unwrap());
    assert_eq!(traceparent[..35], format!("00-{:032x}", outcome.trace));
    assert!(traceparent.ends_with("-00") && traceparent.len() == 55, "{traceparent}");
    assert_eq!((request_id.replace('-', ""), request_id.len()), (format!("{:032x}", outcome.request_id), 36));
    // A passes on either of them.
    for (name, value) in [("traceparent", &traceparent), ("x-request-id", &request_id)] {
        let call = setup.exchange(Side::Out, "GET / HTTP/1.1", &[(name, value)]).outcome;
        assert!(call.trace == outcome.trace || call.request_id == outcome.request_id, "{name}");
    }
    let another = setup.exchange(Side::In, "GET / HTTP/1.1", &[]).outcome;
    assert_ne!(another.trace, outcome.trace);
    // A call that A makes is left as it is.
    let Observed { outcome, head, .. } = setup.exchange(Side::Out, "GET / HTTP/1.1", &[]);
    assert_eq!((outcome.trace, outcome.request_id, outcome.has_added_ids), (0, 0, false));
    assert!(got(&head, "traceparent").is_none() && got(&head, "x-request-id").is_none());
    assert_eq!(outcome.shape, 0);
}

#[test]
fn ids_are_added_where_they_are_wanted_and_lacking() {
    let setup = Setup::observed(Observation::default());
    assert!(!setup.exchange(Side::In, "GET / HTTP/1.1", &[]).outcome.has_added_ids, "not asked for");
    let setup = Setup::observed(with_ids());
    for field in [("traceparent", "nonsense"), ("b3", "0"), ("x-request-id", "17")] {
        let Observed { outcome, head, .. } = setup.exchange(Side::In, "GET / HTTP/1.1", &[field]);
        assert!(!outcome.has_added_ids && got(&head, field.0).as_deref() == Some(field.1), "{field:?}");
        let ids = head.lines().filter(|line| line.starts_with("traceparent:") || line.starts_with("x-request-id:"));
        assert!(ids.count() <= 1, "{head}");
    }
}

#[test]
fn a_trace_of_squalls_own_is_the_one_that_is_noted() {
    let (queue, _finished) = span_queue(64, 64);
    let traces = Traces { sampler: Sampler::new(1.0, true), propagation: Propagation::default(), queue };
    let setup = Setup::new("", &[], Some(traces)).observing(with_ids());
    let Observed { outcome, head, .. } = setup.exchange(Side::In, "GET / HTTP/1.1", &[]);
    let traceparent = got(&head, "traceparent").unwrap();
    assert_eq!(traceparent[..35], format!("00-{:032x}", outcome.trace));
    assert!(traceparent.ends_with("-01") && outcome.has_added_ids, "{traceparent}");
    assert_eq!(got(&head, "x-request-id").unwrap().replace('-', ""), format!("{:032x}", outcome.request_id));
    assert_eq!(head.matches("traceparent").count(), 1);
}

#[test]
fn http2_is_noted_like_http1() {
    let setup = Setup::observed(with_ids());
    let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let one = setup.exchange_http2(Side::In, &[("traceparent", &traceparent)]);
    assert_eq!((one.outcome.trace, one.outcome.status, one.outcome.response_bytes), (TRACE_NUMBER, Some(200), 5));
    assert_eq!((&*one.outcome.route, one.outcome.has_added_ids), ("GET /v1/orders", false));
    let other = setup.exchange_http2(Side::In, &[]);
    assert!(other.outcome.has_added_ids);
    assert_eq!(got(&other.head, "traceparent").unwrap()[..35], format!("00-{:032x}", other.outcome.trace));
    assert_eq!((one.outcome.shape, one.outcome.operation), (other.outcome.shape, other.outcome.operation));
    setup.http2_client_that_leaves(Side::In);
    let left = setup.outcome();
    assert!(left.is_abandoned && left.status == Some(200), "{left:?}");
}

#[test]
fn the_experiment_of_a_rule_is_told_and_whether_it_was_picked() {
    let rules = "rules: [{ name: a, percentage: 100, match: { path: /a }, fault: { abort: 503 } }, \
                 { name: never, percentage: 0, match: { path: /b }, fault: { abort: 503 } }, \
                 { name: r, percentage: 100, match: { path: /c }, fault: { reset: true } }, \
                 { name: own, percentage: 100, match: { path: /d }, fault: { abort: 418 } }]";
    let setup = Setup::new(rules, &["a", "never", "r"], None).observing(with_ids());
    let matched = |is_picked| Some(ExperimentMatch { experiment: Name::new("e").unwrap(), is_picked });
    for (path, status, is_injected, expected) in [
        ("/a", Some(503), true, matched(true)),
        ("/b", Some(200), false, matched(false)),
        ("/c", None, true, matched(true)),
        ("/d", Some(418), true, None),
        ("/e", Some(200), false, None),
    ] {
        setup.request(Side::Out, &format!("GET {path} HTTP/1.1"), &[]);
        let outcome = setup.outcome();
        assert_eq!((outcome.status, outcome.is_injected, outcome.is_abandoned), (status, is_injected, false), "{path}");
        assert_eq!(outcome.matched, expected, "{path}");
    }
    // What never left for A was given no ids.
    setup.request(Side::In, "GET /a HTTP/1.1", &[]);
    let outcome = setup.outcome();
    assert_eq!((outcome.status, outcome.has_added_ids, outcome.trace), (Some(503), false, 0));
}

#[test]
fn what_the_budget_has_no_room_for_was_not_picked() {
    let rules = "limits: { active_faults_max: 1 }\n\
                 rules: [{ name: held, percentage: 100, match: { path: /held }, fault: { delay: 1h } }, \
                 { name: a, percentage: 100, match: { path: /a }, fault: { abort: 503 } }]";
    let setup = Setup::new(rules, &["a"], None).observing(with_ids());
    let mut held = setup.connect(Side::Out);
    held.write_all(b"GET /held HTTP/1.1\r\nhost: b\r\n\r\n").unwrap();
    setup.wait_for_active("held");
    setup.request(Side::Out, "GET /a HTTP/1.1", &[]);
    let outcome = setup.outcome();
    assert_eq!(
        (outcome.status, outcome.matched),
        (Some(200), Some(ExperimentMatch { experiment: Name::new("e").unwrap(), is_picked: false }))
    );
    drop(held);
    let outcome = setup.outcome();
    assert_eq!((outcome.status, outcome.is_abandoned, outcome.is_injected), (None, true, true), "{outcome:?}");
}

#[test]
fn a_caller_that_leaves_is_told() {
    let setup = Setup::observed(with_ids());
    let mut waiting = setup.connect(Side::Out);
    waiting.write_all(b"GET /hold HTTP/1.1\r\nhost: b\r\n\r\n").unwrap();
    setup.head_of_upstream();
    drop(waiting);
    let outcome = setup.outcome();
    assert!(outcome.is_abandoned && outcome.status.is_none() && !outcome.is_injected, "{outcome:?}");
    let mut reading = setup.connect(Side::Out);
    reading.write_all(b"GET /long HTTP/1.1\r\nhost: b\r\n\r\n").unwrap();
    reading.read_exact(&mut [0; 64]).unwrap();
    drop(reading);
    let outcome = setup.outcome();
    assert!(outcome.is_abandoned && outcome.status == Some(200), "{outcome:?}");
    // An upstream that ends too early is not the caller's doing, who stays until the connection ends.
    let mut staying = setup.connect(Side::Out);
    staying.write_all(b"GET /short HTTP/1.1\r\nhost: b\r\n\r\n").unwrap();
    while let Ok(1..) = staying.read(&mut [0; 64]) {}
    let outcome = setup.outcome();
    assert!(!outcome.is_abandoned && outcome.status == Some(200), "{outcome:?}");
}

#[test]
fn tries_of_a_call_are_the_same_operation() {
    let setup = Setup::observed(Observation::default());
    let outcome = |line: &str, fields: &[(&str, &str)]| setup.exchange(Side::Out, line, fields).outcome;
    let one = outcome("GET /a?x=1 HTTP/1.1", &[]);
    assert_eq!(outcome("GET /a?x=1 HTTP/1.1", &[("x-attempt", "2")]).operation, one.operation);
    for line in ["GET /a?x=2 HTTP/1.1", "PUT /a?x=1 HTTP/1.1", "GET /b?x=1 HTTP/1.1", "GET http://c/a?x=1 HTTP/1.1"] {
        assert_ne!(outcome(line, &[]).operation, one.operation, "{line}");
    }
    for (method, expected) in [("DELETE", true), ("POST", false), ("PATCH", false), ("ODD", false)] {
        let line = format!("{method} / HTTP/1.1");
        assert_eq!(outcome(&line, &[]).is_repeatable, expected, "{method}");
        assert!(outcome(&line, &[("idempotency-key", "1")]).is_repeatable, "{method}");
    }
}

#[test]
fn answers_of_a_show_fallbacks_and_grpc_statuses() {
    let fallback = |value: &'static str| Fallback {
        header: http::HeaderName::from_static("x-from"),
        value: Some(http::HeaderValue::from_static(value)),
    };
    let setup = Setup::observed(Observation {
        fallbacks: vec![fallback("default"), fallback("cache")],
        ..Observation::default()
    });
    let plain = setup.exchange(Side::In, "GET / HTTP/1.1", &[]).outcome;
    let cached = setup.exchange(Side::In, "GET /cached HTTP/1.1", &[]).outcome;
    assert_eq!((plain.fallbacks, cached.fallbacks), (0, 0b10));
    assert_ne!(plain.shape, cached.shape);
    assert_eq!(setup.exchange(Side::Out, "GET /cached HTTP/1.1", &[]).outcome.fallbacks, 0);
    let grpc = [("content-type", "application/grpc")];
    let call = setup.exchange(Side::In, "POST /shop.v1.Cart/Get2 HTTP/1.1", &grpc).outcome;
    assert_eq!((call.grpc_status, &*call.route), (Some(5), "POST /shop.v1.Cart/Get2"));
    assert_eq!(setup.exchange(Side::Out, "POST /shop.v1.Cart/Get2 HTTP/1.1", &grpc).outcome.grpc_status, Some(5));
    // What is the caller's own mistake is no failure of A, whatever gRPC calls it.
    let mut caller = setup.connect(Side::In);
    let head = "GET /hold HTTP/1.1\r\nhost: b\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\r\n";
    caller.write_all(head.as_bytes()).unwrap();
    setup.wait_for_path("/hold");
    caller.write_all(b"no chunk\r\n").unwrap();
    let answer = setup.read(&mut caller);
    assert!(answer.contains("grpc-status: 13\r\n"), "{answer}");
    let refused = setup.outcome();
    assert_eq!((refused.status, refused.grpc_status), (Some(400), None));
}

#[test]
fn of_a_share_whole_traces_are_noted_and_ids_are_added_to_all() {
    const SHARE: u8 = 2;
    let setup = Setup::observed(Observation { share: TraceShare::new(SHARE, SharedId::Trace), ..with_ids() });
    let traceparent = |n: u32| format!("00-{:032x}-00f067aa0ba902b7-00", u128::from(n) << 70 | 1);
    let noted = |side: Side, requests: &[String]| -> HashSet<u128> {
        requests.iter().for_each(|id| setup.request(side, "GET / HTTP/1.1", &[("traceparent", id)]));
        setup.until_marked().into_iter().map(|outcome| outcome.trace).collect()
    };
    let ids: Vec<String> = (1..=120).map(traceparent).collect();
    let (inbound, outbound) = (noted(Side::In, &ids), noted(Side::Out, &ids));
    assert_eq!(inbound, outbound);
    assert!((10..=55).contains(&inbound.len()), "{} of 120", inbound.len());

    // What has no ids is given some, and its calls are noted when it is.
    let passed_on: Vec<String> = (0..120)
        .map(|_| {
            setup.forget_heads();
            setup.request(Side::In, "GET / HTTP/1.1", &[]);
            got(&setup.head_of_upstream(), "traceparent").unwrap()
        })
        .collect();
    let inbound: HashSet<u128> = setup.until_marked().into_iter().map(|outcome| outcome.trace).collect();
    assert!((10..=55).contains(&inbound.len()), "{} of 120", inbound.len());
    assert_eq!(noted(Side::Out, &passed_on), inbound);

    // Where A is known to pass on one of them, that one alone.
    let share = TraceShare::new(SHARE, SharedId::Request).with_sole_id();
    setup.proxy.note_share(share);
    setup.forget_heads();
    setup.request(Side::In, "GET / HTTP/1.1", &[]);
    let head = setup.head_of_upstream();
    assert!(got(&head, "traceparent").is_none() && got(&head, "x-request-id").is_some(), "{head}");

    // And of calls without ids as many are noted as of others.
    setup.until_marked();
    (0..120).for_each(|_| setup.request(Side::Out, "GET / HTTP/1.1", &[]));
    let n = setup.until_marked().len();
    assert!((10..=55).contains(&n), "{n} of 120");
}

#[test]
fn where_squalls_ids_alone_count_only_what_is_noted_is_given_one() {
    let setup = Setup::observed(with_ids());
    for (by, field, other) in
        [(SharedId::Trace, "traceparent", "x-request-id"), (SharedId::Request, "x-request-id", "traceparent")]
    {
        setup.proxy.note_share(TraceShare::new(2, by).with_own_ids_alone());
        setup.until_marked();
        let given: Vec<String> = (0..120)
            .filter_map(|_| {
                setup.forget_heads();
                setup.request(Side::In, "GET / HTTP/1.1", &[]);
                let head = setup.head_of_upstream();
                assert_eq!(got(&head, other), None);
                got(&head, field)
            })
            .collect();
        assert!((10..=55).contains(&given.len()), "{} of 120 by {field}", given.len());
        let noted = |outcomes: Vec<Outcome>| -> HashSet<u128> {
            outcomes.into_iter().map(|o| if by == SharedId::Trace { o.trace } else { o.request_id }).collect()
        };
        let inbound = setup.until_marked();
        assert!(inbound.iter().all(|outcome| outcome.has_added_ids && outcome.direction == Direction::Inbound));
        let inbound = noted(inbound);
        assert_eq!(inbound.len(), given.len(), "each that was given an id, and no others");

        // A passes them on; what else it calls with, and what others call A with, is not looked at.
        given.iter().for_each(|id| setup.request(Side::Out, "GET / HTTP/1.1", &[(field, id)]));
        for n in 1..=40_u128 {
            let of_others = format!("{:032x}", n << 70 | 1);
            let traceparent = format!("00-{of_others}-00f067aa0ba902b7-01");
            for side in [Side::In, Side::Out] {
                setup.request(side, "GET / HTTP/1.1", &[("traceparent", &traceparent), ("x-request-id", &of_others)]);
            }
            setup.request(Side::Out, "GET / HTTP/1.1", &[]);
        }
        assert_eq!(noted(setup.until_marked()), inbound);
    }

    // What would get ids in any case, because Squall traces it, is not looked at; nor is anything else changed about it.
    let (queue, _finished) = span_queue(64, 64);
    let traces = Traces { sampler: Sampler::new(1.0, true), propagation: Propagation::default(), queue };
    let setup = Setup::new("", &[], Some(traces)).observing(with_ids());
    setup.proxy.note_share(TraceShare::new(1, SharedId::Request).with_own_ids_alone());
    setup.all_outcomes();
    for _ in 0..20 {
        setup.forget_heads();
        setup.request(Side::In, "GET / HTTP/1.1", &[]);
        let head = setup.head_of_upstream();
        assert!(got(&head, "traceparent").is_some() && got(&head, "x-request-id").is_none(), "{head}");
    }
    assert_eq!(setup.until_marked(), Vec::<Outcome>::new());
}

#[test]
fn only_what_begins_and_ends_in_an_observation_is_noted() {
    let setup = Setup::new("", &[], None);
    setup.request(Side::In, "GET / HTTP/1.1", &[]);
    let mut early = setup.connect(Side::Out);
    early.write_all(b"GET /hold HTTP/1.1\r\nhost: b\r\n\r\n").unwrap();
    setup.wait_for_path("/hold");
    let setup = setup.observing(with_ids());
    setup.release();
    assert!(setup.read(&mut early).starts_with("HTTP/1.1 200"));
    assert_eq!(setup.exchange(Side::In, "GET /x HTTP/1.1", &[]).outcome.operation, setup.operation_of("/x"));
    let mut late = setup.connect(Side::Out);
    late.write_all(b"GET /hold HTTP/1.1\r\nhost: b\r\n\r\n").unwrap();
    setup.wait_for_path("/hold");
    setup.stop_observing();
    setup.release();
    assert!(setup.read(&mut late).starts_with("HTTP/1.1 200"));
    setup.request(Side::In, "GET / HTTP/1.1", &[]);
    assert_eq!(setup.all_outcomes(), Vec::<Outcome>::new());
    assert!(setup.proxy.drain(Duration::from_secs(2)).finished);
}
