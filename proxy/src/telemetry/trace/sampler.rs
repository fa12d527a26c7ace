//! Whether an exchange is traced: decided once, without an allocation.

use opentelemetry::trace::{SpanKind, TraceId};
use opentelemetry_sdk::trace::{Sampler as Draw, SamplingDecision, ShouldSample};
use squall_fault::trace_context::TraceContext;

/// Which exchanges are traced.
#[derive(Clone, Debug)]
pub struct Sampler {
    heeds_caller: bool,
    draw: Draw,
}

impl Sampler {
    /// By `share` (0 to 1) of the trace ids, as every SDK of OpenTelemetry draws it: the same trace, the same answer.
    /// One that heeds the caller draws only where the caller leaves it open.
    pub fn new(share: f64, heeds_caller: bool) -> Self {
        let draw = match share {
            ..=0.0 => Draw::AlwaysOff,
            1.0.. => Draw::AlwaysOn,
            share => Draw::TraceIdRatioBased(share),
        };
        Self { heeds_caller, draw }
    }

    /// What is known without a draw: the caller's word, where it is heeded, or that it is all or nothing.
    pub(crate) fn said(&self, caller: Option<&TraceContext>) -> Option<bool> {
        let heeded = caller.filter(|_| self.heeds_caller).and_then(|caller| caller.is_sampled);
        heeded.or(match self.draw {
            Draw::AlwaysOff => Some(false),
            Draw::AlwaysOn => Some(true),
            _ => None,
        })
    }

    /// Whether this trace is one of the share.
    pub(crate) fn draws(&self, trace: u128) -> bool {
        let id = TraceId::from(trace);
        let result = self.draw.should_sample(None, id, "", &SpanKind::Server, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_trace_ids_is_drawn() {
        // The draw goes by the lower half of an id.
        let low = 1u128;
        let high = u128::from(u64::MAX);
        for (share, said, expected) in
            [(0.0, Some(false), [false, false]), (0.5, None, [true, false]), (1.0, Some(true), [true, true])]
        {
            let sampler = Sampler::new(share, true);
            assert_eq!(sampler.said(None), said);
            assert_eq!([low, high].map(|id| sampler.draws(id)), expected, "{share}");
        }
    }

    #[test]
    fn the_caller_is_heeded_only_where_that_is_wanted() {
        let caller = |is_sampled| TraceContext { ids: None, is_sampled, is_debug: false, flags: 0 };
        for said in [None, Some(false), Some(true)] {
            assert_eq!(Sampler::new(0.5, true).said(Some(&caller(said))), said);
            assert_eq!(Sampler::new(0.5, false).said(Some(&caller(said))), None);
        }
        assert_eq!(Sampler::new(0.5, true).said(None), None);
    }
}
