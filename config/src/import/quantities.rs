//! Quantities as other tools write them.

use std::time::Duration;

use serde_json::Number;

use crate::spec::Scalar;
use crate::units::{ByteRate, Percentage, format_duration, parse_duration};

use super::sheet::Sheet;

/// A percentage as people write it: a number without sign.
pub(super) fn number(percentage: Percentage) -> Scalar {
    let text = percentage.to_string();
    let text = text.trim_end_matches('%');
    match (text.parse::<u64>(), text.parse::<f64>().ok().and_then(Number::from_f64)) {
        (Ok(whole), _) => Scalar::from(whole),
        (Err(_), Some(number)) => Scalar::Number(number),
        (Err(_), None) => Scalar::from(text),
    }
}

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

/// A duration as it is written in a file.
pub(super) fn written(duration: Duration) -> Scalar {
    Scalar::Text(format_duration(duration))
}

/// Bytes per second as they are written in a file: in units of 1024 or of 1000, whichever comes out even.
pub(super) fn written_rate(bytes_per_second: u64) -> Option<Scalar> {
    let rate = ByteRate::from_bytes_per_second(bytes_per_second)?;
    let decimal = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)];
    let even = decimal.iter().find(|(_, factor)| bytes_per_second.is_multiple_of(*factor));
    Some(Scalar::Text(match even {
        Some((unit, factor)) if !bytes_per_second.is_multiple_of(1024) => {
            format!("{}{unit}/s", bytes_per_second / factor)
        }
        _ => rate.to_string(),
    }))
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
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn percentages_are_written_as_numbers() {
        for (text, written) in [("5", "5"), ("0.5%", "0.5"), ("0.0001", "0.0001"), ("100", "100"), ("0", "0")] {
            assert_eq!(serde_json::to_string(&number(text.parse().unwrap())).unwrap(), written);
        }
    }

    #[test]
    fn rates_are_written_in_even_units() {
        for (rate, written) in [
            (1024, "1KiB/s"),
            (64_000, "64kB/s"),
            (1_000_000, "1MB/s"),
            (1250, "1250B/s"),
            (1 << 20, "1MiB/s"),
            (1, "1B/s"),
        ] {
            let text = written_rate(rate).unwrap().to_string();
            assert_eq!(text, written);
            assert_eq!(text.parse::<ByteRate>().unwrap().bytes_per_second(), rate);
        }
        assert_eq!(written_rate(0), None);
    }

    #[test]
    fn amounts_have_units() {
        assert_eq!(amount("50Mbps").unwrap(), (50, "mbps".to_owned()));
        assert_eq!(amount(" 10 kbps ").unwrap(), (10, "kbps".to_owned()));
        assert_eq!(amount("x"), None);
    }
}
