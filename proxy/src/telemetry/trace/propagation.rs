//! The header fields by which a trace comes in and goes on.

use http::{HeaderMap, HeaderValue};
use squall_fault::trace_context::{
    self, B3, B3_FLAGS, B3_PARENT, B3_SAMPLED, B3_SPAN, B3_TRACE, TRACEPARENT, TRACESTATE, TraceContext,
};

/// A form of a trace context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `traceparent` and `tracestate` (W3C Trace Context).
    W3c,
    /// B3 in the one field `b3`.
    B3,
    /// B3 in the fields `x-b3-…`.
    B3Multi,
}

/// The forms that are read and written. A request goes on in those that it came with, or in the first one.
#[derive(Clone, Debug)]
pub struct Propagation(Vec<Format>);

impl Default for Propagation {
    /// All; who speaks several is heard in W3C's.
    fn default() -> Self {
        Self(vec![Format::W3c, Format::B3, Format::B3Multi])
    }
}

/// Where an exchange goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing {
    pub(crate) trace: u128,
    /// The span towards the upstream.
    pub(crate) span: u64,
    /// The span before it.
    pub(crate) parent: u64,
    pub(crate) flags: u8,
    pub(crate) is_debug: bool,
}

impl Propagation {
    /// These forms, by precedence; with none a trace begins and ends here, and requests stay as they are.
    pub fn of(formats: Vec<Format>) -> Self {
        Self(formats)
    }

    /// Where the request comes from, in the first form that says it.
    pub(crate) fn extract(&self, headers: &HeaderMap) -> Option<TraceContext> {
        let carried = Carried::among(headers);
        self.0.iter().filter(|format| carried.has(**format)).find_map(|format| format.read(headers))
    }

    /// Says where the request comes from now.
    pub(crate) fn inject(&self, headers: &mut HeaderMap, outgoing: &Outgoing) {
        let carried = Carried::among(headers);
        let mut those = self.0.iter().filter(|format| carried.has(**format)).peekable();
        let first = self.0.first().filter(|_| those.peek().is_none());
        for format in those.chain(first) {
            format.write(headers, outgoing);
        }
    }
}

/// The forms that a request came with: one walk instead of a look-up for each field, because most have none or one.
#[derive(Clone, Copy, Debug, Default)]
struct Carried {
    w3c: bool,
    b3: bool,
    b3_multi: bool,
}

impl Carried {
    fn among(headers: &HeaderMap) -> Self {
        let mut carried = Self::default();
        for name in headers.keys() {
            match name.as_str() {
                TRACEPARENT => carried.w3c = true,
                B3 => carried.b3 = true,
                B3_TRACE | B3_SAMPLED => carried.b3_multi = true,
                _ => {}
            }
        }
        carried
    }

    fn has(self, format: Format) -> bool {
        match format {
            Format::W3c => self.w3c,
            Format::B3 => self.b3,
            Format::B3Multi => self.b3_multi,
        }
    }
}

impl Format {
    fn read(self, headers: &HeaderMap) -> Option<TraceContext> {
        match self {
            Self::W3c => trace_context::w3c(headers),
            Self::B3 => trace_context::b3(headers),
            Self::B3Multi => trace_context::b3_multi(headers),
        }
    }

