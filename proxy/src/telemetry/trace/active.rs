//! The trace of one exchange while it lasts.

use std::time::Instant;

use http::{HeaderMap, StatusCode, Version};
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};

use super::Traces;
use super::propagation::Outgoing;

/// A sampled exchange.
#[derive(Debug)]
pub(crate) struct Trace {
    /// New, unless the caller named one.
    pub(crate) id: u128,
    /// The caller's span.
    pub(crate) caller: Option<u64>,
    /// The span towards downstream.
    pub(crate) server: u64,
    pub(crate) flags: u8,
    is_debug: bool,
    /// The span towards the upstream, once there is one.
    pub(crate) upstream: Option<UpstreamCall>,
}

/// The request on its way to the upstream.
#[derive(Debug)]
pub(crate) struct UpstreamCall {
    pub(crate) span: u64,
    pub(crate) is_tls: bool,
    pub(crate) version: Version,
    pub(crate) sent: Instant,
    /// When the head of the answer came, and what it said.
    pub(crate) answered: Option<(Instant, StatusCode)>,
}

impl Traces {
    /// Decides whether the exchange of this request is traced.
    pub(crate) fn begin(&self, headers: &HeaderMap) -> Option<Trace> {
        let caller = self.propagation.extract(headers);
        let said = self.sampler.said(caller.as_ref());
        if said == Some(false) {
            return None;
        }
        let ids = caller.and_then(|caller| caller.ids);
        let new = RandomIdGenerator::default();
        let id = ids.map_or_else(|| u128::from_be_bytes(new.new_trace_id().to_bytes()), |ids| ids.trace);
        if said.is_none() && !self.sampler.draws(id) {
            return None;
        }
        Some(Trace {
            id,
            caller: ids.map(|ids| ids.span),
            server: new_span(),
            flags: caller.map_or(0, |caller| caller.flags),
            is_debug: caller.is_some_and(|caller| caller.is_debug),
            upstream: None,
        })
    }
}

fn new_span() -> u64 {
    u64::from_be_bytes(RandomIdGenerator::default().new_span_id().to_bytes())
}

impl Trace {
    /// Begins the span towards the upstream, and names it to that.
    pub(crate) fn send(&mut self, traces: &Traces, headers: &mut HeaderMap, is_tls: bool, version: Version) {
        let span = new_span();
        let (flags, is_debug) = (self.flags, self.is_debug);
        let outgoing = Outgoing { trace: self.id, span, parent: self.server, flags, is_debug };
        traces.propagation.inject(headers, &outgoing);
        self.upstream = Some(UpstreamCall { span, is_tls, version, sent: Instant::now(), answered: None });
    }

    /// Notes the head of the upstream's answer, as it came.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        if let Some(call) = &mut self.upstream {
            call.answered = Some((Instant::now(), status));
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::super::propagation::Propagation;
    use super::super::queue::span_queue;
    use super::super::sampler::Sampler;
    use super::*;

    fn traces(share: f64, heeds_caller: bool) -> Traces {
        let sampler = Sampler::new(share, heeds_caller);
        Traces { sampler, propagation: Propagation::default(), queue: span_queue(1, 1).0 }
    }

    fn begin(traces: &Traces, fields: &[(&'static str, &str)]) -> Option<Trace> {
        let fields = fields.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        traces.begin(&fields.collect())
    }

    const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const OUT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    #[test]
    fn the_caller_decides_where_it_is_heeded() {
        for (share, heeds, traceparent, expected) in [
            (0.0, true, SAMPLED, true),
            (1.0, true, OUT, false),
            (0.0, false, SAMPLED, false),
            (1.0, false, OUT, true),
            (1.0, true, "nonsense", true),
        ] {
            let trace = begin(&traces(share, heeds), &[("traceparent", traceparent)]);
            assert_eq!(trace.is_some(), expected, "{share} {heeds} {traceparent}");
        }
        assert!(begin(&traces(1.0, true), &[("b3", "0")]).is_none());
        assert!(begin(&traces(0.0, true), &[("b3", "d")]).is_some());
        assert!(begin(&traces(1.0, true), &[("b3", "000000000000000a-000000000000000b")]).is_some());
    }

    #[test]
    fn a_trace_goes_on_or_begins() {
        let trace = begin(&traces(1.0, true), &[("traceparent", SAMPLED)]).unwrap();
        assert_eq!(trace.id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(trace.caller, Some(0x00f0_67aa_0ba9_02b7));
        let (one, other) = (begin(&traces(1.0, true), &[]).unwrap(), begin(&traces(1.0, true), &[]).unwrap());
        assert_eq!((one.caller, other.caller), (None, None));
        assert!(one.id != 0 && one.id != other.id && one.server != 0 && one.server != other.server);
    }

    #[test]
    fn the_upstream_hears_of_the_span_towards_it() {
        let traces = traces(1.0, true);
        let mut headers = HeaderMap::new();
        let mut trace = traces.begin(&headers).unwrap();
        trace.send(&traces, &mut headers, false, Version::HTTP_11);
        let heard = squall_fault::trace_context::w3c(&headers).unwrap().ids.unwrap();
        assert_eq!((heard.trace, Some(heard.span)), (trace.id, trace.upstream.map(|call| call.span)));
    }
}
