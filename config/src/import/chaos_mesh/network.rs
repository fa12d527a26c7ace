//! NetworkChaos: delay, bandwidth and partition. What happens to single packets is below a proxy.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;

use crate::problem::Problem;
use crate::spec::{DelaySpec, FaultSpec, OneOrMany, Scalar, ThrottleSpec, UniformSpec, Written};
use crate::units::{ByteRate, parse_duration};

use super::super::draft::{Draft, Missing, Share};
use super::super::quantities::{amount, duration};
use super::super::read::{Elsewhere, read};
use super::super::sheet::Sheet;
use super::{ABSENT, SELECTION, ttl};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NetworkChaos {
    spec: Spec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    action: Option<String>,
    direction: Option<String>,
    delay: Option<Delay>,
    bandwidth: Option<Bandwidth>,
    loss: Option<Value>,
    duplicate: Option<Value>,
    corrupt: Option<Value>,
    reorder: Option<Value>,
    rate: Option<Value>,
    target: Option<Value>,
    #[serde(rename = "externalTargets")]
    external_targets: Vec<String>,
    duration: Option<Scalar>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Delay {
    latency: Option<Scalar>,
    jitter: Option<Scalar>,
    correlation: Option<Scalar>,
    reorder: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Bandwidth {
    rate: Option<String>,
}

const BUCKET: &str = "Squall paces bytes evenly and has no bucket";

const ELSEWHERE: [Elsewhere; 10] = [
    SELECTION[0],
    SELECTION[1],
    SELECTION[2],
    SELECTION[3],
    ("spec.device", "Squall hits what passes through it, whatever the interface"),
    ("spec.targetDevice", "Squall hits what passes through it, whatever the interface"),
    ("spec.bandwidth.limit", BUCKET),
    ("spec.bandwidth.buffer", BUCKET),
    ("spec.bandwidth.peakrate", BUCKET),
    ("spec.bandwidth.minburst", BUCKET),
];

/// One way of bytes through the sidecar: the side of the application, and the half of the exchange.
type Way = (&'static str, &'static str);

const TO: [Way; 2] = [("outbound", "request"), ("inbound", "response")];
const FROM: [Way; 2] = [("outbound", "response"), ("inbound", "request")];

pub(in super::super) fn translate(value: &Value, sheet: &mut Sheet<'_>) -> Result<(), Problem> {
    let NetworkChaos { spec } = read(value, &ELSEWHERE, sheet)?;
    let ways = match spec.direction.as_deref() {
        None | Some("to" | "") => TO.to_vec(),
        Some("from") => FROM.to_vec(),
        Some("both") => [TO, FROM].concat(),
        Some(other) => {
            sheet.lost("spec.direction", format!("{other:?} is not to, from or both; no rule was made"), "");
            return Ok(());
        }
    };
    let drafts = match spec.action.as_deref() {
        Some("bandwidth") => throttles(&spec, &ways, sheet),
        Some("partition") => partitions(sheet),
        Some("delay" | "loss" | "duplicate" | "corrupt" | "reorder" | "rate" | "netem") => delays(&spec, &ways, sheet),
        _ => {
            let detail = "it is no action that is known here; no rule was made";
            sheet.lost("spec.action", detail, "known are delay, bandwidth, partition and netem");
            Vec::new()
        }
    };
    packets(&spec, sheet);
    if drafts.is_empty() {
        return Ok(());
    }
    let ttl = ttl(spec.duration.as_ref(), sheet);
    for mut draft in drafts {
        draft.ttl.clone_from(&ttl);
        draft.share = Share::Absent { path: "spec".to_owned(), meaning: ABSENT };
        targets(&spec, &mut draft, sheet);
        sheet.add(draft);
    }
    Ok(())
}

/// What happens to packets, below the streams that a proxy sees.
fn packets(spec: &Spec, sheet: &mut Sheet<'_>) {
    const STALL: &str = "to a stream it is a stall of a retransmission: write a delay with a low percentage";
    let reorder = spec.delay.as_ref().and_then(|delay| delay.reorder.as_ref());
    for (field, is_written, hint) in [
        ("loss", spec.loss.is_some(), STALL),
        ("duplicate", spec.duplicate.is_some(), "TCP drops the copy: an application never notices"),
        ("corrupt", spec.corrupt.is_some(), "TCP drops the packet for its checksum; to a stream it is a loss"),
        ("reorder", spec.reorder.is_some(), STALL),
        ("delay.reorder", reorder.is_some(), STALL),
        ("rate", spec.rate.is_some(), "write a rule with throttle"),
    ] {
        if is_written {
            sheet.lost(format!("spec.{field}"), "a proxy sees streams and no packets", hint);
        }
    }
}

fn draft((side, _): Way, path: &str, fault: FaultSpec) -> Draft {
    let mut draft = Draft { path: path.to_owned(), fault, ..Draft::default() };
    draft.matches.direction = Some(side.to_owned());
    draft
}

/// Without a distribution of its own, netem draws evenly between latency − jitter and latency + jitter.
fn delays(spec: &Spec, ways: &[Way], sheet: &mut Sheet<'_>) -> Vec<Draft> {
    let Some(delay) = &spec.delay else { return Vec::new() };
    let Some(latency) = &delay.latency else {
        sheet.lost("spec.delay", "it has no latency; no rule was made", "write how long");
        return Vec::new();
    };
    let Some(latency) = duration("spec.delay.latency", latency, sheet) else { return Vec::new() };
    if delay.correlation.as_ref().is_some_and(|value| value.to_string().parse::<f64>() != Ok(0.0)) {
        sheet.differs("spec.delay.correlation", "every latency is drawn by itself", "");
    }
    let jitter = match delay.jitter.as_ref().map(|jitter| parse_duration(&jitter.to_string())) {
        None => std::time::Duration::ZERO,
        Some(Ok(jitter)) => jitter,
        Some(Err(error)) => {
            sheet.lost("spec.delay.jitter", format!("{}; no rule was made", error.detail), error.hint);
            return Vec::new();
        }
    };
    if jitter > latency {
        let detail = "it is above the latency; draws below zero, which pass at once there, are not made here";
        sheet.differs("spec.delay.jitter", detail, "");
    }
    let spec = if jitter.is_zero() {
        DelaySpec { fixed: Some(Scalar::from(latency)), ..DelaySpec::default() }
    } else {
        let (min, max) = (latency.saturating_sub(jitter), latency.saturating_add(jitter));
        let uniform = UniformSpec { min: Some(Scalar::from(min)), max: Some(Scalar::from(max)) };
        DelaySpec { uniform: Some(uniform), ..DelaySpec::default() }
    };
    let fault = |(_, half): Way| {
        let on = Some(half.to_owned());
        FaultSpec { delay: Some(Written::Full(DelaySpec { on, ..spec.clone() })), ..FaultSpec::default() }
    };
    sheet.note("spec.delay", "every packet is delayed there; here an exchange, or on TCP what is read at once", "");
    ways.iter().map(|way| draft(*way, "spec.delay", fault(*way))).collect()
}

/// `1mbps` is 1024 · 1024 bytes per second there, as tc reads it.
fn throttles(spec: &Spec, ways: &[Way], sheet: &mut Sheet<'_>) -> Vec<Draft> {
    const PATH: &str = "spec.bandwidth.rate";
    let text = spec.bandwidth.as_ref().and_then(|bandwidth| bandwidth.rate.as_deref()).unwrap_or_default();
    let rate = amount(text).and_then(|(number, unit)| {
        let power = ["bps", "kbps", "mbps", "gbps", "tbps"].iter().position(|known| *known == unit)?;
        (0..power)
            .try_fold(number, |rate, _| u64::checked_mul(rate, 1024))
            .and_then(ByteRate::from_bytes_per_second)
            .map(Scalar::from)
    });
    let Some(rate) = rate else {
        sheet.lost(PATH, format!("{text:?} is no rate such as 1mbps; no rule was made"), "write one");
        return Vec::new();
    };
    let fault = |(_, half): Way| {
        let throttle = ThrottleSpec { rate: Some(rate.clone()), direction: Some(half.to_owned()) };
        FaultSpec { throttle: Some(Written::Full(throttle)), ..FaultSpec::default() }
    };
    sheet.differs(PATH, "all connections of a pod share the rate there; here each has its own", "lower it for many");
    ways.iter().map(|way| draft(*way, PATH, fault(*way))).collect()
}

/// Either direction alone silences a connection, so that both are the same.
fn partitions(sheet: &mut Sheet<'_>) -> Vec<Draft> {
    let detail = "a connection is accepted and then silent here; there its handshake is lost too";
    sheet.differs("spec.action", detail, "look at timeouts of reading, not of connecting");
    let fault = || FaultSpec { blackhole: Some(Written::Short(Scalar::from(true))), ..FaultSpec::default() };
    TO.iter().map(|way| draft(*way, "spec.action", fault())).collect()
}

/// The other end: for calls of the application a cluster, for calls to it an address range.
fn targets(spec: &Spec, draft: &mut Draft, sheet: &Sheet<'_>) {
    if spec.target.is_none() && spec.external_targets.is_empty() {
        return;
    }
    let field = if spec.target.is_some() { "spec.target" } else { "spec.externalTargets" };
    if draft.matches.direction.as_deref() == Some("outbound") {
        let detail = "whom it means is not known here, so that the rule would hit calls to others too";
        let hint = "name their cluster with --cluster NAME, or write match.cluster and enable the rule";
        sheet.place(draft, Missing::new(field, detail, hint));
        return;
    }
    let is_range = |text: &String| text.parse::<IpNet>().is_ok() || text.parse::<IpAddr>().is_ok();
    if spec.target.is_none() && spec.external_targets.iter().all(is_range) {
        draft.matches.source = Some(OneOrMany::Many(spec.external_targets.clone()));
        return;
    }
    let detail = "callers are known by their addresses alone, so that the rule would hit calls of others too";
    draft.wider.push(Missing::new(field, detail, "write their address ranges into match.source, then enable the rule"));
}
