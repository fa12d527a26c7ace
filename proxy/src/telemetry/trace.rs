//! Traces: of each sampled exchange a span towards downstream and one towards the upstream.
//!
//! [`sampler`] decides, once, when the head of the request is there. [`propagation`] reads where the request comes from
//! and writes where it goes on. [`active`] is the trace of an exchange while it lasts, [`span`] what is exported of it,
//! and [`queue`] hands that to whoever exports.

pub(crate) mod active;
mod attributes;
pub(crate) mod propagation;
pub(crate) mod queue;
pub(crate) mod sampler;
pub(crate) mod span;

use self::propagation::Propagation;
use self::queue::SpanQueue;
use self::sampler::Sampler;

/// How exchanges are traced.
#[derive(Clone, Debug)]
pub struct Traces {
    /// Which exchanges.
    pub sampler: Sampler,
    /// By which header fields traces come in and go on.
    pub propagation: Propagation,
    /// Where finished spans go.
    pub queue: SpanQueue,
}
