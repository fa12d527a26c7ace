//! The trace that a request belongs to.

use http::HeaderMap;

/// The trace id of `traceparent`, else of `b3`, else of `x-b3-traceid`. An id of 64 bits (b3) is the lower half of one of
/// 128, so that the same trace has the same number whatever carries it. What is malformed, or zero, is none.
pub(crate) fn trace_id(headers: &HeaderMap) -> Option<u128> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let w3c = || text("traceparent").and_then(traceparent);
    let single = || text("b3").and_then(|value| b3(value.split('-').next()?));
    let several = || text("x-b3-traceid").and_then(b3);
    w3c().or_else(single).or_else(several)
}

/// `version-trace_id-parent_id-flags` (W3C Trace Context §3.2.2); versions to come may append more.
fn traceparent(value: &str) -> Option<u128> {
    let mut parts = value.trim().split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_known = version == "00" && parts.next().is_none();
    let is_to_come = version != "00" && version != "ff";
    let has_form = hex(version, 2).is_some() && hex(parent, 16).is_some() && hex(flags, 2).is_some();
    (has_form && (is_known || is_to_come)).then(|| hex(trace, 32)).flatten().filter(|id| *id != 0)
}

fn b3(value: &str) -> Option<u128> {
    let value = value.trim();
    hex(value, 32).or_else(|| hex(value, 16)).filter(|id| *id != 0)
}

/// Exactly so many hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
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
}
