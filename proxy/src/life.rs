//! How far a worker is on its way to its end.

/// A stage of life; each comes at most once, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Accepts, and applies faults.
    Serving,
    /// Accepts nothing more, and faults hold nothing more; what is going on goes on.
    Draining,
    /// What is left of the traffic is cut.
    Cut,
}
