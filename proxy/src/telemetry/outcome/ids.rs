//! Ids by which calls are joined: those that a request has, and those that it is given.

use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use squall_fault::trace_context::{B3, B3_SAMPLED, B3_TRACE, TRACEPARENT, TRACESTATE, hex, trace_id_of};

use super::hash;

const REQUEST_ID: &str = "x-request-id";
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The header fields of a request that outcomes look at, found in one walk; of repeated ones the first.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    traceparent: Option<&'a HeaderValue>,
    b3: Option<&'a HeaderValue>,
    b3_trace: Option<&'a HeaderValue>,
    request_id: Option<&'a HeaderValue>,
    pub(super) host: Option<&'a HeaderValue>,
    pub(super) content_type: Option<&'a HeaderValue>,
    pub(super) has_idempotency_key: bool,
    /// It says something of a trace, be it well-formed or not, or has a request id.
    pub(super) has_ids: bool,
}

impl<'a> Fields<'a> {
    pub(super) fn among(headers: &'a HeaderMap) -> Self {
        let mut fields = Self::default();
        for (name, value) in headers {
            if *name == HOST {
                fields.host.get_or_insert(value);
                continue;
            }
            if *name == CONTENT_TYPE {
                fields.content_type.get_or_insert(value);
                continue;
            }
            let field = match name.as_str() {
                TRACEPARENT => &mut fields.traceparent,
                B3 => &mut fields.b3,
                B3_TRACE => &mut fields.b3_trace,
                REQUEST_ID => &mut fields.request_id,
                IDEMPOTENCY_KEY => {
                    fields.has_idempotency_key = true;
                    continue;
                }
                TRACESTATE | B3_SAMPLED => {
                    fields.has_ids = true;
                    continue;
                }
                _ => continue,
            };
            field.get_or_insert(value);
            fields.has_ids = true;
        }
        fields
    }

    /// Its trace; 0 is none.
    pub(super) fn trace(&self) -> u128 {
        trace_id_of([self.traceparent, self.b3, self.b3_trace]).unwrap_or(0)
    }

    /// Its request id as a number; 0 is none.
    pub(super) fn request_id(&self) -> u128 {
        let value = self.request_id.map_or(&b""[..], |value| value.as_bytes().trim_ascii());
        if value.is_empty() { 0 } else { uuid(value).unwrap_or_else(|| hash_128(value)) }
    }
}

/// A UUID (RFC 9562 §4), with its dashes or without.
fn uuid(text: &[u8]) -> Option<u128> {
    if text.len() == 32 {
        return hex(text);
    }
    let text: &[u8; 36] = text.try_into().ok()?;
    if [8, 13, 18, 23].iter().any(|at| text[*at] != b'-') {
        return None;
    }
    let mut digits = [0; 32];
    for (from, to) in PIECES {
        digits[to..to + from.len()].copy_from_slice(&text[from]);
    }
    hex(&digits)
}

/// Where the digits stand in a UUID, and among its digits.
const PIECES: [(std::ops::Range<usize>, usize); 5] = [(0..8, 0), (9..13, 8), (14..18, 12), (19..23, 16), (24..36, 20)];

/// Never 0.
fn hash_128(value: &[u8]) -> u128 {
    (u128::from(hash(1, [value])) << 64 | u128::from(hash(2, [value]))).max(1)
}

/// What a request without ids gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NewIds {
    /// A trace and a request id of these bits, which [`as_random_uuid`] made.
    Both(u128),
    /// Squall traces it: a request id made of its trace.
    OfTrace(u128),
    /// A trace alone, of such bits.
    Trace(u128),
    /// A request id alone, of such bits.
    Request(u128),
}

impl NewIds {
    /// The trace and the request id.
    pub(super) fn numbers(self) -> (u128, u128) {
        match self {
            Self::Both(id) => (id, id),
            Self::OfTrace(trace) => (trace, as_random_uuid(trace)),
            Self::Trace(id) => (id, 0),
            Self::Request(id) => (0, id),
        }
    }

