//! `true` stands for a fault without parameters.

use crate::report::Report;
use crate::written::Scalar;

/// `true`, where nothing else may be written.
pub(super) fn bare(path: &str, is_on: bool, report: &mut Report) -> Option<()> {
    on(path, &Scalar::Bool(is_on), "true", report)
}

/// `true`, where an object may be written too; `expected` names both.
pub(super) fn on(path: &str, value: &Scalar, expected: &str, report: &mut Report) -> Option<()> {
    match value {
        Scalar::Bool(true) => return Some(()),
        Scalar::Bool(false) => {
            report.add(path, "false does nothing", "remove it, or write enabled: false for the rule");
        }
        other => report.add(path, format!("{other} is not {expected}"), format!("write {expected}")),
    }
    None
}
