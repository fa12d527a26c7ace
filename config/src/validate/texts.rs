//! Words and lists of texts that mean the same wherever they are written.

use crate::model::Direction;
use crate::report::Report;
use crate::spec::OneOrMany;

pub(crate) const DIRECTIONS: [(&str, Direction); 2] =
    [("outbound", Direction::Outbound), ("inbound", Direction::Inbound)];

/// Each text of a list, read by `read`, whose error is the detail and the hint.
pub(crate) fn texts<T>(
    path: &str,
    spec: Option<&OneOrMany>,
    read: fn(&str) -> Result<T, (String, String)>,
    report: &mut Report,
) -> Vec<T> {
    let Some(spec) = spec else { return Vec::new() };
    if spec.as_slice().is_empty() {
        report.add(path, "the list is empty", "remove it to match everything, or write what to match");
    }
    let mut values = Vec::new();
    for (index, text) in spec.as_slice().iter().enumerate() {
        match read(text) {
            Ok(value) => values.push(value),
            Err((detail, hint)) if spec.is_list() => report.add(format!("{path}[{index}]"), detail, hint),
            Err((detail, hint)) => report.add(path, detail, hint),
        }
    }
    values
}