    fn write(self, headers: &mut HeaderMap, outgoing: &Outgoing) {
        let Outgoing { trace, span, parent, flags, is_debug } = *outgoing;
        let trace_b3 = || if trace >> 64 == 0 { format!("{trace:016x}") } else { format!("{trace:032x}") };
        match self {
            Self::W3c => {
                // What others added belongs to the trace that they know (W3C Trace Context §4.3).
                let is_known = trace_context::w3c(headers).and_then(|c| c.ids).is_some_and(|ids| ids.trace == trace);
                if !is_known {
                    headers.remove(TRACESTATE);
                }
                // Sampled, and whether the id is a random one (Level 2 §3.2.2.5.2), which only its maker knows.
                set(headers, TRACEPARENT, format!("00-{trace:032x}-{span:016x}-{:02x}", flags & 2 | 1));
            }
            Self::B3 => {
                let sampled = if is_debug { "d" } else { "1" };
                set(headers, B3, format!("{}-{span:016x}-{sampled}-{parent:016x}", trace_b3()));
            }
            Self::B3Multi => {
                set(headers, B3_TRACE, trace_b3());
                set(headers, B3_SPAN, format!("{span:016x}"));
                set(headers, B3_PARENT, format!("{parent:016x}"));
                // Debug says it already, and goes on in its own field.
                if !(is_debug && headers.contains_key(B3_FLAGS)) {
                    set(headers, B3_SAMPLED, "1".to_owned());
                }
            }
        }
    }
}

fn set(headers: &mut HeaderMap, name: &'static str, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
    const OUTGOING: Outgoing = Outgoing { trace: TRACE, span: 0xa, parent: 0xb, flags: 1, is_debug: false };

    fn injected(propagation: &Propagation, fields: &[(&'static str, &str)], outgoing: Outgoing) -> Vec<String> {
        let fields = fields.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let mut headers: HeaderMap = fields.collect();
        propagation.inject(&mut headers, &outgoing);
        let mut lines: Vec<_> = headers.iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    const W3C: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";
    const B3_MANY: [(&str, &str); 3] =
        [("x-b3-traceid", "a3ce929d0e0e4736"), ("x-b3-spanid", "00f067aa0ba902b7"), ("x-b3-flags", "1")];

    #[test]
    fn a_request_goes_on_in_the_forms_that_it_came_with() {
        let all = Propagation::default();
        let w3c = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-000000000000000a-01";
        assert_eq!(injected(&all, &[], OUTGOING), [w3c]);
        let b3 = "b3: 4bf92f3577b34da6a3ce929d0e0e4736-000000000000000a-1-000000000000000b";
        assert_eq!(injected(&all, &[("b3", "1")], OUTGOING), [b3]);
        assert_eq!(injected(&all, &[("b3", "1"), ("traceparent", "nonsense")], OUTGOING), [b3, w3c]);
        let outgoing = Outgoing { trace: 0xa3ce_929d_0e0e_4736, is_debug: true, ..OUTGOING };
        let many = [
            "x-b3-flags: 1",
            "x-b3-parentspanid: 000000000000000b",
            "x-b3-spanid: 000000000000000a",
            "x-b3-traceid: a3ce929d0e0e4736",
        ];
        assert_eq!(injected(&all, &B3_MANY, outgoing), many);
    }

    #[test]
    fn tracestate_stays_with_its_trace_alone() {
        let all = Propagation::default();
        let outgoing = Outgoing { flags: 3, ..OUTGOING };
        assert_eq!(
            injected(&all, &[("traceparent", W3C), ("tracestate", "a=1")], outgoing),
            ["traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-000000000000000a-03", "tracestate: a=1"]
        );
        for parent in ["nonsense", "00-4bf92f3577b34da6a3ce929d0e0e4737-00f067aa0ba902b7-01"] {
            assert_eq!(injected(&all, &[("traceparent", parent), ("tracestate", "a=1")], OUTGOING).len(), 1);
        }
    }

    #[test]
    fn only_chosen_forms_are_read_and_written() {
        let b3 = Propagation::of(vec![Format::B3]);
        let fields = [("traceparent", W3C)];
        assert_eq!(injected(&b3, &fields, OUTGOING).len(), 2, "traceparent is none of its business");
        assert!(
            b3.extract(&HeaderMap::from_iter([(HeaderName::from_static("traceparent"), W3C.parse().unwrap())]))
                .is_none()
        );
        assert_eq!(injected(&Propagation::of(Vec::new()), &fields, OUTGOING), [format!("traceparent: {W3C}")]);
    }
}
