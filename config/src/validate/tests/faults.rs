use super::*;

fn fault_problems(fault: &str) -> Vec<String> {
    rule_problems(&format!("fault: {{{fault}}}"))
}

#[test]
fn faults_are_in_order_of_application() {
    let kinds = |fault: &str| rule_faults(fault).iter().map(Fault::kind).collect::<Vec<_>>();
    assert_eq!(kinds("{reset: true, delay: 1s}"), ["delay", "reset"]);
    assert_eq!(kinds("{delay: {fixed: 1s, on: response}, throttle: 1KiB/s}"), ["throttle", "delay"]);
    let all = "{modify: {status: 500}, stall: true, corrupt: 1, delay: {at_least: 1s}, goaway: true}";
    assert_eq!(kinds(all), ["corrupt", "goaway", "delay", "modify", "stall"]);
}

#[test]
fn one_fault_ends_an_exchange() {
    assert_eq!(fault_problems("abort: 503, reset: true"), ["fault: abort and reset each end the exchange"]);
    assert_eq!(
        fault_problems("response_lost: true, truncate: 5"),
        ["fault: response_lost and truncate each end the exchange"]
    );
    assert_eq!(fault_problems("blackhole: true, refuse: true"), ["fault: blackhole and refuse each end the exchange"]);
}

#[test]
fn delays_make_sense() {
    for (delay, expected) in [
        ("2", "fault.delay: the duration 2 has no unit"),
        ("2h", "fault.delay: 2h exceeds limits.delay_max 1h"),
        ("true", "fault.delay: \"true\" is not a duration"),
        ("{fixed: 2h}", "fault.delay.fixed: 2h exceeds limits.delay_max 1h"),
        ("{fixed: 1s, max: 2h}", "fault.delay.max: 2h exceeds limits.delay_max 1h"),
        ("{fixed: 1s, on: answer}", "fault.delay.on: \"answer\" is not one of request, response, connect"),
        ("{}", "fault.delay: it says no latency"),
        ("{fixed: 1s, uniform: {min: 1s, max: 2s}}", "fault.delay: fixed and uniform exclude each other"),
        ("{uniform: {min: 1s, max: 2h}}", "fault.delay.uniform.max: 2h exceeds limits.delay_max 1h"),
        ("{uniform: {min: 2s, max: 1s}}", "fault.delay.uniform.min: 2s is above max 1s"),
        ("{uniform: {min: 2s}}", "fault.delay.uniform.max: missing"),
        ("{normal: {mean: 1s, stddev: 1s}}", "fault.delay.max: missing"),
        ("{normal: {mean: 1s}, max: 1s}", "fault.delay.normal.stddev: missing"),
        ("{lognormal: {median: 1s, sigma: 0}, max: 1s}", "fault.delay.lognormal.sigma: 0 is not a number above 0"),
        ("{lognormal: {median: 0s, sigma: 1}, max: 1s}", "fault.delay.lognormal.median: it must be longer than 0s"),
        ("{exponential: {mean: 0s}, max: 1s}", "fault.delay.exponential.mean: it must be longer than 0s"),
        ("{exponential: {mean: 1s}, max: 0s}", "fault.delay.max: it must be longer than 0s"),
        ("{pareto: {scale: 1s, shape: x}, max: 1s}", "fault.delay.pareto.shape: x is not a number above 0"),
        ("{quantiles: {p50: 1s}}", "fault.delay.max: missing"),
        ("{quantiles: {}, max: 1s}", "fault.delay.quantiles: it has no quantile"),
        ("{quantiles: {median: 1s}, max: 2s}", "fault.delay.quantiles.median: \"median\" is not a quantile"),
        ("{quantiles: {p101: 1s}, max: 2s}", "fault.delay.quantiles.p101: \"p101\" is not a quantile"),
        ("{quantiles: {p50: 2s, p99: 1s}, max: 2s}", "fault.delay.quantiles.p99: 1s is below p50 2s"),
        ("{quantiles: {p50: 1s, p50.0: 2s}, max: 3s}", "fault.delay.quantiles: a quantile is written twice"),
        ("{quantiles: {p50: 1s, p100: 2h}}", "fault.delay.quantiles: 2h exceeds limits.delay_max 1h"),
        ("{at_least: 0s}", "fault.delay.at_least: it must be longer than 0s"),
        ("{at_least: 1s, on: request}", "fault.delay.on: how long an answer takes is not known on request"),
        ("{multiply: 3}", "fault.delay.max: missing"),
        ("{multiply: 1, max: 1s}", "fault.delay.multiply: 1 is not a number above 1"),
    ] {
        assert_eq!(fault_problems(&format!("delay: {delay}")), [expected], "{delay}");
    }
}

