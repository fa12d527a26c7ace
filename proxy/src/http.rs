//! HTTP: one connection ([`server`]), one exchange ([`exchange`]), and what they are made of.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod chunks;
pub(crate) mod exchange;
pub(crate) mod fault;
pub(crate) mod gate;
pub(crate) mod gated_io;
pub(crate) mod head;
pub(crate) mod hop_by_hop;
pub(crate) mod interrupt;
pub(crate) mod record;
pub(crate) mod refusal;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod server;
pub(crate) mod upgrade;
pub(crate) mod wire;
