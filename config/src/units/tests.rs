use proptest::prelude::*;

use super::*;

fn ppm(text: &str) -> u32 {
    text.parse::<Percentage>().unwrap().ppm()
}

#[test]
fn percentage_is_read_exactly() {
    assert_eq!(ppm("5"), 50_000);
    assert_eq!(ppm("5%"), 50_000);
    assert_eq!(ppm(" 5 % "), 50_000);
    assert_eq!(ppm("0.0001"), 1);
    assert_eq!(ppm("0.05"), 500);
    assert_eq!(ppm("0.07"), 700);
    assert_eq!(ppm("1e-4"), 1);
    assert_eq!(ppm("1.5e1"), 150_000);
    assert_eq!(ppm("2.50000000"), 25_000);
    assert_eq!(ppm("0e999999999"), 0);
    assert_eq!(ppm("0"), 0);
    assert_eq!(ppm("100"), 1_000_000);
    assert_eq!(ppm("100.0"), 1_000_000);
}

#[test]
fn wrong_percentages_say_why() {
    for (text, detail) in [
        ("", "\"\" is not a percentage"),
        ("five", "\"five\" is not a percentage"),
        ("-x", "\"-x\" is not a percentage"),
        ("5.", "\"5.\" is not a percentage"),
        ("1e", "\"1e\" is not a percentage"),
        ("+5", "\"+5\" is not a percentage"),
        ("NaN", "\"NaN\" is not a percentage"),
        ("-1", "-1 is not between 0 and 100"),
        ("100.0001", "100.0001 is not between 0 and 100"),
        ("1e9", "1e9 is not between 0 and 100"),
        ("1e999999999", "1e999999999 is not between 0 and 100"),
        ("0.00001", "0.00001 is finer than 0.0001 %, one in a million"),
        ("1e-999999999", "1e-999999999 is finer than 0.0001 %, one in a million"),
    ] {
        assert_eq!(text.parse::<Percentage>().unwrap_err().detail, detail);
    }
}

#[test]
fn durations_need_a_unit() {
    assert_eq!(parse_duration("1.5s").unwrap(), Duration::from_millis(1500));
    assert_eq!(parse_duration("1m 30s").unwrap(), Duration::from_secs(90));
    assert_eq!(parse_duration("0s").unwrap(), Duration::ZERO);
    for text in ["5", "0.5", "2 "] {
        assert_eq!(parse_duration(text).unwrap_err().detail, format!("the duration {} has no unit", text.trim()));
    }
    let error = parse_duration("2 parsecs").unwrap_err();
    assert!(error.detail.starts_with("\"2 parsecs\" is not a duration"), "{error}");
    assert!(error.hint.contains("200ms"));
}

#[test]
fn sizes_and_rates() {
    assert_eq!("64KiB".parse(), Ok(ByteSize(65_536)));
    assert_eq!("64 kb".parse(), Ok(ByteSize(64_000)));
    assert_eq!("7".parse(), Ok(ByteSize(7)));
    assert_eq!(ByteSize(0).to_string(), "0B");
    assert_eq!("64KiB/s".parse::<ByteRate>().unwrap().bytes_per_second(), 65_536);
    for (text, part) in [
        ("", "is not a number of bytes"),
        ("x", "is not a number of bytes"),
        ("5parsec", "\"parsec\" is not a unit"),
        ("99999999999999999999", "too large"),
        ("99999999TiB", "too large"),
    ] {
        let error = text.parse::<ByteSize>().unwrap_err();
        assert!(error.detail.contains(part), "{text:?}: {error}");
    }
    for (text, part) in [("64KiB", "does not end with \"/s\""), ("0/s", "0 bytes per second"), ("x/s", "not a number")]
    {
        let error = text.parse::<ByteRate>().unwrap_err();
        assert!(error.detail.contains(part), "{text:?}: {error}");
    }
}

proptest! {
    #[test]
    fn percentage_round_trips(ppm in 0..=1_000_000_u32) {
        let percentage = Percentage::from_ppm(ppm).unwrap();
        prop_assert_eq!(percentage.to_string().parse(), Ok(percentage));
    }

    #[test]
    fn percentage_of_a_json_number_is_exact(ppm in 0..=1_000_000_u32) {
        let number = serde_json::Number::from_f64(f64::from(ppm) / 10_000.0).unwrap();
        prop_assert_eq!(number.to_string().parse(), Ok(Percentage(ppm)));
    }

    #[test]
    fn size_rate_and_duration_round_trip(bytes: u64, seconds in 0..10_000_000_u64, nanos in 0..1_000_000_000_u32) {
        prop_assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
        if let Some(rate) = ByteRate::from_bytes_per_second(bytes) {
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
        }
        let duration = Duration::new(seconds, nanos);
        prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
    }

    #[test]
    fn no_text_panics(text in "\\PC*", digits in "[0-9eE.%+-]{0,24}") {
        for text in [text, digits] {
            let _ = (text.parse::<Percentage>(), text.parse::<ByteSize>(), text.parse::<ByteRate>());
            let _ = parse_duration(&text);
        }
    }
}
