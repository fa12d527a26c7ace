//! The trace that a request belongs to, as its header fields say it: W3C Trace Context, B3 in one field, B3 in several.

use http::{HeaderMap, HeaderName, HeaderValue};

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
    let (ids, flags) = traceparent(headers.get(TRACEPARENT)?.as_bytes())?;
    Some(TraceContext { ids: Some(ids), is_sampled: Some(flags & 1 == 1), is_debug: false, flags })
}

/// `b3: trace-span-sampled-parent`, of which the last one or two may be missing, or `sampled` alone.
pub fn b3(headers: &HeaderMap) -> Option<TraceContext> {
    let value = text(headers, B3)?.trim();
    if !value.contains('-') {
        return Some(TraceContext { ids: None, ..b3_sampling(value)? });
    }
    let mut parts = value.split('-');
    let (trace, span) = (b3_trace(parts.next()?.as_bytes())?, b3_span(parts.next()?.as_bytes())?);
    let sampling = match parts.next() {
        None => TraceContext { ids: None, is_sampled: None, is_debug: false, flags: 0 },
        Some(text) => b3_sampling(text)?,
    };
    Some(TraceContext { ids: Some(Ids { trace, span }), ..sampling })
}

/// `x-b3-traceid` and its kin.
pub fn b3_multi(headers: &HeaderMap) -> Option<TraceContext> {
    let trace = text(headers, B3_TRACE).and_then(|value| b3_trace(value.as_bytes()));
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
    let span = text(headers, B3_SPAN).and_then(|value| b3_span(value.as_bytes()));
    let ids = trace.zip(span).map(|(trace, span)| Ids { trace, span });
    (ids.is_some() || is_sampled.is_some()).then_some(TraceContext { ids, is_sampled, is_debug, flags: 0 })
}

/// The trace id of `traceparent` alone.
pub fn w3c_trace_id(headers: &HeaderMap) -> Option<u128> {
    static NAME: HeaderName = HeaderName::from_static(TRACEPARENT);
    w3c_trace(headers.get(&NAME)?.as_bytes())
}

/// The trace id of `traceparent`, else of `b3`, else of `x-b3-traceid`; the same trace has the same number whatever
/// carries it. What is malformed, or zero, is none.
pub fn trace_id(headers: &HeaderMap) -> Option<u128> {
    let of = |name, read: fn(&[u8]) -> Option<u128>| headers.get(name).and_then(|value| read(value.as_bytes()));
    of(TRACEPARENT, w3c_trace).or_else(|| of(B3, b3_single_trace)).or_else(|| of(B3_TRACE, b3_trace))
}

