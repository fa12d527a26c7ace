//! Quantities with their units; parse and Display round-trip.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

/// A text that is not the quantity it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct UnitError {
    /// What is wrong with it.
    pub detail: String,
    /// How to write it.
    pub hint: &'static str,
}

impl UnitError {
    fn new(detail: impl Into<String>, hint: &'static str) -> Self {
        Self { detail: detail.into(), hint }
    }
}

/// A share in parts per million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percentage(u32);

const PERCENTAGE_HINT: &str = "write a number from 0 to 100 with up to 4 decimals, such as 5 or 0.5";

impl Percentage {
    /// Nothing.
    pub const NEVER: Self = Self(0);
    /// Everything.
    pub const ALWAYS: Self = Self(1_000_000);

    /// From parts per million, at most 1,000,000.
    pub const fn from_ppm(ppm: u32) -> Option<Self> {
        if ppm <= 1_000_000 { Some(Self(ppm)) } else { None }
    }

    /// Parts per million.
    pub fn ppm(self) -> u32 {
        self.0
    }
}

impl FromStr for Percentage {
    type Err = UnitError;

    /// Reads `5`, `0.0001` or `5 %` in decimal arithmetic, so that no share is off by a rounding. Numbers that JSON writes
    /// with an exponent (`1e-4`) are understood too.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError::new(format!("{text:?} is not a percentage"), PERCENTAGE_HINT);
        let out_of_range = || UnitError::new(format!("{} is not between 0 and 100", text.trim()), PERCENTAGE_HINT);
        let number = text.trim().strip_suffix('%').unwrap_or(text.trim()).trim_end();
        if let Some(rest) = number.strip_prefix('-') {
            return Err(if rest.parse::<f64>().is_ok() { out_of_range() } else { wrong() });
        }
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let exponent: i32 = exponent.parse().map_err(|_| wrong())?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !is_digits(whole) || !is_digits(fraction) {
            return Err(wrong());
        }
        let digits = format!("{whole}{fraction}");
        let scale = i64::from(exponent) - i64::try_from(fraction.len()).unwrap_or(i64::MAX) + 4;
        match scaled(&digits, scale) {
            Scaled::Exact(ppm) => Self::from_ppm(ppm).ok_or_else(out_of_range),
            Scaled::TooLarge => Err(out_of_range()),
            Scaled::TooFine => Err(UnitError::new(
                format!("{} is finer than 0.0001 %, one in a million", text.trim()),
                PERCENTAGE_HINT,
            )),
        }
    }
}

enum Scaled {
    Exact(u32),
    TooLarge,
    TooFine,
}

/// `digits` × 10^`scale` as a whole number.
fn scaled(digits: &str, scale: i64) -> Scaled {
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Scaled::Exact(0);
    }
    let zeros = i64::try_from(digits.len() - significant.len()).unwrap_or(i64::MAX).saturating_add(scale);
    match u32::try_from(zeros) {
        // Negative: digits remain behind the last place that counts.
        Err(_) if zeros < 0 => Scaled::TooFine,
        Err(_) => Scaled::TooLarge,
        Ok(zeros) => significant
            .parse::<u32>()
            .ok()
            .and_then(|number| number.checked_mul(10_u32.checked_pow(zeros)?))
            .map_or(Scaled::TooLarge, Scaled::Exact),
    }
}

impl fmt::Display for Percentage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 10_000, self.0 % 10_000);
        if rest == 0 {
            return write!(f, "{whole}%");
        }
        let rest = format!("{rest:04}");
        write!(f, "{whole}.{}%", rest.trim_end_matches('0'))
    }
}

const DURATION_HINT: &str = "write a number with its unit, such as 200ms, 2s or 1m 30s";

/// Reads a duration such as `200ms`, `1.5s` or `1m 30s`. A bare number is an error: it says no unit.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    humantime::parse_duration(text.trim()).map_err(|error| {
        let detail = if text.trim().parse::<f64>().is_ok() {
            format!("the duration {} has no unit", text.trim())
        } else if !text.contains(|c: char| c.is_ascii_digit()) {
            format!("{text:?} is not a duration")
        } else {
            format!("{text:?} is not a duration: {error}")
        };
        UnitError::new(detail, DURATION_HINT)
    })
}

/// Writes a duration as [`parse_duration`] reads it.
pub fn format_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const SIZE_HINT: &str = "write a number of bytes, or one with a unit such as 64KiB or 16MiB";

/// Unit and bytes; the longest of those that divide is used for writing.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl FromStr for ByteSize {
    type Err = UnitError;

    /// Reads `65536`, `64KiB` (1024) or `64kB` (1000); capitals do not matter.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = |why: &str| UnitError::new(format!("{text:?} is not a number of bytes{why}"), SIZE_HINT);
        let trimmed = text.trim();
        let end = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(end);
        if number.is_empty() {
            return Err(wrong(""));
        }
        let unit = unit.trim_start();
        let factor = match UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) {
            Some((_, factor)) => *factor,
            None if unit.is_empty() => 1,
            None => return Err(wrong(&format!(": {unit:?} is not a unit of it"))),
        };
        let number: Option<u64> = number.parse().ok();
        number.and_then(|number| number.checked_mul(factor)).map(Self).ok_or_else(|| wrong(": it is too large"))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS[..4].iter().find(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor)) {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}B", self.0),
        }
    }
}

/// Bytes per second, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteRate(NonZeroU64);

const RATE_HINT: &str = "write bytes per second, such as 64KiB/s; to stop all bytes use blackhole";

impl ByteRate {
    /// From bytes per second; 0 is none.
    pub fn from_bytes_per_second(rate: u64) -> Option<Self> {
        NonZeroU64::new(rate).map(Self)
    }

    /// Bytes per second.
    pub fn bytes_per_second(self) -> u64 {
        self.0.get()
    }
}

impl FromStr for ByteRate {
    type Err = UnitError;

    /// Reads `64KiB/s`.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let Some(size) = text.trim().strip_suffix("/s") else {
            return Err(UnitError::new(format!("the rate {text:?} does not end with \"/s\""), RATE_HINT));
        };
        let size: ByteSize = size.parse().map_err(|e: UnitError| UnitError::new(e.detail, RATE_HINT))?;
        Self::from_bytes_per_second(size.0).ok_or_else(|| UnitError::new("a rate of 0 bytes per second", RATE_HINT))
    }
}

impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", ByteSize(self.0.get()))
    }
}

#[cfg(test)]
mod tests;
