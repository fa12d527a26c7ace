//! How a client conducts its connection.

use std::cell::Cell;

/// What the socket of a client sees, for the server of the connection; and what that has it wait for.
#[derive(Debug, Default)]
pub(crate) struct Conduct {
    /// The connection's task has had its turn: until the next it reads no more.
    pub(crate) is_others_turn: Cell<bool>,
    /// The client takes streams back, so that one may be over before it begins.
    pub(crate) takes_back: Cell<bool>,
    /// The client floods its connection; true until that is dealt with.
    pub(crate) floods: Cell<bool>,
}
