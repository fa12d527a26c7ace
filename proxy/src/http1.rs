//! HTTP/1 on the wire, both sides: bytes in, heads and frames out, and back.
//!
//! One task carries an exchange: it reads the request ([`request_head`], [`decoder`]), sends it upstream ([`client`]),
//! and sends the answer ([`server`], [`sending`]). Nothing is handed from task to task, a head is parsed once, and a
//! connection that waits for its next request holds no buffer ([`input`], [`output`]).

pub(crate) mod chunks;
pub(crate) mod client;
pub(crate) mod decoder;
pub(crate) mod encoder;
pub(crate) mod fields;
pub(crate) mod input;
pub(crate) mod onward;
pub(crate) mod output;
pub(crate) mod request_head;
pub(crate) mod response_head;
pub(crate) mod sending;
pub(crate) mod server;
pub(crate) mod socket;