#[test]
fn aborts_make_sense() {
    for (abort, expected) in [
        ("199", "fault.abort: 199 is not a final HTTP status"),
        ("600", "fault.abort: 600 is not a final HTTP status"),
        ("true", "fault.abort: true is not a final HTTP status"),
        ("{status: 1}", "fault.abort.status: 1 is not a final HTTP status"),
        ("{}", "fault.abort: it has no status"),
        ("{status: 503, grpc_status: 1}", "fault.abort: status and grpc_status exclude each other"),
        ("{grpc_status: 17}", "fault.abort.grpc_status: 17 is not a gRPC status"),
        ("{grpc_status: GONE}", "fault.abort.grpc_status: GONE is not a gRPC status"),
        ("{grpc_status: 14, after_messages: 0}", "fault.abort.after_messages: 0 messages are none"),
        ("{status: 503, after_messages: 1}", "fault.abort.after_messages: after_messages belongs to grpc_status"),
        ("{grpc_status: 14, body: x}", "fault.abort: body and headers belong to status"),
        ("{status: 503, message: x}", "fault.abort.message: message belongs to grpc_status"),
        ("{status: 204, body: x}", "fault.abort.body: an answer with status 204 has no body"),
        (
            "{status: 503, headers: {Content-Length: 5}}",
            "fault.abort.headers.Content-Length: content-length frames the message; the proxy sets it",
        ),
        (
            "{status: 503, headers: {x-squall-fault: a}}",
            "fault.abort.headers.x-squall-fault: x-squall-fault tells Squall's own answers apart; Squall sets it",
        ),
        ("{status: 503, headers: {\"a:\": b}}", "fault.abort.headers.a:: \"a:\" is not a header name"),
        (
            "{status: 503, headers: {a: \"b\\nc\"}}",
            "fault.abort.headers.a: its value has a line break or another control character",
        ),
    ] {
        assert_eq!(fault_problems(&format!("abort: {abort}")), [expected], "{abort}");
    }
}

