//! HTTP/2 with prior knowledge, both sides (RFC 9113): one task for each connection, one for each stream of a client.

pub(crate) mod body;
pub(crate) mod client;
mod conduct;
mod flood;
pub(crate) mod going_away;
pub(crate) mod sending;
pub(crate) mod server;
pub(crate) mod socket;

/// Flow control of one stream; see [`CONNECTION_WINDOW`].
const STREAM_WINDOW: u32 = 256 * 1024;

/// Flow control of a connection: room for several stalled streams, so that one that is slow on purpose does not stop
/// its neighbours.
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;

/// The largest list of fields that is taken, in the octets of RFC 9113 §6.5.2.
const HEADER_LIST_MAX: u32 = 64 * 1024;

/// What waits for a slow reader of one stream.
const SEND_BUFFER_MAX: usize = 64 * 1024;
