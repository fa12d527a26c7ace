//! Quantities of Kubernetes: `10m`, `1.5`, `128Mi`, `1e3`.

/// How many of its unit (cores, bytes) a quantity is; `None` when it is none.
///
/// Good enough to tell which of two is larger; what is written stays as it is.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    // Stricter than f64: neither a sign nor a word, one dot at most, a digit at least.
    let number: f64 = number.parse().ok()?;
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 2_f64.powi(10),
        "Mi" => 2_f64.powi(20),
        "Gi" => 2_f64.powi(30),
        "Ti" => 2_f64.powi(40),
        "Pi" => 2_f64.powi(50),
        "Ei" => 2_f64.powi(60),
        _ => 10_f64.powi(suffix.strip_prefix(['e', 'E'])?.parse().ok().filter(|power: &i32| power.abs() <= 18)?),
    };
    Some(number * factor)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn quantities_are_compared_by_what_they_are() {
        for (text, value) in [("10m", 0.01), ("1", 1.0), ("0.5", 0.5), ("128Mi", 134_217_728.0), ("1e3", 1000.0)] {
            let found = parse(text).unwrap_or(f64::NAN);
            assert!((found - value).abs() < 1e-9, "{text}: {found}");
        }
        assert!(parse("129M") < parse("128Mi") && parse("1Gi") > parse("1G"));
    }

    #[test]
    fn other_texts_are_none() {
        for text in ["", "m", "10 m", "-1", "+1", "1.2.3", "10x", "1e", "1e99", "Mi", "NaN", "inf", "10mi", "."] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
