use http::HeaderName;

use super::*;

fn of(fields: &[(&'static str, &str)]) -> Option<u128> {
    let fields = fields.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
    trace_id(&fields.collect())
}

const W3C: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn one_trace_has_one_number() {
    let id = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
    assert_eq!(of(&[("traceparent", W3C)]), Some(id));
    assert_eq!(of(&[("b3", "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1")]), Some(id));
    assert_eq!(of(&[("x-b3-traceid", "4BF92F3577B34DA6A3CE929D0E0E4736")]), Some(id));
    assert_eq!(of(&[("traceparent", "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more")]), Some(id));
    assert_eq!(of(&[("traceparent", "nonsense"), ("b3", "00f067aa0ba902b7-1-1")]), Some(0x00f0_67aa_0ba9_02b7));
    assert_eq!(of(&[("x-b3-traceid", "000000000000000000f067aa0ba902b7")]), Some(0x00f0_67aa_0ba9_02b7));
    // Who speaks both is asked in the newer language.
    assert_eq!(of(&[("b3", "00f067aa0ba902b7-1-1"), ("traceparent", W3C)]), Some(id));
}

#[test]
fn what_is_malformed_is_no_trace() {
    for value in [
        "",
        "00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
    ] {
        assert_eq!(of(&[("traceparent", value)]), None, "{value}");
    }
    for value in ["0", "0000000000000000-1-1", "x", "-"] {
        assert_eq!(of(&[("b3", value)]), None, "{value}");
        assert_eq!(of(&[("x-b3-traceid", value)]), None, "{value}");
    }
    assert_eq!(of(&[]), None);
}

fn read(fields: &[(&'static str, &str)]) -> [Option<TraceContext>; 3] {
    let fields = fields.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
    let headers = fields.collect();
    [w3c(&headers), b3(&headers), b3_multi(&headers)]
}

const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
const SPAN: u64 = 0x00f0_67aa_0ba9_02b7;

fn context(is_sampled: Option<bool>, is_debug: bool, flags: u8) -> Option<TraceContext> {
    Some(TraceContext { ids: Some(Ids { trace: TRACE, span: SPAN }), is_sampled, is_debug, flags })
}

#[test]
fn each_form_tells_ids_and_sampling() {
    assert_eq!(read(&[("traceparent", W3C)]), [context(Some(true), false, 1), None, None]);
    for (flags, is_sampled) in [("00", false), ("02", false), ("03", true)] {
        let value = W3C.replace("-01", &format!("-{flags}"));
        let said = context(Some(is_sampled), false, flags.parse().unwrap());
        assert_eq!(read(&[("traceparent", &value)])[0], said, "{flags}");
    }
    let ids = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
    for (end, said) in [
        ("", context(None, false, 0)),
        ("-0", context(Some(false), false, 0)),
        ("-1-05e3ac9a4f6e3b90", context(Some(true), false, 0)),
        ("-d", context(Some(true), true, 0)),
        ("-x", None),
    ] {
        assert_eq!(read(&[("b3", &format!("{ids}{end}"))]), [None, said, None], "{end}");
    }
    let several = |more: &[(&'static str, &'static str)]| {
        let ids = [("x-b3-traceid", "4bf92f3577b34da6a3ce929d0e0e4736"), ("x-b3-spanid", "00f067aa0ba902b7")];
        read(&[&ids[..], more].concat())[2]
    };
    assert_eq!(several(&[]), context(None, false, 0));
    assert_eq!(several(&[("x-b3-sampled", "1")]), context(Some(true), false, 0));
    assert_eq!(several(&[("x-b3-sampled", "false")]), context(Some(false), false, 0));
    assert_eq!(several(&[("x-b3-flags", "1")]), context(Some(true), true, 0));
}

#[test]
fn b3_may_speak_of_the_sampling_alone() {
    let said = |is_sampled| Some(TraceContext { ids: None, is_sampled: Some(is_sampled), is_debug: false, flags: 0 });
    assert_eq!(read(&[("b3", "0")])[1], said(false));
    assert_eq!(read(&[("b3", "1")])[1], said(true));
    assert_eq!(read(&[("x-b3-sampled", "0")])[2], said(false));
    assert_eq!(read(&[("x-b3-sampled", "maybe")])[2], None);
    assert_eq!(read(&[("b3", "yes")])[1], None);
}

proptest::proptest! {
    #[test]
    fn any_value_is_read_without_a_panic(value in "[0-9a-fdx, -]{0,80}|[ -~]{0,80}") {
        let fields = ["traceparent", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags"];
        for context in read(&fields.map(|name| (name, value.as_str()))).into_iter().flatten() {
            assert!(context.ids.is_none_or(|ids| ids.trace != 0 && ids.span != 0), "{value:?}: {context:?}");
            assert!(context.ids.is_some() || context.is_sampled.is_some(), "{value:?} says nothing");
        }
    }
}

#[test]
fn digits_are_hexadecimal_or_none() {
    let slow = |digits: &str| {
        let is_hex = (1..=32).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then(|| u128::from_str_radix(digits, 16).unwrap())
    };
    for byte in 0..=u8::MAX {
        for place in 0..11 {
            let mut digits = *b"0123abCDEF9";
            digits[place] = byte;
            let expected = std::str::from_utf8(&digits).ok().and_then(slow);
            assert_eq!(hex(&digits), expected, "{byte:#x} at {place}");
        }
    }
    for length in 0..=33 {
        let digits = &"9fA0c3E817b2d4F65a9fA0c3E817b2d4F65"[..length];
        assert_eq!(hex(digits.as_bytes()), slow(digits), "{digits}");
    }
}

#[test]
fn fields_that_were_found_already_say_the_same() {
    let values = ["nonsense", W3C, "00f067aa0ba902b7-1-1", "a3ce929d0e0e4736"].map(|value| value.parse().unwrap());
    for w3c in 0..4 {
        for single in 0..4 {
            for several in 0..4 {
                let (mut headers, found) = (HeaderMap::new(), [w3c, single, several].map(|at| &values[at]));
                for (name, value) in [TRACEPARENT, B3, B3_TRACE].into_iter().zip(found) {
                    headers.insert(name, HeaderValue::clone(value));
                }
                assert_eq!(trace_id_of(found.map(Some)), trace_id(&headers));
            }
        }
    }
    assert_eq!(trace_id_of([None; 3]), None);
}
