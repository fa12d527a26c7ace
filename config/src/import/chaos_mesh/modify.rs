//! `replace` and `patch` of HTTPChaos → `modify`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use crate::spec::{ModifySpec, Scalar};

use super::super::sheet::Sheet;
use super::Half;

/// Other values in the place of those that were sent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Replace {
    path: Option<Scalar>,
    method: Option<Scalar>,
    code: Option<Scalar>,
    /// Base64, as Kubernetes writes bytes.
    body: Option<String>,
    queries: BTreeMap<String, Scalar>,
    headers: BTreeMap<String, Scalar>,
}

/// Values beside those that were sent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Patch {
    body: Option<Value>,
    queries: Vec<Value>,
    headers: Vec<(String, Scalar)>,
}

const BY_HAND: &str = "there is nothing to put in its place; think about an abort with an answer of its own";

/// What is left of both; `None` when nothing is.
pub(super) fn modify(
    replace: Option<&Replace>,
    patch: Option<&Patch>,
    half: Half,
    sheet: &mut Sheet<'_>,
) -> Option<ModifySpec> {
    let mut spec = ModifySpec::default();
    if let Some(replace) = replace {
        replaced(replace, half, &mut spec, sheet);
    }
    if let Some(patch) = patch {
        patched(patch, &mut spec, sheet);
    }
    if spec == ModifySpec::default() {
        return None;
    }
    spec.on = half.word().filter(|_| half == Half::Request);
    Some(spec)
}

fn replaced(replace: &Replace, half: Half, spec: &mut ModifySpec, sheet: &mut Sheet<'_>) {
    for (field, is_written) in [
        ("path", replace.path.is_some()),
        ("method", replace.method.is_some()),
        ("queries", !replace.queries.is_empty()),
    ] {
        if is_written {
            sheet.lost(format!("spec.replace.{field}"), "the first line of a request is not altered", BY_HAND);
        }
    }
    match (&replace.code, half) {
        (Some(code), Half::Response) => spec.status = Some(code.clone()),
        (Some(_), Half::Request) => {
            sheet.lost("spec.replace.code", "a request has no status", "write target: Response");
        }
        (None, _) => {}
    }
    spec.set_headers.extend(replace.headers.clone());
    if let Some(body) = &replace.body {
        spec.body = STANDARD.decode(body).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if spec.body.is_none() {
            let detail = "it is no base64 of a text";
            sheet.lost("spec.replace.body", detail, "a body is a text here; encode it with base64 there");
        }
    }
}

fn patched(patch: &Patch, spec: &mut ModifySpec, sheet: &mut Sheet<'_>) {
    if patch.body.is_some() {
        sheet.lost("spec.patch.body", "a body is replaced as a whole here, and not in parts", BY_HAND);
    }
    if !patch.queries.is_empty() {
        sheet.lost("spec.patch.queries", "the first line of a request is not altered", BY_HAND);
    }
    for (index, (name, value)) in patch.headers.iter().enumerate() {
        let detail = "a field of this name is replaced here, and another one added there";
        sheet.differs(format!("spec.patch.headers[{index}]"), detail, "");
        spec.set_headers.insert(name.clone(), value.clone());
    }
}
