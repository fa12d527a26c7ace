//! Toxics → faults of TCP.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::spec::{
    BlackholeSpec, DelaySpec, FaultSpec, ResetSpec, Scalar, SliceSpec, SlowCloseSpec, StallSpec, ThrottleSpec,
    TruncateSpec, UniformSpec, Written,
};
use crate::units::{ByteSize, Percentage};

use super::super::draft::{Draft, Share};
use super::super::quantities::{written, written_rate};
use super::super::sheet::Sheet;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Toxic {
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    stream: Option<String>,
    toxicity: Option<Scalar>,
    attributes: BTreeMap<String, Scalar>,
}

const ABSENT: &str = "which Toxiproxy takes for 1";

/// One toxic of the proxy with this name, behind this listener.
pub(super) fn translate(path: &str, (proxy, listener): (&str, &str), toxic: &Toxic, sheet: &mut Sheet<'_>) {
    let kind = toxic.kind.as_deref().unwrap_or_default();
    let stream = match toxic.stream.as_deref().map(str::to_ascii_lowercase).as_deref() {
        Some("upstream") => Stream::Upstream,
        // The default of Toxiproxy.
        None | Some("" | "downstream") => Stream::Downstream,
        Some(other) => {
            sheet.lost(format!("{path}.stream"), format!("{other:?} is neither upstream nor downstream"), "");
            return;
        }
    };
    let Some(fault) = fault(path, kind, stream, &toxic.attributes, sheet) else { return };
    let Some(share) = share(path, toxic, sheet) else { return };
    let name = toxic.name.clone().filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| format!("{kind}_{}", stream.word()));
    let mut draft =
        Draft { path: path.to_owned(), name: Some(format!("{proxy}-{name}")), share, fault, ..Draft::default() };
    draft.matches.listener = Some(listener.to_owned());
    sheet.add(draft);
}

/// Which bytes a toxic is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Upstream,
    Downstream,
}

impl Stream {
    fn word(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Downstream => "downstream",
        }
    }

    /// The word of a rule.
    #[expect(clippy::unnecessary_wraps, reason = "as a spec has it")]
    fn half(self) -> Option<String> {
        Some(if self == Self::Upstream { "request" } else { "response" }.to_owned())
    }
}

/// The attributes of each type; those that are not written are 0.
const TYPES: [(&str, &[&str]); 7] = [
    ("latency", &["latency", "jitter"]),
    ("bandwidth", &["rate"]),
    ("slow_close", &["delay"]),
    ("timeout", &["timeout"]),
    ("reset_peer", &["timeout"]),
    ("slicer", &["average_size", "size_variation", "delay"]),
    ("limit_data", &["bytes"]),
];

fn fault(
    path: &str,
    kind: &str,
    stream: Stream,
    attributes: &BTreeMap<String, Scalar>,
    sheet: &mut Sheet<'_>,
) -> Option<FaultSpec> {
    let Some((_, known)) = TYPES.iter().find(|(name, _)| *name == kind) else {
        let hint = "what looks into HTTP needs protocol: http on the listener and a rule of its own";
        sheet.lost(format!("{path}.type"), format!("{kind:?} is no type of toxic that is known here"), hint);
        return None;
    };
    for name in attributes.keys().filter(|name| !known.contains(&name.as_str())) {
        let detail = format!("{kind} has no such attribute; it was left out");
        sheet.differs(format!("{path}.attributes.{name}"), detail, "look whether it matters");
    }
    let mut values = [0_u64; 3];
    for (value, name) in values.iter_mut().zip(known.iter()) {
        *value = attribute(path, name, attributes.get(*name), sheet)?;
    }
    match (kind, values) {
        ("latency", [latency, jitter, _]) => delay(path, stream, latency, jitter, sheet),
        ("bandwidth", [rate, ..]) => bandwidth(path, stream, rate, sheet),
        ("timeout", [timeout, ..]) => Some(silence(path, stream, timeout, sheet)),
        ("reset_peer", [timeout, ..]) => Some(reset(path, timeout, sheet)),
        ("slow_close", [0, ..]) => nothing(path, sheet),
        ("slow_close", [delay, ..]) => {
            let spec = SlowCloseSpec { delay: Some(written(Duration::from_millis(delay))), direction: stream.half() };
            Some(FaultSpec { slow_close: Some(Written::Full(spec)), ..FaultSpec::default() })
        }
        ("slicer", sizes) => Some(slices(stream, sizes)),
        ("limit_data", [bytes, ..]) => limit(path, stream, bytes, sheet),
        _ => None,
    }
}

/// A whole number, not negative.
fn attribute(path: &str, name: &str, value: Option<&Scalar>, sheet: &mut Sheet<'_>) -> Option<u64> {
    let Some(value) = value else { return Some(0) };
    let number = value.to_string().parse().ok();
    if number.is_none() {
        let detail = format!("{value} is no whole number from 0; no rule was made");
        sheet.lost(format!("{path}.attributes.{name}"), detail, "write one");
    }
    number
}