#[test]
fn the_other_faults_make_sense() {
    for (fault, expected) in [
        ("reset: false", "fault.reset: false does nothing"),
        ("reset: 1", "fault.reset: 1 is not true, or an object such as {on: response, after_bytes: 64KiB}"),
        ("reset: {on: never}", "fault.reset.on: \"never\" is not one of request, response"),
        ("reset: {after_bytes: x}", "fault.reset.after_bytes: \"x\" is not a number of bytes"),
        ("blackhole: 30s", "fault.blackhole: 30s is not true, or an object such as {max: 30s}"),
        ("blackhole: {max: 0s}", "fault.blackhole.max: it must be longer than 0s"),
        ("blackhole: {direction: both}", "fault.blackhole.direction: \"both\" is not one of request, response"),
        ("blackhole: {direction: request, idle: 0s}", "fault.blackhole.idle: it must be longer than 0s"),
        (
            "blackhole: {idle: 1s}",
            "fault.blackhole.idle: without a direction nothing is read, so that nobody knows whether something came",
        ),
        ("refuse: false", "fault.refuse: false does nothing"),
        ("throttle: 64KiB", "fault.throttle: the rate \"64KiB\" does not end with \"/s\""),
        ("throttle: {rate: 0/s}", "fault.throttle.rate: a rate of 0 bytes per second"),
        ("throttle: {direction: response}", "fault.throttle.rate: missing"),
        ("throttle: {rate: 1/s, direction: up}", "fault.throttle.direction: \"up\" is not one of request, response"),
        ("reset: {code: 14}", "fault.reset.code: 14 is not an error code of HTTP/2"),
        ("reset: {code: -1}", "fault.reset.code: -1 is not an error code of HTTP/2"),
        (
            "reset: {on: request, after_bytes: 5}",
            "fault.reset.after_bytes: bytes of the answer cannot pass before the upstream is called",
        ),
        ("reset: {on: response, after: 5s}", "fault.reset: after excludes on and after_bytes"),
        ("reset: {after_data: 5}", "fault.reset.after_data: the duration 5 has no unit"),
        ("reset: {after_data: 1s, after: 5s}", "fault.reset: after_data excludes after and after_bytes"),
        ("reset: {after_data: 1s, after_bytes: 5}", "fault.reset: after_data excludes after and after_bytes"),
        (
            "reset: {after_data: 1s, code: 8}",
            "fault.reset.code: an error code is for streams of HTTP/2, but after_data is only for TCP",
        ),
        ("requested: {by: cookies}", "fault.requested.by: \"cookies\" is not one of headers, baggage, both"),
        ("requested: {max: 2h}", "fault.requested.max: 2h exceeds limits.delay_max 1h"),
        ("requested: true, abort: 503", "fault.requested: what the caller asks for stands alone in its rule"),
        ("goaway: 5", "fault.goaway: 5 is not true, or an error code of HTTP/2 such as ENHANCE_YOUR_CALM"),
        ("slow_close: 2h", "fault.slow_close: 2h exceeds limits.delay_max 1h"),
        ("duplicate: {after: 2h}", "fault.duplicate.after: 2h exceeds limits.delay_max 1h"),
        ("response_lost: false", "fault.response_lost: false does nothing"),
        ("truncate: {}", "fault.truncate: it does not say when"),
        ("truncate: {after_bytes: 1, after: 1s}", "fault.truncate: after_bytes and after exclude each other"),
        ("truncate: {on: request}", "fault.truncate: it does not say when"),
        ("truncate: {after: 1s, on: request}", "fault.truncate.on: a time is not of one direction"),
        ("truncate: {after_bytes: 1, on: both}", "fault.truncate.on: \"both\" is not one of request, response"),
        ("corrupt: 0", "fault.corrupt: 0 alters nothing"),
        ("corrupt: {rate: 101%}", "fault.corrupt.rate: 101% is not between 0 and 100"),
        ("stall: {max: 0s}", "fault.stall.max: it must be longer than 0s"),
        ("slow_body: {every: 1s}", "fault.slow_body.chunk: missing"),
        ("slow_body: {chunk: 0, every: 1s}", "fault.slow_body.chunk: it must be more than 0"),
        ("slow_body: {chunk: events, every: 1s}", "fault.slow_body.chunk: \"events\" is not a number of bytes"),
        ("slice: {size: 10, variation: 10}", "fault.slice.variation: pieces could be empty"),
        ("slice: {size: 10, every: 2m}", "fault.slice.every: 2m is longer than a minute"),
        ("slow_close: 0s", "fault.slow_close: it must be longer than 0s"),
        ("malformed: chunk", "fault.malformed: \"chunk\" is not one of empty, garbage, bad_chunk"),
        ("modify: {}", "fault.modify: it changes nothing"),
        ("modify: {on: request, status: 500}", "fault.modify.status: a request has no status"),
        ("modify: {status: 204, body: x}", "fault.modify.body: an answer with status 204 has no body"),
        (
            "modify: {remove_headers: [content-length]}",
            "fault.modify.remove_headers: content-length frames the message; the proxy sets it",
        ),
    ] {
        assert_eq!(fault_problems(fault), [expected], "{fault}");
    }
}

