//! Life of a TCP connection: begin at `relay.rs`.

mod fault;
mod pump;
pub(crate) mod record;
pub(crate) mod relay;
mod stream;
mod throttle;

#[cfg(test)]
mod tests;
