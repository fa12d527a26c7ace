//! How values are written everywhere.

use std::time::SystemTime;

use serde::Serialize;

/// RFC 3339 in UTC, with milliseconds.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// JSON for people: indented, with a newline at its end.
pub(crate) fn pretty(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("invariant: views have text keys and cannot fail");
    text.push('\n');
    text
}
