//! Sockets, what happens when they close, and exact time.

pub(crate) mod reset;
pub(crate) mod socket;
pub(crate) mod splice;
pub(crate) mod timer;
