//! Ports that stand together.

use std::fmt;
use std::str::FromStr;

/// A port, or all from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortRange {
    /// The lowest of them.
    pub first: u16,
    /// The highest of them; not below the first.
    pub last: u16,
}

impl PortRange {
    /// As written for a program that has this between the two.
    pub fn with(self, between: char) -> String {
        if self.first == self.last { self.first.to_string() } else { format!("{}{between}{}", self.first, self.last) }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with('-'))
    }
}

impl FromStr for PortRange {
    type Err = String;

    /// Reads `25` and `9300-9400`.
    fn from_str(text: &str) -> Result<Self, String> {
        let port = |text: &str| match text.trim().parse::<u16>() {
            Ok(port @ 1..) => Ok(port),
            _ => Err(format!("{text:?} is not a port from 1 to 65535, nor two of them as in 15000-15090")),
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (port(first)?, port(last)?);
        if first > last {
            return Err(format!("{text:?} ends before it begins"));
        }
        Ok(Self { first, last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_as_linkerd_writes_them() {
        for (text, expected) in [("80", "80"), ("15000-15090", "15000-15090"), ("7-7", "7")] {
            assert_eq!(text.parse::<PortRange>().unwrap().to_string(), expected);
        }
        for text in ["", "0", "x", "90-80", "1-70000", "-1"] {
            assert!(text.parse::<PortRange>().is_err(), "{text}");
        }
    }
}