    /// Gives a request these ids.
    pub(crate) fn add(self, headers: &mut HeaderMap) {
        // Made once, not read again for each request.
        const NAMES: [HeaderName; 2] = [HeaderName::from_static(TRACEPARENT), HeaderName::from_static(REQUEST_ID)];
        let [traceparent, request_id] = NAMES;
        let (trace, id) = self.numbers();
        let digits = digits(if id == 0 { trace } else { id });
        if let Self::Both(_) | Self::Trace(_) = self {
            // Version, trace, span (the lower half of the trace, which is never zero), and flags: not sampled.
            let mut value = *b"00-................................-................-00";
            value[3..35].copy_from_slice(&digits);
            value[36..52].copy_from_slice(&digits[16..]);
            insert(headers, traceparent, &value);
        }
        if let Self::Trace(_) = self {
            return;
        }
        let mut value = *b"........-....-....-....-............";
        for (to, from) in PIECES {
            let length = to.len();
            value[to].copy_from_slice(&digits[from..from + length]);
        }
        insert(headers, request_id, &value);
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(value) {
        headers.insert(name, value);
    }
}

/// With the marks of a UUID of random bits (RFC 9562 §5.4), so that none of its halves is zero.
pub(super) fn as_random_uuid(bits: u128) -> u128 {
    const VERSION: u128 = 0xF << 76;
    const VARIANT: u128 = 0b11 << 62;
    bits & !(VERSION | VARIANT) | 4 << 76 | 0b10 << 62
}

/// In small letters.
fn digits(id: u128) -> [u8; 32] {
    let mut digits = [0; 32];
    for (eight, four) in digits.as_chunks_mut::<8>().0.iter_mut().zip(id.to_be_bytes().as_chunks::<4>().0) {
        *eight = eight_digits(u32::from_be_bytes(*four));
    }
    digits
}

/// Eight digits at once.
fn eight_digits(bits: u32) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let halves = u64::from(bits);
    let quarters = (halves << 16 | halves) & 0x0000_FFFF_0000_FFFF;
    let bytes = (quarters << 8 | quarters) & 0x00FF_00FF_00FF_00FF;
    let nibbles = (bytes << 4 | bytes) & (0x0F * ONES);
    // A letter is as much further on in ASCII.
    let is_letter = (nibbles + 6 * ONES) >> 4 & ONES;
    (nibbles + u64::from(b'0') * ONES + is_letter * u64::from(b'a' - b'9' - 1)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn request_id(value: &str) -> u128 {
        Fields::among(&headers(&[(REQUEST_ID, value)])).request_id()
    }

    const ID: u128 = 0x6ba7_b810_9dad_41d1_80b4_00c0_4fd4_30c8;

    #[test]
    fn one_request_id_has_one_number() {
        assert_eq!(request_id("6ba7b810-9dad-41d1-80b4-00c04fd430c8"), ID);
        assert_eq!(request_id("6BA7B8109DAD41D180B400C04FD430C8"), ID);
        assert_eq!((request_id(""), Fields::among(&HeaderMap::new()).request_id()), (0, 0));
        let others = ["1", "2", "01", "6ba7b810-9dad-41d1-80b4-00c04fd430cx", "6ba7b810x9dad-41d1-80b4-00c04fd430c8"];
        let numbers: std::collections::HashSet<u128> = others.map(request_id).into_iter().collect();
        assert_eq!(numbers.len(), others.len());
        assert!(!numbers.contains(&0) && !numbers.contains(&ID));
        assert_eq!(request_id("order 17"), request_id("order 17"), "whoever asks");
    }

    #[test]
    fn whatever_speaks_of_a_trace_is_an_id() {
        for (fields, expected) in [
            (&[][..], false),
            (&[("host", "a"), ("idempotency-key", "x"), ("x-request", "1")], false),
            (&[("traceparent", "nonsense")], true),
            (&[("tracestate", "a=1")], true),
            (&[("b3", "0")], true),
            (&[("x-b3-sampled", "0")], true),
            (&[("x-request-id", "")], true),
        ] {
            assert_eq!(Fields::among(&headers(fields)).has_ids, expected, "{fields:?}");
        }
        let fields = headers(&[("host", "a"), ("idempotency-key", "x"), ("content-type", "b")]);
        let found = Fields::among(&fields);
        assert!(found.has_idempotency_key && found.host.is_some() && found.content_type.is_some());
    }

    #[test]
    fn what_is_added_is_read_as_the_same_ids() {
        let mut fields = HeaderMap::new();
        let id = as_random_uuid(ID ^ 0xFF << 60);
        assert_ne!(id, ID ^ 0xFF << 60);
        NewIds::Both(id).add(&mut fields);
        let read = Fields::among(&fields);
        assert_eq!((read.trace(), read.request_id()), (id, id));
        let value = fields["traceparent"].to_str().unwrap();
        assert!(value.starts_with("00-") && value.ends_with("-00") && value.len() == 55, "{value}");
        let value = fields["x-request-id"].to_str().unwrap();
        assert_eq!((value.len(), value.as_bytes()[14]), (36, b'4'), "{value}");
        assert!(matches!(value.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{value}");
    }

    #[test]
    fn one_id_alone_is_added_when_no_other_is_wanted() {
        for (ids, numbers) in [(NewIds::Trace(ID), (ID, 0)), (NewIds::Request(ID), (0, ID))] {
            let mut fields = HeaderMap::new();
            ids.add(&mut fields);
            let read = Fields::among(&fields);
            assert_eq!((fields.len(), (read.trace(), read.request_id()), ids.numbers()), (1, numbers, numbers));
        }
    }

    #[test]
    fn a_trace_of_squalls_own_stays_the_only_one() {
        let mut fields = HeaderMap::new();
        NewIds::OfTrace(ID).add(&mut fields);
        assert_eq!((fields.len(), Fields::among(&fields).request_id()), (1, ID), "which was a random UUID already");
        let (trace, id) = NewIds::OfTrace(5).numbers();
        assert!(trace == 5 && id != 0 && id != 5);
    }
}
