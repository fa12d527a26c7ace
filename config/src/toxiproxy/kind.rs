//! What a toxic does: its type, its attributes, and the fault that is the same.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::faults::{
    BlackholeSpec, DelaySpec, FaultSpec, ModifySpec, Phase, ResetSpec, SliceSpec, SlowCloseSpec, StallSpec,
    ThrottleSpec, TruncateSpec, UniformSpec,
};
use crate::problem::humanize;
use crate::units::{ByteRate, ByteSize};
use crate::written::{Scalar, Written};

/// A type of toxic with its attributes; those that were not written are 0 or empty, as in Toxiproxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "attributes", rename_all = "snake_case")]
pub enum ToxicKind {
    /// Nothing at all.
    Noop(Noop),
    /// Everything comes later.
    Latency(Latency),
    /// A bound on bytes per second.
    Bandwidth(Bandwidth),
    /// The end comes later.
    SlowClose(SlowClose),
    /// Nothing passes, and the connection closes after a while.
    Timeout(Timeout),
    /// The connection is reset.
    ResetPeer(ResetPeer),
    /// The stream comes in small pieces.
    Slicer(Slicer),
    /// The connection closes after so many bytes.
    LimitData(LimitData),
    /// HTTP: the answer has another status.
    StatusCode(StatusCode),
    /// HTTP: the answer or the request has other header fields.
    Header(Header),
    /// HTTP: the answer has another body.
    ModifyBody(ModifyBody),
}

/// `noop` has no attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noop {}

/// Attributes of `latency`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// Milliseconds.
    pub latency: u64,
    /// Milliseconds more or less.
    pub jitter: u64,
}

/// Attributes of `bandwidth`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bandwidth {
    /// Units of 1000 bytes per second; 0 lets nothing pass.
    pub rate: u64,
}

/// Attributes of `slow_close`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SlowClose {
    /// Milliseconds.
    pub delay: u64,
}

/// Attributes of `timeout`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timeout {
    /// Milliseconds without data until the connection closes; 0 never.
    pub timeout: u64,
}

/// Attributes of `reset_peer`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResetPeer {
    /// Milliseconds after the first data.
    pub timeout: u64,
}

/// Attributes of `slicer`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Slicer {
    /// Bytes.
    pub average_size: u64,
    /// Bytes more or less.
    pub size_variation: u64,
    /// Microseconds from one piece to the next.
    pub delay: u64,
}

/// Attributes of `limit_data`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitData {
    /// Bytes that pass.
    pub bytes: u64,
}

/// Attributes of `status_code`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusCode {
    /// The status of the answer.
    pub status_code: u16,
    /// 1 replaces the body, too.
    pub modify_response_body: u8,
    /// By this; when it is empty by the words of the status.
    pub response_body: String,
    /// Taken, but the body is sent as it is.
    pub content_encoding: String,
    /// The type of the body.
    pub content_type: String,
}

/// Attributes of `header`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Header {
    /// `response`, or `request`.
    pub mode: String,
    /// Fields that replace those of the same name.
    pub headers: BTreeMap<String, String>,
}

/// Attributes of `modify_body`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModifyBody {
    /// The body of the answer.
    pub body: String,
    /// Taken, but the body is sent as it is.
    pub content_encoding: String,
    /// The type of the body.
    pub content_type: String,
}

/// An attribute that cannot be what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongAttribute {
    /// As it is written.
    pub name: String,
    /// What is wrong.
    pub detail: String,
}

impl ToxicKind {
    /// Every type.
    pub(crate) const TYPES: [&str; 11] = [
        "noop",
        "latency",
        "bandwidth",
        "slow_close",
        "timeout",
        "reset_peer",
        "slicer",
        "limit_data",
        "status_code",
        "header",
        "modify_body",
    ];

    /// A type with no attribute written; `None` when there is no such type.
    pub fn new(name: &str) -> Option<Self> {
        serde_json::from_value(json!({ "type": name, "attributes": {} })).ok()
    }

