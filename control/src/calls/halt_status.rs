//! The kill switch, as several calls show it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::publish::View;
use crate::text::rfc3339;

/// The kill switch.
#[derive(Serialize, JsonSchema)]
pub(crate) struct HaltStatus {
    /// The generation in force.
    generation: u64,
    /// Whether all faults are halted.
    halted: bool,
    /// Why and since when; null when they are not.
    halt: Option<HaltOut>,
}

/// Why and since when all faults are halted.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Halt")]
struct HaltOut {
    /// As given; may be empty.
    reason: String,
    /// RFC 3339.
    since: String,
}

impl HaltStatus {
    /// Of one moment.
    pub(crate) fn new(view: &View) -> Self {
        let halt = view.halt.as_ref();
        Self {
            generation: view.generation,
            halted: halt.is_some(),
            halt: halt.map(|halt| HaltOut { reason: halt.reason.clone(), since: rfc3339(halt.since) }),
        }
    }
}
