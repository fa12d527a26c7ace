//! Decides which faults hit which exchange: a pure function of snapshot, request and draw. No I/O, no clock.

mod attempts;
pub mod budget;
pub mod compile;
pub mod decide;
mod draw;
pub mod explain;
pub mod grpc;
mod index;
mod matcher;
pub mod meta;
pub mod noise;
pub mod plan;
pub mod requested;
mod sample;
pub mod share;
pub mod snapshot;
pub mod store;
pub mod trace_context;
pub mod trace_share;

#[cfg(test)]
mod testing;

pub use compile::{Stamp, compile};