/// [`trace_id`] for who has found the fields already: [`TRACEPARENT`], [`B3`] and [`B3_TRACE`].
pub fn trace_id_of([w3c, single, several]: [Option<&HeaderValue>; 3]) -> Option<u128> {
    let of = |value: Option<&HeaderValue>, read: fn(&[u8]) -> Option<u128>| read(value?.as_bytes());
    of(w3c, w3c_trace).or_else(|| of(single, b3_single_trace)).or_else(|| of(several, b3_trace))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn w3c_trace(value: &[u8]) -> Option<u128> {
    traceparent(value).map(|(ids, _)| ids.trace)
}

/// `version-trace_id-parent_id-flags` (W3C Trace Context §3.2.2); versions to come may append more.
fn traceparent(value: &[u8]) -> Option<(Ids, u8)> {
    let (fields, more) = value.trim_ascii().split_first_chunk::<55>()?;
    if [fields[2], fields[35], fields[52]] != [b'-'; 3] {
        return None;
    }
    let (version, flags) = (lower_hex(&fields[..2])?, lower_hex(&fields[53..])?);
    let is_known = version == 0 && more.is_empty();
    let is_to_come = !matches!(version, 0 | 0xff) && more.first().is_none_or(|byte| *byte == b'-');
    let trace = lower_hex(&fields[3..35]).filter(|id| *id != 0)?;
    let span = lower_hex(&fields[36..52]).and_then(|id| u64::try_from(id).ok()).filter(|id| *id != 0)?;
    let flags = u8::try_from(flags).ok()?;
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

/// Of the field `b3`, whatever else it says.
fn b3_single_trace(value: &[u8]) -> Option<u128> {
    b3_trace(value.split(|byte| *byte == b'-').next()?)
}

fn b3_trace(value: &[u8]) -> Option<u128> {
    let value = value.trim_ascii();
    if matches!(value.len(), 16 | 32) { hex(value).filter(|id| *id != 0) } else { None }
}

fn b3_span(value: &[u8]) -> Option<u64> {
    let value = value.trim_ascii();
    if value.len() != 16 {
        return None;
    }
    hex(value).and_then(|id| u64::try_from(id).ok()).filter(|id| *id != 0)
}

/// Hexadecimal digits, at least one and at most 32, whatever their case. Written for speed: while exchanges are observed, each
/// is asked for its ids.
pub fn hex(digits: &[u8]) -> Option<u128> {
    read_hex::<ANY_CASE>(digits)
}

/// [`hex`], of which letters are small.
fn lower_hex(digits: &[u8]) -> Option<u128> {
    read_hex::<0>(digits)
}

/// A one in each of eight bytes.
const ONES: u64 = 0x0101_0101_0101_0101;
/// The bit that makes capitals small, in each of them.
const ANY_CASE: u64 = 0x20 * ONES;

fn read_hex<const CASE: u64>(digits: &[u8]) -> Option<u128> {
    if digits.is_empty() || digits.len() > 32 {
        return None;
    }
    let (eights, rest) = digits.as_chunks::<8>();
    let (mut value, mut wrong) = (0, 0);
    for eight in eights {
        let (next, is_wrong) = eight_digits::<CASE>(u64::from_be_bytes(*eight));
        (value, wrong) = (value << 32 | u128::from(next), wrong | is_wrong);
    }
    if !rest.is_empty() {
        let padded = rest.iter().fold(u64::from(b'0') * ONES, |digits, digit| digits << 8 | u64::from(*digit));
        let (next, is_wrong) = eight_digits::<CASE>(padded);
        (value, wrong) = (value << (4 * rest.len()) | u128::from(next), wrong | is_wrong);
    }
    (wrong == 0).then_some(value)
}

/// Eight digits at once, each in a byte; not zero is beside them, when one is none.
#[expect(clippy::cast_possible_truncation, reason = "eight digits are 32 bits")]
fn eight_digits<const CASE: u64>(digits: u64) -> (u32, u64) {
    const TOPS: u64 = 0x80 * ONES;
    let ascii = digits & !TOPS;
    // The top bit of each byte says whether it is at least, or at most, a bound: no sum leaves its byte.
    let from = |bytes: u64, bound: u8| bytes + (0x80 - u64::from(bound)) * ONES;
    let to = |bytes: u64, bound: u8| (0x80 + u64::from(bound)) * ONES - bytes;
    let letter = ascii | CASE;
    let is_number = from(ascii, b'0') & to(ascii, b'9');
    let is_letter = from(letter, b'a') & to(letter, b'f');
    let wrong = (digits | !(is_number | is_letter)) & TOPS;
    // A letter is nine more than the low four bits say; then neighbours join, twice as wide each time.
    let nibbles = (ascii & (0x0F * ONES)) + 9 * ((is_letter >> 7) & ONES);
    let bytes = (nibbles | nibbles >> 4) & 0x00FF_00FF_00FF_00FF;
    let pairs = (bytes | bytes >> 8) & 0x0000_FFFF_0000_FFFF;
    ((pairs | pairs >> 16) as u32, wrong)
}

#[cfg(test)]
#[path = "trace_context_tests.rs"]
mod tests;
