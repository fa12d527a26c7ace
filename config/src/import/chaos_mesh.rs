//! HTTPChaos and NetworkChaos of Chaos Mesh: the part that a proxy can honour.
//!
//! Their percentages are of pods, never of requests, so that none of them becomes the percentage of a rule.

pub(super) mod http;
mod modify;
pub(super) mod network;

use crate::defaults;
use crate::spec::Scalar;
use crate::units::format_duration;

use super::quantities::duration;
use super::read::Elsewhere;
use super::sheet::Sheet;

/// What Chaos Mesh does, having no share of requests.
const ABSENT: &str = "since Chaos Mesh knows none but of pods: it hits everything that matches";

const PODS: &str = "which pods are hit is decided by where Squall runs with this rule";

/// What selects pods, in both kinds.
const SELECTION: [Elsewhere; 4] = [
    ("spec.selector", PODS),
    ("spec.mode", PODS),
    ("spec.value", "it is a share or a number of pods, never of requests"),
    ("spec.remoteCluster", PODS),
];

/// Which half of an exchange is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Request,
    Response,
}

impl Half {
    /// The word of a rule.
    #[expect(clippy::unnecessary_wraps, reason = "as a spec has it")]
    fn word(self) -> Option<String> {
        Some(if self == Self::Request { "request" } else { "response" }.to_owned())
    }
}

/// How long the rule lives.
fn ttl(value: Option<&Scalar>, sheet: &mut Sheet<'_>) -> Option<Scalar> {
    match value {
        Some(value) => duration("spec.duration", value, sheet).map(Scalar::from),
        None => {
            let life = format_duration(defaults::DEFAULT_TTL);
            sheet.note(
                "spec",
                format!("it has no duration, so its rules got ttl: {life}"),
                "write another ttl, or remove it",
            );
            Some(Scalar::from(defaults::DEFAULT_TTL))
        }
    }
}
