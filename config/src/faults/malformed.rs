//! `malformed`: an answer that is no HTTP.

use schemars::{Schema, SchemaGenerator, json_schema};

use crate::report::Report;

/// An answer in the upstream's place that is no HTTP. On HTTP/2, where bytes that are no frames would hit every stream
/// of the connection, the stream is reset with PROTOCOL_ERROR, which is what a receiver makes of a malformed message
/// (RFC 9113 §8.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The connection closes without a byte.
    Empty,
    /// Random bytes, then the connection closes.
    Garbage,
    /// A good head with status 200, then bytes that are no chunk, and the connection closes.
    BadChunk,
}

const WORDS: [(&str, Malformed); 3] =
    [("empty", Malformed::Empty), ("garbage", Malformed::Garbage), ("bad_chunk", Malformed::BadChunk)];

pub(super) fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": ["empty", "garbage", "bad_chunk"] })
}

pub(super) fn check(path: &str, word: &str, report: &mut Report) -> Option<Malformed> {
    report.word(path, word, &WORDS)
}
