//! What somebody who watches exchanges wants to see, and gets.

/// Which exchanges somebody wants to see; all that is said must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TapFilter {
    /// Touched by a fault of this rule, or would have been, were it not in shadow mode.
    pub rule: Option<String>,
    /// Whose path begins so.
    pub path: Option<String>,
    /// Answered with a status from the first to the last.
    pub status: Option<(u16, u16)>,
    /// Touched by a fault.
    pub is_faulted: bool,
    /// At most so many in a second; others are counted as missed.
    pub rate_max: u32,
}

/// What a watcher gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TapEvent {
    /// An exchange, as JSON: what the access log says of it.
    Exchange(String),
    /// So many more would have been there, in about a second, than the rate or the watcher's speed allow.
    Missed(u64),
}