#[test]
fn a_reset_after_bytes_is_in_the_response() {
    let moment = |fault: &str| match rule_faults(fault).remove(0) {
        Fault::Reset(reset) => reset.moment,
        other => panic!("{other:?}"),
    };
    assert_eq!(moment("{reset: {after_bytes: 10}}"), ResetMoment::Response { after_bytes: 10 });
    assert_eq!(moment("{reset: {on: response}}"), ResetMoment::Response { after_bytes: 0 });
    assert_eq!(moment("{reset: {}}"), ResetMoment::Request);
    assert_eq!(moment("{reset: {after: 2s}}"), ResetMoment::After(Duration::from_secs(2)));
    let after_data = |on, seconds| ResetMoment::AfterData { on, time: Duration::from_secs(seconds) };
    assert_eq!(moment("{reset: {after_data: 0s}}"), after_data(Phase::Request, 0));
    assert_eq!(moment("{reset: {on: response, after_data: 2s}}"), after_data(Phase::Response, 2));
}

#[test]
fn codes_of_http2_have_names_and_numbers() {
    for code in ["ENHANCE_YOUR_CALM", "enhance_your_calm", "11"] {
        let faults = rule_faults(&format!("{{goaway: {{code: {code}}}}}"));
        assert!(matches!(&faults[..], [Fault::Goaway(goaway)] if goaway.code.number() == 11 && goaway.is_abrupt()));
    }
    let faults = rule_faults("{goaway: true}");
    assert!(matches!(&faults[..], [Fault::Goaway(goaway)] if !goaway.is_abrupt()));
    assert!(matches!(&rule_faults("{abort: {grpc_status: unavailable}}")[..], [Fault::Abort(abort)]
        if matches!(abort.answer, AbortAnswer::Grpc { status: 14, .. })));
}

#[test]
fn quantiles_are_joined_by_straight_lines() {
    let faults = rule_faults("{delay: {quantiles: {p99: 2s, p50: 10ms}, max: 4s}}");
    let [Fault::Delay(Delay { amount: Amount::Drawn(Latency::Quantiles(table)), max, .. })] = &faults[..] else {
        panic!("{faults:?}");
    };
    assert_eq!(*max, Duration::from_secs(4));
    for (quantile, expected_ms) in [(0.0, 0), (0.25, 5), (0.5, 10), (0.99, 2000), (0.995, 3000), (1.0, 4000)] {
        let found = table.at(quantile).as_secs_f64() * 1000.0;
        assert!((found - f64::from(expected_ms)).abs() < 0.01, "{quantile}: {found} ms");
    }
}

#[test]
fn a_handshake_goes_wrong_in_one_way() {
    let with = |fault: &str, matches: &str| {
        format!(
            "version: 1\nlisteners:\n- {{name: a, address: \"127.0.0.1:0\", cluster: b, tls: {{cert: c, key: k}}}}\n\
             - {{name: p, address: \"127.0.0.1:0\", cluster: b}}\nclusters: [{{name: b, endpoints: [\"b:1\"]}}]\n\
             rules: [{{name: r, percentage: 1, match: {{{matches}}}, fault: {{tls: {fault}}}}}]\n"
        )
    };
    for fault in ["{handshake: stall}", "{handshake: {slow: 1s}, certificate: untrusted}", "{certificate: expired}"] {
        assert_eq!(load(&with(fault, "listener: a, source: 10.0.0.0/8")).rules[0].faults.len(), 1, "{fault}");
    }
    for (fault, matches, expected) in [
        ("{}", "", "fault.tls: rule \"r\": it says nothing"),
        ("{handshake: {}}", "", "fault.tls.handshake.slow: rule \"r\": missing"),
        ("{handshake: stop}", "", "fault.tls.handshake: rule \"r\": \"stop\" is not one of stall, alert"),
        (
            "{handshake: stall, certificate: expired}",
            "",
            "fault.tls.handshake: rule \"r\": the handshake ends before a certificate is shown",
        ),
        ("{handshake: stall}", "listener: p", "fault.tls: rule \"r\": TLS ends at no listener that the rule can meet"),
        ("{handshake: stall}", "path: /x", "match: rule \"r\": nothing of this is known while the handshake goes on"),
    ] {
        assert!(
            problems(&with(fault, matches)).contains(&format!("rules[0].{expected}")),
            "{:?}",
            problems(&with(fault, matches))
        );
    }
    let two = with("{handshake: stall}, delay: 1s", "");
    assert!(problems(&two)[0].contains("stands alone in its rule"), "{:?}", problems(&two));
}
