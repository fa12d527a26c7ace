use super::*;

fn fault_problems(fault: &str) -> Vec<String> {
    rule_problems(&format!("fault: {{{fault}}}"))
}

#[test]
fn faults_are_in_order_of_application() {
    let kinds = |fault: &str| rule_faults(fault).iter().map(Fault::kind).collect::<Vec<_>>();
    assert_eq!(kinds("{reset: true, delay: 1s}"), ["delay", "reset"]);
    assert_eq!(kinds("{delay: {fixed: 1s, on: response}, throttle: 1KiB/s}"), ["throttle", "delay"]);
}

#[test]
fn one_fault_ends_an_exchange() {
    assert_eq!(fault_problems("abort: 503, reset: true"), ["fault: abort and reset each end the exchange"]);
    assert_eq!(fault_problems("blackhole: true, refuse: true"), ["fault: blackhole and refuse each end the exchange"]);
}

#[test]
fn delays_make_sense() {
    for (delay, expected) in [
        ("2", "fault.delay: the duration 2 has no unit"),
        ("2h", "fault.delay: 2h exceeds limits.delay_max 1h"),
        ("true", "fault.delay: \"true\" is not a duration: expected number at 0"),
        ("{fixed: 2h}", "fault.delay.fixed: 2h exceeds limits.delay_max 1h"),
        ("{fixed: 1s, max: 2h}", "fault.delay.max: 2h exceeds limits.delay_max 1h"),
        ("{fixed: 1s, on: answer}", "fault.delay.on: \"answer\" is not one of request, response"),
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
        ("refuse: false", "fault.refuse: false does nothing"),
        ("throttle: 64KiB", "fault.throttle: the rate \"64KiB\" does not end with \"/s\""),
        ("throttle: {rate: 0/s}", "fault.throttle.rate: a rate of 0 bytes per second"),
        ("throttle: {direction: response}", "fault.throttle.rate: missing"),
        ("throttle: {rate: 1/s, direction: up}", "fault.throttle.direction: \"up\" is not one of request, response"),
    ] {
        assert_eq!(fault_problems(fault), [expected], "{fault}");
    }
}

#[test]
fn a_reset_after_bytes_is_in_the_response() {
    let faults = rule_faults("{reset: {after_bytes: 10}}");
    assert!(matches!(&faults[..], [Fault::Reset(reset)] if reset.on == Phase::Response && reset.after_bytes == 10));
    let faults = rule_faults("{reset: {}}");
    assert!(matches!(&faults[..], [Fault::Reset(reset)] if reset.on == Phase::Request && reset.after_bytes == 0));
}
