//! A condition as it was written.

use std::time::Duration;

use crate::model::Bound;
use crate::report::Report;
use crate::spec::{ConditionSpec, Scalar};
use crate::units::format_duration;

/// A condition that holds for less is a moment.
const HELD_MIN: Duration = Duration::from_secs(1);
/// Whoever waits longer does not guard.
const HELD_MAX: Duration = Duration::from_secs(3600);

/// Which way a condition is written. What comes of it says what must not be, either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// What must not go on for some time, as in a guard.
    Broken,
    /// What holds over a whole phase, as in a steady state.
    Holds {
        /// Fewer say nothing, unless the condition says how many.
        minimum_requests: usize,
    },
}

/// A condition as it was written, while it is read.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) path: &'a str,
    pub(crate) spec: &'a ConditionSpec,
    pub(crate) says: Says,
}

impl<'a> Reader<'a> {
    pub(super) fn at(&self, field: &str) -> String {
        format!("{}.{field}", self.path)
    }

    /// The field that bounds what is too much, and what stands there.
    pub(super) fn too_much(&self) -> (&'static str, Option<&'a Scalar>) {
        match self.says {
            Says::Broken => ("above", self.spec.above.as_ref()),
            Says::Holds { .. } => ("below", self.spec.below.as_ref()),
        }
    }

    /// The field that bounds what is too little, and what stands there.
    pub(super) fn too_little(&self) -> (&'static str, Option<&'a Scalar>) {
        match self.says {
            Says::Broken => ("below", self.spec.below.as_ref()),
            Says::Holds { .. } => ("above", self.spec.above.as_ref()),
        }
    }

    /// How to write what cannot stand in one condition.
    pub(super) fn as_two(&self) -> &'static str {
        match self.says {
            Says::Broken => "write two guards",
            Says::Holds { .. } => "write two statements",
        }
    }

    pub(super) fn held_for(&self, report: &mut Report) -> Option<Duration> {
        if self.says != Says::Broken {
            return Some(HELD_MIN);
        }
        let path = self.at("for");
        let hint = "write how long without a break is too long, such as 60s";
        let value = report.required(&path, self.spec.held_for.as_ref(), hint)?;
        let held_for = report.duration(&path, value)?;
        if !(HELD_MIN..=HELD_MAX).contains(&held_for) {
            let detail = format!("{} is not between 1s and 1h", format_duration(held_for));
            report.add(path, detail, "write a duration from 1s to 1h");
            return None;
        }
        Some(held_for)
    }

    /// One of above and below, as a number.
    pub(super) fn bound(&self, report: &mut Report) -> Option<Bound> {
        const HINT: &str = "write above or below with a number, such as above: 200";
        let (much, little) = (self.too_much(), self.too_little());
        let (field, value, bound): (_, _, fn(f64) -> Bound) = match (much.1, little.1) {
            (Some(value), None) => (much.0, value, Bound::Above),
            (None, Some(value)) => (little.0, value, Bound::Below),
            (None, None) => {
                report.add(self.at(much.0), "missing", HINT);
                return None;
            }
            (Some(_), Some(_)) => {
                report.add(self.path, "above and below exclude each other", self.as_two());
                return None;
            }
        };
        let Some(number) = value.to_string().trim().parse().ok().filter(|number: &f64| number.is_finite()) else {
            report.add(self.at(field), format!("{:?} is not a number", value.to_string()), HINT);
            return None;
        };
        Some(bound(number))
    }
}
