//! Decides which faults hit which exchange: a pure function of snapshot, request and draw. No I/O, no clock.

pub mod compile;
pub mod decide;
pub mod meta;
pub mod plan;
pub mod snapshot;
pub mod store;

pub use compile::compile;
