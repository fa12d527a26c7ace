//! HTTP whatever its version: one exchange ([`exchange`]), and what it is made of.

pub(crate) mod answer;
pub(crate) mod connect;
pub(crate) mod date;
pub(crate) mod exchange;
pub(crate) mod fault;
pub(crate) mod hop_by_hop;
pub(crate) mod interrupt;
pub(crate) mod noted;
pub(crate) mod patience;
pub(crate) mod record;
pub(crate) mod refusal;
pub(crate) mod request;
pub(crate) mod request_body;
pub(crate) mod response;
pub(crate) mod response_body;
pub(crate) mod tunnel;
pub(crate) mod wire;
