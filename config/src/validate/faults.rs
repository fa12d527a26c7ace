//! The faults of a rule.

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};

use crate::model::{Abort, AbortAnswer, Blackhole, Fault, Phase, Reset, Throttle};
use crate::spec::{AbortSpec, BlackholeSpec, FaultSpec, ResetSpec, Scalar, ThrottleSpec, Written};

use super::latency::delay;
use super::report::Report;

pub(crate) const PHASES: [(&str, Phase); 2] = [("request", Phase::Request), ("response", Phase::Response)];

/// Header fields that say where a message ends or what becomes of the connection: the proxy's own business.
const FRAMING: [&str; 8] =
    ["connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

/// In order of application: delay of the request, what ends or shapes the exchange, delay of the response.
pub(crate) fn faults(path: &str, spec: &FaultSpec, delay_max: Duration, report: &mut Report) -> Vec<Fault> {
    let at = |field: &str| format!("{path}.{field}");
    if *spec == FaultSpec::default() {
        report.add(path, "it says nothing", "write one of delay, abort, reset, blackhole, throttle, refuse");
    }
    let delay = spec.delay.as_ref().and_then(|spec| delay(&at("delay"), spec, delay_max, report));
    let mut rest = Vec::new();
    rest.extend(spec.abort.as_ref().and_then(|spec| abort(&at("abort"), spec, report)).map(Fault::Abort));
    rest.extend(spec.reset.as_ref().and_then(|spec| reset(&at("reset"), spec, report)).map(Fault::Reset));
    rest.extend(
        spec.blackhole.as_ref().and_then(|spec| blackhole(&at("blackhole"), spec, report)).map(Fault::Blackhole),
    );
    rest.extend(refuse(&at("refuse"), spec.refuse, report));
    let ends: Vec<&str> = rest.iter().map(Fault::kind).collect();
    if ends.len() > 1 {
        report.add(
            path,
            format!("{} each end the exchange", ends.join(" and ")),
            "keep one; put the others into rules of their own",
        );
    }
    rest.extend(spec.throttle.as_ref().and_then(|spec| throttle(&at("throttle"), spec, report)).map(Fault::Throttle));
    match delay {
        Some(delay) if delay.on == Phase::Request => rest.insert(0, Fault::Delay(delay)),
        Some(delay) => rest.push(Fault::Delay(delay)),
        None => {}
    }
    rest
}

/// `true` stands for the fault without parameters.
fn switched_on(path: &str, value: &Scalar, expected: &str, report: &mut Report) -> Option<()> {
    match value {
        Scalar::Bool(true) => return Some(()),
        Scalar::Bool(false) => {
            report.add(path, "false does nothing", "remove it, or write enabled: false for the rule");
        }
        other => report.add(path, format!("{other} is not {expected}"), format!("write {expected}")),
    }
    None
}

fn refuse(path: &str, value: Option<bool>, report: &mut Report) -> Option<Fault> {
    switched_on(path, &Scalar::Bool(value?), "true", report).map(|()| Fault::Refuse)
}

fn reset(path: &str, spec: &Written<ResetSpec>, report: &mut Report) -> Option<Reset> {
    use crate::spec::Full as _;
    match spec {
        Written::Short(value) => {
            switched_on(path, value, ResetSpec::EXPECTED, report).map(|()| Reset { on: Phase::Request, after_bytes: 0 })
        }
        Written::Full(ResetSpec { on, after_bytes }) => {
            let on = on.as_deref().and_then(|text| report.word(&format!("{path}.on"), text, &PHASES));
            let after_bytes =
                after_bytes.as_ref().and_then(|value| report.bytes(&format!("{path}.after_bytes"), value));
            let after_bytes = after_bytes.unwrap_or(0);
            // Bytes that pass first are bytes of an answer, unless it says otherwise.
            let usual = if after_bytes > 0 { Phase::Response } else { Phase::Request };
            Some(Reset { on: on.unwrap_or(usual), after_bytes })
        }
    }
}

fn blackhole(path: &str, spec: &Written<BlackholeSpec>, report: &mut Report) -> Option<Blackhole> {
    use crate::spec::Full as _;
    match spec {
        Written::Short(value) => {
            switched_on(path, value, BlackholeSpec::EXPECTED, report).map(|()| Blackhole { max: None })
        }
        Written::Full(BlackholeSpec { max }) => {
            let max = max.as_ref().and_then(|value| report.positive_duration(&format!("{path}.max"), value));
            Some(Blackhole { max })
        }
    }
}

fn throttle(path: &str, spec: &Written<ThrottleSpec>, report: &mut Report) -> Option<Throttle> {
    let (path, rate, direction) = match spec {
        Written::Short(rate) => (path.to_owned(), rate, None),
        Written::Full(full) => {
            let direction = full.direction.as_deref();
            let direction = direction.and_then(|text| report.word(&format!("{path}.direction"), text, &PHASES));
            let path = format!("{path}.rate");
            (path.clone(), report.required(&path, full.rate.as_ref(), "write a rate such as 64KiB/s")?, direction)
        }
    };
    let rate = rate.to_string().parse().map_err(|error| report.add_unit(&path, error)).ok()?;
    Some(Throttle { rate, direction })
}

fn abort(path: &str, spec: &Written<AbortSpec>, report: &mut Report) -> Option<Abort> {
    let spec = match spec {
        Written::Short(status) => {
            let status = http_status(path, status, report)?;
            return Some(Abort { answer: AbortAnswer::Http { status, body: None, headers: Vec::new() } });
        }
        Written::Full(spec) => spec,
    };
    let answer = match (&spec.status, &spec.grpc_status) {
        (Some(status), None) => http_answer(path, status, spec, report),
        (None, Some(status)) => grpc_answer(path, status, spec, report),
        (None, None) => {
            report.add(path, "it has no status", "write status: 503, or grpc_status: 14");
            None
        }
        (Some(_), Some(_)) => {
            report.add(path, "status and grpc_status exclude each other", "keep one");
            None
        }
    };
    answer.map(|answer| Abort { answer })
}

fn http_answer(path: &str, status: &Scalar, spec: &AbortSpec, report: &mut Report) -> Option<AbortAnswer> {
    if spec.message.is_some() {
        report.add(format!("{path}.message"), "message belongs to grpc_status", "write it as body");
    }
    let headers =
        spec.headers.iter().filter_map(|(name, value)| header(&format!("{path}.headers.{name}"), name, value, report));
    let headers = headers.collect();
    let status = http_status(&format!("{path}.status"), status, report)?;
    let is_bodiless = [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
    if is_bodiless && spec.body.as_ref().is_some_and(|body| !body.is_empty()) {
        report.add(
            format!("{path}.body"),
            format!("an answer with status {} has no body", status.as_u16()),
            "remove it",
        );
    }
    Some(AbortAnswer::Http { status, body: spec.body.as_ref().map(|body| body.as_bytes().into()), headers })
}

fn grpc_answer(path: &str, status: &Scalar, spec: &AbortSpec, report: &mut Report) -> Option<AbortAnswer> {
    if spec.body.is_some() || !spec.headers.is_empty() {
        report.add(path, "body and headers belong to status", "remove them; grpc_status has a message");
    }
    match status.to_string().parse::<u8>() {
        Ok(code) if code <= 16 => {
            Some(AbortAnswer::Grpc { status: code, message: spec.message.clone().unwrap_or_default() })
        }
        _ => {
            let hint = "write one from 0 to 16, such as 14 (unavailable)";
            report.add(format!("{path}.grpc_status"), format!("{status} is not a gRPC status"), hint);
            None
        }
    }
}

fn http_status(path: &str, status: &Scalar, report: &mut Report) -> Option<StatusCode> {
    let code = status.to_string().parse::<u16>().ok().filter(|code| (200..=599).contains(code));
    if code.is_none() {
        report.add(path, format!("{status} is not a final HTTP status"), "write one from 200 to 599, such as 503");
    }
    StatusCode::from_u16(code?).ok()
}

fn header(path: &str, name: &str, value: &Scalar, report: &mut Report) -> Option<(HeaderName, HeaderValue)> {
    let Ok(name) = HeaderName::try_from(name) else {
        report.add(path, format!("{name:?} is not a header name"), "use letters, digits and '-'");
        return None;
    };
    if FRAMING.contains(&name.as_str()) {
        report.add(path, format!("{name} frames the message; the proxy sets it"), "remove it");
    } else if name.as_str().starts_with("x-squall-") {
        report.add(path, format!("{name} tells Squall's own answers apart; Squall sets it"), "choose another name");
    }
    let Ok(value) = HeaderValue::try_from(value.to_string()) else {
        report.add(path, "its value has a line break or another control character", "remove it");
        return None;
    };
    Some((name, value))
}
