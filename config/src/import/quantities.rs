//! Quantities as other tools write them.

use std::time::Duration;

use crate::spec::Scalar;
use crate::units::{Percentage, parse_duration};

use super::sheet::Sheet;

/// A percentage; one that is finer than a millionth is rounded, which is said.
pub(super) fn percentage(path: &str, value: &Scalar, sheet: &mut Sheet<'_>) -> Option<Percentage> {
    let text = value.to_string();
    let error = match text.parse::<Percentage>() {
        Ok(percentage) => return Some(percentage),
        Err(error) => error,
    };
    let rounded = text.trim().parse::<f64>().ok().filter(|n| (0.0..=100.0).contains(n));
    let rounded = rounded.and_then(|n| format!("{n:.4}").parse::<Percentage>().ok());
    if let Some(rounded) = rounded {
        sheet.differs(path, format!("{text} is rounded to {rounded}, a whole number of millionths"), "");
    } else {
        sheet.lost(path, format!("{}; no rule was made", error.detail), error.hint);
    }
    rounded
}

/// A duration above zero.
pub(super) fn duration(path: &str, value: &Scalar, sheet: &mut Sheet<'_>) -> Option<Duration> {
    match parse_duration(&value.to_string()) {
        Ok(duration) if duration.is_zero() => {
            sheet.note(path, "it does nothing, so there is no rule", "");
            None
        }
        Ok(duration) => Some(duration),
        Err(error) => {
            sheet.lost(path, format!("{}; no rule was made", error.detail), error.hint);
            None
        }
    }
}

/// Splits `50 Mbps` into 50 and `mbps`.
pub(super) fn amount(text: &str) -> Option<(u64, String)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim().to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units() {
        assert_eq!(amount("50Mbps").unwrap(), (50, "mbps".to_owned()));
        assert_eq!(amount(" 10 kbps ").unwrap(), (10, "kbps".to_owned()));
        assert_eq!(amount("x"), None);
    }
}