    /// The word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Noop(_) => "noop",
            Self::Latency(_) => "latency",
            Self::Bandwidth(_) => "bandwidth",
            Self::SlowClose(_) => "slow_close",
            Self::Timeout(_) => "timeout",
            Self::ResetPeer(_) => "reset_peer",
            Self::Slicer(_) => "slicer",
            Self::LimitData(_) => "limit_data",
            Self::StatusCode(_) => "status_code",
            Self::Header(_) => "header",
            Self::ModifyBody(_) => "modify_body",
        }
    }

    /// All attributes.
    pub fn attributes(&self) -> Map<String, Value> {
        let whole = serde_json::to_value(self).unwrap_or_default();
        whole.get("attributes").and_then(Value::as_object).cloned().unwrap_or_default()
    }

    /// With some attributes changed. Names count whatever their case, as in Go; null changes nothing, and neither does what
    /// the type does not have.
    ///
    /// # Errors
    /// The first attribute whose value it cannot have.
    pub fn with<'a>(&self, changes: impl IntoIterator<Item = (&'a String, &'a Value)>) -> Result<Self, WrongAttribute> {
        let mut attributes = self.attributes();
        let mut kind = self.clone();
        for (name, value) in changes {
            let known = attributes.keys().find(|known| known.eq_ignore_ascii_case(name)).cloned();
            let Some(known) = known.filter(|_| !value.is_null()) else { continue };
            attributes.insert(known, value.clone());
            let whole = json!({ "type": self.name(), "attributes": attributes });
            kind = serde_json::from_value(whole)
                .map_err(|error| WrongAttribute { name: name.clone(), detail: humanize(&error.to_string()) })?;
        }
        Ok(kind)
    }

    /// Whether it needs to see HTTP.
    pub fn looks_into_http(&self) -> bool {
        matches!(self, Self::StatusCode(_) | Self::Header(_) | Self::ModifyBody(_))
    }

    /// Whether its attributes let it change nothing.
    pub(crate) fn does_nothing(&self) -> bool {
        match self {
            Self::Noop(_) => true,
            Self::Latency(Latency { latency, jitter }) => (*latency, *jitter) == (0, 0),
            Self::SlowClose(SlowClose { delay }) => *delay == 0,
            Self::Slicer(Slicer { average_size, .. }) => *average_size == 0,
            Self::Header(Header { headers, .. }) => headers.is_empty(),
            _ => false,
        }
    }

    /// The fault that does the same to the bytes of this direction.
    pub(super) fn fault(&self, direction: Phase) -> FaultSpec {
        let on = || Some(word(direction).to_owned());
        match self {
            Self::Noop(_) => nothing(),
            _ if self.does_nothing() => nothing(),
            Self::Latency(latency) => FaultSpec { delay: Some(latency.delay(on())), ..FaultSpec::default() },
            Self::Bandwidth(Bandwidth { rate: 0 }) => {
                let stall = StallSpec { on: on(), ..StallSpec::default() };
                FaultSpec { stall: Some(Written::Full(stall)), ..FaultSpec::default() }
            }
            Self::Bandwidth(Bandwidth { rate }) => {
                // A rate that no number of bytes can hold bounds nothing.
                let rate = ByteRate::from_bytes_per_second(rate.saturating_mul(1000)).map(Scalar::from);
                let throttle = ThrottleSpec { rate, direction: on() };
                FaultSpec { throttle: Some(Written::Full(throttle)), ..FaultSpec::default() }
            }
            Self::SlowClose(SlowClose { delay }) => {
                let slow = SlowCloseSpec { delay: Some(millis(*delay)), direction: on() };
                FaultSpec { slow_close: Some(Written::Full(slow)), ..FaultSpec::default() }
            }
            Self::Timeout(Timeout { timeout }) => {
                let idle = (*timeout > 0).then(|| millis(*timeout));
                let hole = BlackholeSpec { direction: on(), idle, ..BlackholeSpec::default() };
                FaultSpec { blackhole: Some(Written::Full(hole)), ..FaultSpec::default() }
            }
            Self::ResetPeer(ResetPeer { timeout }) => {
                let reset = ResetSpec { on: on(), after_data: Some(millis(*timeout)), ..ResetSpec::default() };
                FaultSpec { reset: Some(Written::Full(reset)), ..FaultSpec::default() }
            }
            Self::Slicer(slicer) => {
                FaultSpec { slice: Some(Written::Full(slicer.slice(on()))), ..FaultSpec::default() }
            }
            Self::LimitData(LimitData { bytes: n }) => {
                let truncate =
                    TruncateSpec { after_bytes: Some(Scalar::from(ByteSize(*n))), on: on(), ..TruncateSpec::default() };
                FaultSpec { truncate: Some(Written::Full(truncate)), ..FaultSpec::default() }
            }
            Self::StatusCode(status) => FaultSpec { modify: Some(status.modify()), ..FaultSpec::default() },
            Self::Header(header) => FaultSpec { modify: Some(header.modify()), ..FaultSpec::default() },
            Self::ModifyBody(body) => {
                let modify = replaced(&body.body, &body.content_type);
                FaultSpec { modify: Some(modify), ..FaultSpec::default() }
            }
        }
    }
}

