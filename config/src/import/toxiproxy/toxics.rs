//! Toxics → faults of TCP, and of HTTP.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::spec::Scalar;
use crate::toxiproxy::{Stream, Toxic, ToxicKind};
use crate::units::Percentage;

use super::super::draft::{Draft, Share};
use super::super::sheet::Sheet;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ToxicIn {
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    stream: Option<String>,
    toxicity: Option<Scalar>,
    attributes: BTreeMap<String, Value>,
}

const ABSENT: &str = "which Toxiproxy takes for 1";

impl ToxicIn {
    /// Whether it needs to see HTTP.
    pub(super) fn looks_into_http(&self) -> bool {
        self.kind.as_deref().and_then(ToxicKind::new).is_some_and(|kind| kind.looks_into_http())
    }
}

/// One toxic of the proxy with this name, behind this listener.
pub(super) fn translate(path: &str, (proxy, listener): (&str, &str), toxic: &ToxicIn, sheet: &mut Sheet<'_>) {
    let Some(kind) = kind(path, toxic, sheet) else { return };
    // The default of Toxiproxy.
    let stream = toxic.stream.as_deref().filter(|stream| !stream.is_empty()).unwrap_or(Stream::Downstream.word());
    let Some(known) = Toxic::new(toxic.name.as_deref().unwrap_or_default(), kind, &stream.to_ascii_lowercase()) else {
        sheet.lost(format!("{path}.stream"), format!("{stream:?} is neither upstream nor downstream"), "");
        return;
    };
    if known.kind.does_nothing() {
        sheet.note(path, "it does nothing, so there is no rule", "");
        return;
    }
    let Some(share) = share(path, toxic, sheet) else { return };
    let (name, fault) = (Some(format!("{proxy}-{}", known.name)), known.fault());
    let mut draft = Draft { path: path.to_owned(), name, share, fault, ..Draft::default() };
    draft.matches.listener = Some(listener.to_owned());
    sheet.add(draft);
}

/// The type with its attributes, as far as they are known.
fn kind(path: &str, toxic: &ToxicIn, sheet: &mut Sheet<'_>) -> Option<ToxicKind> {
    let name = toxic.kind.as_deref().unwrap_or_default();
    let Some(kind) = ToxicKind::new(name) else {
        sheet.lost(format!("{path}.type"), format!("{name:?} is no type of toxic that is known here"), "");
        return None;
    };
    let known = kind.attributes();
    for attribute in toxic.attributes.keys().filter(|attribute| !known.contains_key(*attribute)) {
        let detail = format!("{name} has no such attribute; it was left out");
        sheet.differs(format!("{path}.attributes.{attribute}"), detail, "look whether it matters");
    }
    let kind = kind.with(&toxic.attributes);
    let lost = |wrong: crate::toxiproxy::WrongAttribute, sheet: &mut Sheet<'_>| {
        let detail = format!("{}; no rule was made", wrong.detail);
        sheet.lost(format!("{path}.attributes.{}", wrong.name), detail, "write a whole number from 0");
    };
    kind.map_err(|wrong| lost(wrong, sheet)).ok()
}

/// One roll for each connection, on both sides.
fn share(path: &str, toxic: &ToxicIn, sheet: &mut Sheet<'_>) -> Option<Share> {
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
