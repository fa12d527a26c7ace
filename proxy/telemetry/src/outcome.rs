//! What is noted of each HTTP exchange while an experiment runs, so that calls to A can be joined with those that A makes.

use std::sync::Arc;
use std::time::Instant;

use squall_config::model::{Direction, Fallback, Name};
use squall_fault::trace_share::TraceShare;

/// What an experiment wants to know of each exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// How answers of A show that they are fallbacks; of the n-th is told in the n-th bit, those beyond the eighth are not
    /// looked for.
    pub fallbacks: Vec<Fallback>,
    /// Calls to A that say nothing of a trace and have no request id get one of each (`traceparent`, not sampled, and
    /// `x-request-id`) when they leave for A, or the sole one that [`TraceShare::sole_id`] wants, whether or not they are noted:
    /// what rules pick must not hang on what is noted. Where it does not ([`TraceShare::own_id_alone`]), those get it that are
    /// noted, and no others. One that Squall traces has a `traceparent` already.
    pub add_ids: bool,
    /// Of which traces exchanges are noted, until somebody says otherwise.
    pub share: TraceShare,
}

/// An HTTP exchange that ended while it was observed.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The listener's: inbound is a call to A, outbound one that A makes.
    pub direction: Direction,
    /// The cluster that it went to.
    pub cluster: Name,
    /// Of `traceparent`, else of b3; or Squall's own, where a call to A had none. By it calls that A makes are joined with the one
    /// to A that they are made for. 0 is none.
    pub trace: u128,
    /// Of `x-request-id`, by which they are joined as well: its 128 bits when it is a UUID, else a hash of it. 0 is none.
    pub request_id: u128,
    /// Whether Squall made those ids.
    pub has_added_ids: bool,
    /// Its place among all ([`TraceShare::place`]), or a drawn one when it has no id and is noted nevertheless: it is noted while
    /// the share of traces takes that. Exchanges that share the id by which that share is taken have the same.
    pub place: u64,
    /// When its head had come.
    pub began: Instant,
    /// When its answer had gone, or it had ended without one.
    pub ended: Instant,
    /// The status that downstream got, or would have got.
    pub status: Option<u16>,
    /// Of a gRPC call, when there was one.
    pub grpc_status: Option<u8>,
    /// Downstream went away before it was over.
    pub is_abandoned: bool,
    /// A rule ended it, or a fault touched it.
    pub is_injected: bool,
    /// The route for people. Of a call to A: method and the first segments of the path, of at most 256 for each worker, then
    /// `other`. Else empty.
    pub route: Arc<str>,
    /// A hash of method, authority, path and query: two calls with the same one are tries of the same call.
    pub operation: u64,
    /// Whether it may be repeated without harm: by its method (RFC 9110 §9.2.2), or because it has an `Idempotency-Key`.
    pub is_repeatable: bool,
    /// What the answer looks like. Of a call to A: a hash of status, media type and the names of header fields, but for those that
    /// come and go (`date`, `age`, ids). Else 0.
    pub shape: u64,
    /// How many bytes of the answer's body went downstream.
    pub response_bytes: u64,
    /// Of a call to A: which of [`Observation::fallbacks`] the answer shows. Else 0.
    pub fallbacks: u8,
    /// When rules of experiments matched it.
    pub matched: Option<ExperimentMatch>,
}

/// An experiment, a rule of which matched an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExperimentMatch {
    /// Its name. Of several experiments it is that of the first rule that matched.
    pub experiment: Name,
    /// Whether a rule of it was picked, has a part in the plan, and was let through by the budgets. What it did is
    /// [`Outcome::is_injected`].
    pub is_picked: bool,
}