/// One roll for each connection, on both sides.
fn share(path: &str, toxic: &Toxic, sheet: &mut Sheet<'_>) -> Option<Share> {
    let path = format!("{path}.toxicity");
    let Some(toxicity) = &toxic.toxicity else { return Some(Share::Absent { path, meaning: ABSENT }) };
    let Some(number) = toxicity.to_string().parse::<f64>().ok().filter(|number| number.is_finite()) else {
        sheet.lost(path, format!("{toxicity} is no number from 0 to 1; no rule was made"), "write one");
        return None;
    };
    let percent = number.clamp(0.0, 1.0) * 100.0;
    let rounded: Percentage = format!("{percent:.4}").parse().ok()?;
    if (percent - f64::from(rounded.ppm()) / 10_000.0).abs() > 1e-9 {
        sheet.differs(path, format!("{toxicity} is rounded to {rounded}, a whole number of millionths"), "");
    } else if !(0.0..=1.0).contains(&number) {
        sheet.note(path, format!("{toxicity} counts as {rounded}"), "");
    }
    Some(Share::Written(rounded))
}

fn nothing(path: &str, sheet: &mut Sheet<'_>) -> Option<FaultSpec> {
    sheet.note(path, "it does nothing, so there is no rule", "");
    None
}

fn delay(path: &str, stream: Stream, latency: u64, jitter: u64, sheet: &mut Sheet<'_>) -> Option<FaultSpec> {
    let ms = |ms: u64| Some(written(Duration::from_millis(ms)));
    let spec = match (latency, jitter) {
        (0, 0) => return nothing(path, sheet),
        (_, 0) => DelaySpec { fixed: ms(latency), ..DelaySpec::default() },
        _ => {
            if jitter > latency {
                let detail = "it is above the latency; draws below zero, which pass at once there, are not made here";
                sheet.differs(format!("{path}.attributes.jitter"), detail, "");
            }
            let uniform =
                UniformSpec { min: ms(latency.saturating_sub(jitter)), max: ms(latency.saturating_add(jitter)) };
            DelaySpec { uniform: Some(uniform), ..DelaySpec::default() }
        }
    };
    let spec = DelaySpec { on: stream.half(), ..spec };
    Some(FaultSpec { delay: Some(Written::Full(spec)), ..FaultSpec::default() })
}

/// Their kilobytes have 1000 bytes; none at all is a way to stop a stream.
fn bandwidth(path: &str, stream: Stream, rate: u64, sheet: &mut Sheet<'_>) -> Option<FaultSpec> {
    if rate == 0 {
        return Some(stall(stream));
    }
    let Some(rate) = rate.checked_mul(1000).and_then(written_rate) else {
        sheet.lost(format!("{path}.attributes.rate"), "it is too large; no rule was made", "lower it");
        return None;
    };
    let throttle = ThrottleSpec { rate: Some(rate), direction: stream.half() };
    Some(FaultSpec { throttle: Some(Written::Full(throttle)), ..FaultSpec::default() })
}

fn stall(stream: Stream) -> FaultSpec {
    let spec = StallSpec { on: stream.half(), ..StallSpec::default() };
    FaultSpec { stall: Some(Written::Full(spec)), ..FaultSpec::default() }
}

/// Without a timeout one direction is silent for ever; with one the connection closes after it.
fn silence(path: &str, stream: Stream, timeout: u64, sheet: &mut Sheet<'_>) -> FaultSpec {
    if timeout == 0 {
        return stall(stream);
    }
    let detail = "both directions are silent here and the upstream is not called; there only one is, and the time begins \
                  anew with all that it drops";
    sheet.differs(path, detail, "");
    let spec = BlackholeSpec { max: Some(written(Duration::from_millis(timeout))), ..BlackholeSpec::default() };
    FaultSpec { blackhole: Some(Written::Full(spec)), ..FaultSpec::default() }
}

fn reset(path: &str, timeout: u64, sheet: &mut Sheet<'_>) -> FaultSpec {
    let spec = if timeout == 0 {
        Written::Short(Scalar::from(true))
    } else {
        let detail = "the time counts from the beginning of the connection here, and from its first data there";
        sheet.differs(format!("{path}.attributes.timeout"), detail, "");
        let after = Some(written(Duration::from_millis(timeout)));
        Written::Full(ResetSpec { after, ..ResetSpec::default() })
    };
    FaultSpec { reset: Some(spec), ..FaultSpec::default() }
}

/// The delay is in microseconds.
fn slices(stream: Stream, [size, variation, delay]: [u64; 3]) -> FaultSpec {
    let bytes = |n: u64| Some(Scalar::Text(ByteSize(n).to_string()));
    let spec = SliceSpec {
        size: bytes(size),
        variation: bytes(variation).filter(|_| variation > 0),
        every: (delay > 0).then(|| written(Duration::from_micros(delay))),
        direction: stream.half(),
    };
    FaultSpec { slice: Some(Written::Full(spec)), ..FaultSpec::default() }
}

fn limit(path: &str, stream: Stream, bytes: u64, sheet: &mut Sheet<'_>) -> Option<FaultSpec> {
    if stream == Stream::Upstream {
        let hint = "truncate counts the bytes of the upstream";
        sheet.lost(format!("{path}.stream"), "what goes upstream is not cut; no rule was made", hint);
        return None;
    }
    let after_bytes = Some(Scalar::Text(ByteSize(bytes).to_string()));
    let spec = TruncateSpec { after_bytes, ..TruncateSpec::default() };
    Some(FaultSpec { truncate: Some(Written::Full(spec)), ..FaultSpec::default() })
}
