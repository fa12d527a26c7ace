//! The trace that a request belongs to, as its header fields say it: W3C Trace Context, B3 in one field, B3 in several.

use http::HeaderMap;

/// What a request says of its trace and of the span that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Trace and span; never zero. B3 may speak of the sampling alone.
    pub ids: Option<Ids>,
    /// Whether the caller records the trace; `None` leaves it to who is asked (B3).
    pub is_sampled: Option<bool>,
    /// The caller wants the trace whatever the samplers say (B3).
    pub is_debug: bool,
    /// Flags of W3C, as they came.
    pub flags: u8,
}

/// Where in a trace a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// An id of 64 bits (B3) is the lower half of one of 128.
    pub trace: u128,
    /// The span of the caller.
    pub span: u64,
}

/// Trace, span and flags (W3C Trace Context §3.2).
pub const TRACEPARENT: &str = "traceparent";
/// What tracing systems add to it (§3.3).
pub const TRACESTATE: &str = "tracestate";
/// B3 in one field.
pub const B3: &str = "b3";
/// B3 in several fields: trace, span, the span before that, and the sampling.
pub const B3_TRACE: &str = "x-b3-traceid";
/// See [`B3_TRACE`].
pub const B3_SPAN: &str = "x-b3-spanid";
/// See [`B3_TRACE`].
pub const B3_PARENT: &str = "x-b3-parentspanid";
/// See [`B3_TRACE`].
pub const B3_SAMPLED: &str = "x-b3-sampled";
/// `1` is debug; then there is no [`B3_SAMPLED`].
pub const B3_FLAGS: &str = "x-b3-flags";

/// W3C Trace Context §3.2. What is malformed is none.
pub fn w3c(headers: &HeaderMap) -> Option<TraceContext> {
    let (ids, flags) = traceparent(text(headers, TRACEPARENT)?)?;
    Some(TraceContext { ids: Some(ids), is_sampled: Some(flags & 1 == 1), is_debug: false, flags })
}

/// `b3: trace-span-sampled-parent`, of which the last one or two may be missing, or `sampled` alone.
pub fn b3(headers: &HeaderMap) -> Option<TraceContext> {
    let value = text(headers, B3)?.trim();
    if !value.contains('-') {
        return Some(TraceContext { ids: None, ..b3_sampling(value)? });
    }
    let mut parts = value.split('-');
    let (trace, span) = (b3_trace(parts.next()?)?, b3_span(parts.next()?)?);
    let sampling = match parts.next() {
        None => TraceContext { ids: None, is_sampled: None, is_debug: false, flags: 0 },
        Some(text) => b3_sampling(text)?,
    };
    Some(TraceContext { ids: Some(Ids { trace, span }), ..sampling })
}

/// `x-b3-traceid` and its kin.
pub fn b3_multi(headers: &HeaderMap) -> Option<TraceContext> {
    let trace = text(headers, B3_TRACE).and_then(b3_trace);
    let sampled = text(headers, B3_SAMPLED);
    if trace.is_none() && sampled.is_none() {
        return None;
    }
    let is_debug = text(headers, B3_FLAGS).is_some_and(|flags| flags.trim() == "1");
    let is_sampled = match sampled.map(str::trim) {
        _ if is_debug => Some(true),
        Some("1" | "true") => Some(true),
        Some("0" | "false") => Some(false),
        _ => None,
    };
    let span = text(headers, B3_SPAN).and_then(b3_span);
    let ids = trace.zip(span).map(|(trace, span)| Ids { trace, span });
    (ids.is_some() || is_sampled.is_some()).then_some(TraceContext { ids, is_sampled, is_debug, flags: 0 })
}

/// The trace id of `traceparent`, else of `b3`, else of `x-b3-traceid`; the same trace has the same number whatever
/// carries it. What is malformed, or zero, is none.
pub fn trace_id(headers: &HeaderMap) -> Option<u128> {
    let w3c = || text(headers, TRACEPARENT).and_then(traceparent).map(|(ids, _)| ids.trace);
    let single = || text(headers, B3).and_then(|value| b3_trace(value.split('-').next()?));
    let several = || text(headers, B3_TRACE).and_then(b3_trace);
    w3c().or_else(single).or_else(several)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// `version-trace_id-parent_id-flags` (W3C Trace Context §3.2.2); versions to come may append more.
fn traceparent(value: &str) -> Option<(Ids, u8)> {
    let mut parts = value.trim().split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_known = version == "00" && parts.next().is_none();
    let is_to_come = version != "00" && version != "ff" && lower_hex(version, 2).is_some();
    let trace = lower_hex(trace, 32).filter(|id| *id != 0)?;
    let span = lower_hex(parent, 16).and_then(|id| u64::try_from(id).ok()).filter(|id| *id != 0)?;
    let flags = lower_hex(flags, 2).and_then(|flags| u8::try_from(flags).ok())?;
    (is_known || is_to_come).then_some((Ids { trace, span }, flags))
}

fn b3_sampling(text: &str) -> Option<TraceContext> {
    let (is_sampled, is_debug) = match text {
        "0" => (false, false),
        "1" => (true, false),
        "d" => (true, true),
        _ => return None,
    };
    Some(TraceContext { ids: None, is_sampled: Some(is_sampled), is_debug, flags: 0 })
}

fn b3_trace(value: &str) -> Option<u128> {
    let value = value.trim();
    hex(value, 32).or_else(|| hex(value, 16)).filter(|id| *id != 0)
}

fn b3_span(value: &str) -> Option<u64> {
    hex(value.trim(), 16).and_then(|id| u64::try_from(id).ok()).filter(|id| *id != 0)
}

/// Exactly so many hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// The same, small letters only.
fn lower_hex(text: &str, digits: usize) -> Option<u128> {
    hex(text, digits).filter(|_| !text.bytes().any(|byte| byte.is_ascii_uppercase()))
}

#[cfg(test)]
#[path = "trace_context_tests.rs"]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
