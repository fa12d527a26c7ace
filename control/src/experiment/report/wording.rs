//! Numbers and times as people read them.

use std::time::{Duration, SystemTime};

use super::{Held, Share};

/// The end of the year 9999, in seconds since 1970: RFC 3339 has no later one.
const YEARS_END: u64 = 253_402_300_800;

/// About three digits, as in `0.042`, `4.21`, `1,234` or `1.50e12`.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return "not a number".to_owned();
    }
    if size >= 1e9 || (size > 0.0 && size < 1e-4) {
        return format!("{value:.2e}");
    }
    let decimals = match size {
        0.0 => 0,
        s if s >= 100.0 => 0,
        s if s >= 10.0 => 1,
        s if s >= 1.0 => 2,
        s if s >= 0.1 => 3,
        s if s >= 0.01 => 4,
        s if s >= 0.001 => 5,
        _ => 6,
    };
    fixed(value, decimals)
}

/// With so many digits after the point, without zeros at the end.
fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let short = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if short == "-0" { "0".to_owned() } else { grouped(short) }
}

/// A whole number with its thousands apart.
pub(super) fn count(value: u64) -> String {
    grouped(&value.to_string())
}

/// Puts a comma before each group of three digits.
fn grouped(number: &str) -> String {
    let (whole, rest) = number.split_at(number.find('.').unwrap_or(number.len()));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut text = String::from(sign);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + rest
}

/// As in `1 request` and `2 requests`.
pub(super) fn counted(value: u64, one: &str) -> String {
    let plural = if value == 1 { "" } else { "s" };
    format!("{} {one}{plural}", count(value))
}

/// A duration in the unit that suits it.
pub(super) fn seconds(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if !value.is_finite() => number(value),
        0.0 => "0 s".to_owned(),
        s if s < 0.001 => format!("{} µs", number(value * 1e6)),
        s if s < 1.0 => format!("{} ms", number(value * 1e3)),
        _ => format!("{} s", number(value)),
    }
}

/// When, from the start of the run.
pub(super) fn moment(at: f64) -> String {
    if at.is_finite() && at.abs() < 1e9 { format!("{at:.1} s") } else { seconds(at) }
}

/// A share from 0 to 1 in percent.
pub(super) fn percent(share: f64) -> String {
    format!("{} %", in_hundredths(share))
}

/// Nearly all is not all, and what rounding left of nothing is nothing.
fn in_hundredths(share: f64) -> String {
    let rest = 1.0 - share;
    match share {
        s if s.abs() < 1e-7 || rest.abs() < 1e-7 => number(s.round() * 100.0),
        s if rest > 0.0 && rest < 0.0001 => fixed(s * 100.0, 5),
        s if rest > 0.0 && rest < 0.001 => fixed(s * 100.0, 3),
        s if rest > 0.0 && rest < 0.01 => fixed(s * 100.0, 2),
        s => number(s * 100.0),
    }
}

/// A difference of shares.
pub(super) fn points(difference: f64) -> String {
    let sign = if difference > 0.0 { "+" } else { "" };
    format!("{sign}{} percentage points", number(difference * 100.0))
}

/// A count with its share.
pub(super) fn share(share: Share) -> String {
    format!("{} ({})", count(share.count), percent(share.share))
}

/// The interval of a share.
pub(super) fn interval(share: Share) -> String {
    format!("{} to {}", in_hundredths(share.low), percent(share.high))
}

/// A value of a statement in its unit.
pub(super) fn value(value: f64, unit: &str) -> String {
    match unit {
        "s" => seconds(value),
        "" => number(value),
        unit => format!("{} {unit}", number(value)),
    }
}

/// What was measured of a statement in a phase: value, requests and trouble.
pub(super) fn measured(held: &Held, unit: &str) -> String {
    let parts = [
        held.value.map(|v| value(v, unit)),
        held.requests.map(|n| format!("of {}", counted(n, "request"))),
        held.trouble.clone(),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Rest of a line on its own: no line ends, no control characters.
pub(super) fn line(text: &str) -> String {
    text.split(|c: char| c.is_control()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The time of the clock so long after `start` (RFC 3339), with milliseconds; `None` when there is no such time.
pub(super) fn clock(start: &str, after: f64) -> Option<String> {
    let time = later(start, after)?;
    Some(humantime::format_rfc3339_millis(time).to_string())
}

/// [`clock`] without the day and the zone, as in `10:00:01.500`.
pub(super) fn time_of_day(start: &str, after: f64) -> Option<String> {
    let time = clock(start, after)?;
    let (_, time) = time.split_once('T')?;
    Some(time.trim_end_matches('Z').to_owned())
}

/// The time of the clock as whole seconds without a zone, as JUnit has it.
pub(super) fn clock_of_junit(start: &str) -> Option<String> {
    let text = humantime::format_rfc3339_seconds(later(start, 0.0)?).to_string();
    Some(text.trim_end_matches('Z').to_owned())
}

fn later(start: &str, after: f64) -> Option<SystemTime> {
    let start = humantime::parse_rfc3339_weak(start).ok()?;
    let time = start.checked_add(Duration::try_from_secs_f64(after).ok()?)?;
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    (since.as_secs() < YEARS_END).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_as_many_digits_as_say_something() {
        let all = [0.0, -0.000_000_1, 0.042, 1.0, 4.214, 12.34, 123.4, 1_234_567.8, 1.5e12, f64::NAN, f64::MIN];
        let written = all.map(number);
        let expected =
            ["0", "-1.00e-7", "0.042", "1", "4.21", "12.3", "123", "1,234,568", "1.50e12", "not a number", "-1.80e308"];
        assert_eq!(written, expected);
    }

    #[test]
    fn nearly_all_is_not_all() {
        let written = [0.0, 3.5e-16, 0.000_366, 0.029, 0.5, 0.994, 0.9996, 1.0].map(percent);
        assert_eq!(written, ["0 %", "0 %", "0.0366 %", "2.9 %", "50 %", "99.4 %", "99.96 %", "100 %"]);
    }

    #[test]
    fn durations_have_the_unit_that_suits_them() {
        let written = [0.0, 0.000_25, 0.0421, 1.5, 90.0, f64::INFINITY].map(seconds);
        assert_eq!(written, ["0 s", "250 µs", "42.1 ms", "1.5 s", "90 s", "not a number"]);
    }

    #[test]
    fn times_beyond_the_calendar_are_none() {
        assert_eq!(clock("2026-11-25T10:00:00Z", 1.5).as_deref(), Some("2026-11-25T10:00:01.500Z"));
        assert_eq!(time_of_day("2026-11-25T23:59:59Z", 1.5).as_deref(), Some("00:00:00.500"));
        assert_eq!(clock_of_junit("2026-11-25T10:00:00.250Z").as_deref(), Some("2026-11-25T10:00:00"));
        for after in [f64::NAN, -1.0, 1e12, f64::MAX] {
            assert_eq!(clock("2026-11-25T10:00:00Z", after), None, "{after}");
        }
        assert_eq!(clock("yesterday", 0.0), None);
    }
}