impl Latency {
    /// Draws below zero pass at once.
    fn delay(&self, on: Option<String>) -> Written<DelaySpec> {
        let (latency, jitter) = (self.latency, self.jitter);
        let longest = latency.saturating_add(jitter);
        let spec = if jitter == 0 {
            DelaySpec { fixed: Some(millis(latency)), ..DelaySpec::default() }
        } else if jitter <= latency {
            let uniform = UniformSpec { min: Some(millis(latency - jitter)), max: Some(millis(longest)) };
            DelaySpec { uniform: Some(uniform), ..DelaySpec::default() }
        } else {
            #[expect(clippy::cast_precision_loss, reason = "a share of draws")]
            let below_zero = (jitter - latency) as f64 / (2 * jitter) as f64 * 100.0;
            let points = [("p0".to_owned(), 0), (format!("p{below_zero:.6}"), 0), ("p100".to_owned(), longest)];
            let quantiles = points.into_iter().map(|(name, ms)| (name, millis(ms))).collect();
            DelaySpec { quantiles: Some(quantiles), ..DelaySpec::default() }
        };
        Written::Full(DelaySpec { on, ..spec })
    }
}

impl Slicer {
    fn slice(&self, direction: Option<String>) -> SliceSpec {
        // A piece has a byte at least.
        let variation = self.size_variation.min(self.average_size.saturating_sub(1));
        SliceSpec {
            size: Some(Scalar::from(ByteSize(self.average_size))),
            variation: (variation > 0).then(|| Scalar::from(ByteSize(variation))),
            every: (self.delay > 0).then(|| Scalar::from(Duration::from_micros(self.delay))),
            direction,
        }
    }
}

impl StatusCode {
    fn modify(&self) -> ModifySpec {
        let status = Some(Scalar::from(u64::from(self.status_code)));
        if self.modify_response_body == 0 {
            return ModifySpec { status, ..ModifySpec::default() };
        }
        let words = http::StatusCode::from_u16(self.status_code).ok().and_then(|status| status.canonical_reason());
        let body = if self.response_body.is_empty() { words.unwrap_or_default() } else { &self.response_body };
        ModifySpec { status, ..replaced(body, &self.content_type) }
    }
}

impl Header {
    fn modify(&self) -> ModifySpec {
        let set_headers =
            self.headers.iter().map(|(name, value)| (name.clone(), Scalar::Text(value.clone()))).collect();
        let on = Some(if self.mode == "request" { "request" } else { "response" }.to_owned());
        ModifySpec { on, set_headers, ..ModifySpec::default() }
    }
}

/// Another body of the answer.
fn replaced(body: &str, content_type: &str) -> ModifySpec {
    let content_type = Some(content_type).filter(|text| !text.is_empty());
    let set_headers = content_type.map(|text| ("content-type".to_owned(), Scalar::from(text))).into_iter().collect();
    ModifySpec { body: Some(body.to_owned()), set_headers, ..ModifySpec::default() }
}

/// What Toxiproxy does not mind: a toxic that changes nothing.
fn nothing() -> FaultSpec {
    FaultSpec { delay: Some(Written::Short(Scalar::from("0s"))), ..FaultSpec::default() }
}

/// The word of a rule.
fn word(direction: Phase) -> &'static str {
    match direction {
        Phase::Request => "request",
        Phase::Response => "response",
    }
}

fn millis(ms: u64) -> Scalar {
    Scalar::from(Duration::from_millis(ms))
}
