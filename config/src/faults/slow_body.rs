//! `slow_body`: a body that dribbles.

use std::num::NonZeroU64;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::phase::{PHASES, Phase, required};
use crate::report::Report;
use crate::shape;
use crate::written::Scalar;

/// A body in pieces, with a pause after each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {chunk: 16B, every: 100ms} or {chunk: event, every: 1s}")]
#[schemars(extend("required" = ["chunk", "every"]))]
pub struct SlowBodySpec {
    /// The size of a piece, such as 16B; or `event` for one server-sent event at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "chunk_schema")]
    pub chunk: Option<Scalar>,
    /// The time from one piece to the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub every: Option<Scalar>,
    /// `response` (the default) or `request`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::phase")]
    pub direction: Option<String>,
}

fn chunk_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "const": "event" }, shape::bytes(generator)] })
}

/// A body in pieces, with a pause after each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowBody {
    /// What passes at once.
    pub piece: Piece,
    /// From one piece to the next; above zero.
    pub every: Duration,
    /// Which body.
    pub direction: Phase,
}

/// What of a body passes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// So many bytes.
    Bytes(NonZeroU64),
    /// Up to the blank line that ends a server-sent event (HTML standard, "Server-sent events").
    Event,
}

pub(super) fn check(path: &str, spec: &SlowBodySpec, report: &mut Report) -> Option<SlowBody> {
    let piece = piece(&format!("{path}.chunk"), spec.chunk.as_ref(), report);
    let every = required(&format!("{path}.every"), spec.every.as_ref(), "write a time such as 100ms", report);
    let every = every.and_then(|(path, every)| report.positive_duration(&path, every));
    let direction = spec.direction.as_deref();
    let direction = direction.and_then(|text| report.word(&format!("{path}.direction"), text, &PHASES));
    Some(SlowBody { piece: piece?, every: every?, direction: direction.unwrap_or(Phase::Response) })
}

fn piece(path: &str, chunk: Option<&Scalar>, report: &mut Report) -> Option<Piece> {
    let hint = "write the size of a piece such as 16B, or event for server-sent events";
    match report.required(path, chunk, hint)? {
        Scalar::Text(text) if text == "event" => Some(Piece::Event),
        bytes => report.positive_bytes(path, bytes).map(Piece::Bytes),
    }
}
