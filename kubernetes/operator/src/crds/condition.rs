//! Conditions of a status, and its times.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A time in a status: with microseconds, so that an end that was told does not move when it is read again.
pub(crate) type Moment = MicroTime;

/// A longer message is cut: what is said of each of a thousand problems nobody reads.
const MESSAGE_BYTES_MAX: usize = 4096;

/// Conditions as the API conventions of Kubernetes want them: one of each type, and the time when its status last changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Conditions(Vec<Condition>);

impl Conditions {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says how a condition is now.
    pub(crate) fn set(&mut self, type_: &str, now: Timestamp, generation: Option<i64>, says: Says<'_>) {
        let status = says.status.map_or("Unknown", |is| if is { "True" } else { "False" });
        let mut message = says.message;
        if message.len() > MESSAGE_BYTES_MAX {
            let end = (0..=MESSAGE_BYTES_MAX).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
            message.truncate(end);
            message.push('…');
        }
        let before = self.0.iter().position(|condition| condition.type_ == type_);
        let unchanged = before.map(|at| &self.0[at]).filter(|condition| condition.status == status);
        let condition = Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: says.reason.to_owned(),
            message,
            observed_generation: generation,
            last_transition_time: unchanged.map_or(Time(now), |condition| condition.last_transition_time.clone()),
        };
        match before {
            Some(at) => self.0[at] = condition,
            None => self.0.push(condition),
        }
    }

    /// Whether a condition is known to hold.
    #[cfg(test)]
    pub(crate) fn is_true(&self, type_: &str) -> bool {
        self.0.iter().any(|condition| condition.type_ == type_ && condition.status == "True")
    }
}

/// What a condition says.
pub(crate) struct Says<'a> {
    /// Whether it holds; `None` when nobody knows.
    pub(crate) status: Option<bool>,
    /// In CamelCase, for programs.
    pub(crate) reason: &'a str,
    /// For people.
    pub(crate) message: String,
}
