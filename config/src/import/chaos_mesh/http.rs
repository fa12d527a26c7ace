//! HTTPChaos: abort, delay, replace and patch of requests or answers.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::problem::Problem;
use crate::spec::{DelaySpec, FaultSpec, MatchSpec, OneOrMany, Scalar, TextMatchSpec, ValueMatchSpec, Written};

use super::super::draft::{Draft, Missing, Share};
use super::super::quantities::duration;
use super::super::read::read;
use super::super::sheet::Sheet;
use super::modify::{self, Patch, Replace};
use super::{ABSENT, Half, SELECTION, ttl};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct HttpChaos {
    spec: Spec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    target: Option<String>,
    port: Option<Scalar>,
    path: Option<String>,
    method: Option<String>,
    code: Option<Scalar>,
    request_headers: BTreeMap<String, Scalar>,
    response_headers: BTreeMap<String, Scalar>,
    abort: Option<bool>,
    delay: Option<Scalar>,
    replace: Option<Replace>,
    patch: Option<Patch>,
    tls: Option<Value>,
    duration: Option<Scalar>,
}

pub(in super::super) fn translate(value: &Value, sheet: &mut Sheet<'_>) -> Result<(), Problem> {
    let HttpChaos { spec } = read(value, &SELECTION, sheet)?;
    let Some(half) = target(&spec, sheet) else { return Ok(()) };
    if spec.tls.is_some() {
        sheet.differs("spec.tls", "Squall takes no certificate from a secret", "give the listener its certificate");
    }
    let fault = fault(&spec, half, sheet);
    if fault == FaultSpec::default() {
        sheet.lost("spec", "nothing of its fault is left; no rule was made", "");
        return Ok(());
    }
    let mut draft = Draft { path: "spec".to_owned(), fault, ..Draft::default() };
    draft.share = Share::Absent { path: "spec".to_owned(), meaning: ABSENT };
    draft.ttl = ttl(spec.duration.as_ref(), sheet);
    draft.matches = matches(&spec);
    conditions(&spec, &mut draft, sheet);
    sheet.add(draft);
    Ok(())
}

/// What is hit.
fn target(spec: &Spec, sheet: &mut Sheet<'_>) -> Option<Half> {
    match spec.target.as_deref() {
        Some("Request") => Some(Half::Request),
        Some("Response") => Some(Half::Response),
        _ => {
            sheet.lost("spec.target", "it is neither Request nor Response; no rule was made", "write one of them");
            None
        }
    }
}

fn matches(spec: &Spec) -> MatchSpec {
    let values = spec.request_headers.iter().map(|(name, value)| (name.clone(), exact(value))).collect();
    MatchSpec {
        method: spec.method.clone().map(|method| OneOrMany::Many(vec![method])),
        path: spec.path.as_deref().and_then(path_condition),
        headers: values,
        ..MatchSpec::default()
    }
}

fn exact(value: &Scalar) -> Written<ValueMatchSpec> {
    Written::Short(value.clone())
}

/// What a match cannot look at.
fn conditions(spec: &Spec, draft: &mut Draft, sheet: &Sheet<'_>) {
    if let Some(port) = &spec.port {
        let detail = format!("a match has no port, so that the rule would hit other ports than {port} too");
        let hint = "name the cluster behind it with --cluster NAME, or write match.listener and enable the rule";
        sheet.place(draft, Missing::new("spec.port", detail, hint));
    }
    for (field, is_written) in [("code", spec.code.is_some()), ("response_headers", !spec.response_headers.is_empty())]
    {
        if is_written {
            let detail = "a rule is decided before the upstream answers, so that it would hit other answers too";
            draft.wider.push(Missing::new(format!("spec.{field}"), detail, "match by what the request has instead"));
        }
    }
}

/// `*` stands for any text, `?` for any character, `/` among them.
fn path_condition(pattern: &str) -> Option<Written<TextMatchSpec>> {
    let is_wild = |c: char| c == '*' || c == '?';
    let stem = pattern.trim_end_matches('*');
    let text = |spec: TextMatchSpec| Some(Written::Full(spec));
    match (stem.contains(is_wild), stem.len() < pattern.len()) {
        (false, true) if stem.is_empty() => None,
        (false, true) => text(TextMatchSpec { prefix: Some(stem.to_owned()), ..TextMatchSpec::default() }),
        (false, false) => Some(Written::Short(Scalar::from(pattern))),
        (true, _) => {
            let regex = regex::escape(pattern).replace(r"\*", ".*").replace(r"\?", ".");
            text(TextMatchSpec { regex: Some(regex), ..TextMatchSpec::default() })
        }
    }
}

/// Abort goes before all others there and ends the exchange.
fn fault(spec: &Spec, half: Half, sheet: &mut Sheet<'_>) -> FaultSpec {
    if spec.abort == Some(true) {
        let later =
            [("delay", spec.delay.is_some()), ("replace", spec.replace.is_some()), ("patch", spec.patch.is_some())];
        for (field, _) in later.iter().filter(|(_, is_written)| *is_written) {
            sheet.note(format!("spec.{field}"), "abort comes first there, so that this never happens", "");
        }
        return abort(half, sheet);
    }
    let delay = spec.delay.as_ref().and_then(|delay| duration("spec.delay", delay, sheet)).map(Scalar::from);
    let delay = delay.map(|delay| match half {
        Half::Request => Written::Short(delay),
        Half::Response => Written::Full(DelaySpec { fixed: Some(delay), on: half.word(), ..DelaySpec::default() }),
    });
    let modify = modify::modify(spec.replace.as_ref(), spec.patch.as_ref(), half, sheet);
    FaultSpec { delay, modify, ..FaultSpec::default() }
}

/// The connection closes without an answer: before the server is called, or once it has answered.
fn abort(half: Half, sheet: &mut Sheet<'_>) -> FaultSpec {
    match half {
        Half::Request => FaultSpec { malformed: Some("empty".to_owned()), ..FaultSpec::default() },
        Half::Response => {
            sheet.note("spec.abort", "the connection is reset (RST), where Chaos Mesh closes it (FIN)", "");
            FaultSpec { response_lost: Some(true), ..FaultSpec::default() }
        }
    }
}
