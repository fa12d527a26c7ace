//! Life of a TCP connection: begin at `relay.rs`.

mod active;
pub(crate) mod end;
mod event;
pub(crate) mod fault;
mod pump;
mod pumps;
pub(crate) mod record;
pub(crate) mod relay;
pub(crate) mod relayed;
pub(crate) mod served;
mod stream;

#[cfg(test)]
mod tests;
