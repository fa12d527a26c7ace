//! The match of a route → alternatives, each the match of a rule.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::pattern::Pattern;
use crate::spec::{MatchSpec, OneOrMany, Scalar, TextMatchSpec, ValueMatchSpec, Written};

use super::super::draft::{Draft, Missing};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct HttpMatch {
    uri: Option<StringMatch>,
    ignore_uri_case: bool,
    scheme: Option<StringMatch>,
    method: Option<StringMatch>,
    authority: Option<StringMatch>,
    headers: Conditions,
    without_headers: Conditions,
    query_params: Conditions,
    port: Option<Scalar>,
    source_labels: BTreeMap<String, Scalar>,
    source_namespace: Option<String>,
    gateways: Option<Value>,
}

/// At most one of these; none means that there is such a field.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct StringMatch {
    exact: Option<String>,
    prefix: Option<String>,
    regex: Option<String>,
}

type Conditions = BTreeMap<String, Option<StringMatch>>;

/// One of the matches of a route, which are joined by "or".
#[derive(Clone, Debug)]
pub(super) struct Alternative {
    pub(super) path: String,
    pub(super) draft: Draft,
}

const WRITE_IT: &str = "write it into the match by hand, then enable the rule";

/// One alternative for each match; without any, one that holds for everything.
pub(super) fn alternatives(path: &str, matches: &[HttpMatch]) -> Vec<Alternative> {
    if matches.is_empty() {
        return vec![Alternative { path: path.to_owned(), draft: Draft::default() }];
    }
    let one = |(index, spec): (usize, &HttpMatch)| {
        let path = format!("{path}.match[{index}]");
        Alternative { draft: draft(&path, spec), path }
    };
    matches.iter().enumerate().map(one).collect()
}

fn draft(path: &str, spec: &HttpMatch) -> Draft {
    let mut wider = Vec::new();
    let at = |field: &str| format!("{path}.{field}");
    let mut lack = |field: &str, detail: &str, hint: &str| wider.push(Missing::new(at(field), detail, hint));
    if spec.scheme.is_some() {
        lack("scheme", "a match has no scheme", "match by listener instead, then enable the rule");
    }
    if spec.port.is_some() {
        lack("port", "a match has no port", "match by listener or cluster instead, then enable the rule");
    }
    if !spec.source_labels.is_empty() || spec.source_namespace.is_some() {
        let field = if spec.source_labels.is_empty() { "sourceNamespace" } else { "sourceLabels" };
        lack(field, "Squall does not know who calls", "put the rule beside those callers only, then enable it");
    }
    if spec.gateways.is_some() {
        lack("gateways", "Squall does not know of gateways", "put the rule where their requests pass, then enable it");
    }
    let method = match &spec.method {
        Some(StringMatch { exact: Some(method), .. }) => Some(OneOrMany::Many(vec![method.clone()])),
        Some(_) => {
            lack("method", "methods are matched as a whole", "list the methods that it means, then enable the rule");
            None
        }
        None => None,
    };
    let mut text = |field: &str, condition: Option<&StringMatch>, ignore_case: bool| {
        let condition = condition.map(|condition| text_condition(condition, ignore_case))?;
        if condition.is_none() {
            wider.push(Missing::new(at(field), "its pattern is not one that is understood here", WRITE_IT));
        }
        condition
    };
    let uri = text("uri", spec.uri.as_ref(), spec.ignore_uri_case);
    let authority = text("authority", spec.authority.as_ref(), false);
    let headers = values(&at("headers"), &spec.headers, &mut wider);
    let headers = headers.into_iter().chain(absent(&at("withoutHeaders"), &spec.without_headers, &mut wider)).collect();
    let query = values(&at("queryParams"), &spec.query_params, &mut wider);
    let matches = MatchSpec { method, path: uri, authority, headers, query, ..MatchSpec::default() };
    Draft { matches, wider, ..Draft::default() }
}

fn text_condition(condition: &StringMatch, ignore_case: bool) -> Option<Written<TextMatchSpec>> {
    let spec = match condition {
        StringMatch { exact: Some(text), .. } if ignore_case => regex(format!("(?i){}", escape(text))),
        StringMatch { exact: Some(text), .. } => return Some(Written::Short(Scalar::Text(text.clone()))),
        StringMatch { prefix: Some(text), .. } if ignore_case => regex(format!("(?i){}.*", escape(text))),
        StringMatch { prefix: Some(text), .. } => {
            TextMatchSpec { prefix: Some(text.clone()), ..TextMatchSpec::default() }
        }
        StringMatch { regex: Some(text), .. } => {
            Pattern::regex(text).ok()?;
            regex(text.clone())
        }
        StringMatch { exact: None, prefix: None, regex: None } => return None,
    };
    Some(Written::Full(spec))
}

fn regex(text: String) -> TextMatchSpec {
    TextMatchSpec { regex: Some(text), ..TextMatchSpec::default() }
}

fn value_condition(condition: Option<&StringMatch>) -> Option<Written<ValueMatchSpec>> {
    let empty = ValueMatchSpec::default();
    Some(match condition.cloned().unwrap_or_default() {
        StringMatch { exact: Some(text), .. } => Written::Short(Scalar::Text(text)),
        StringMatch { prefix: Some(text), .. } => Written::Full(ValueMatchSpec { prefix: Some(text), ..empty }),
        StringMatch { regex: Some(text), .. } => {
            Pattern::regex(&text).ok()?;
            Written::Full(ValueMatchSpec { regex: Some(text), ..empty })
        }
        StringMatch { exact: None, prefix: None, regex: None } => {
            Written::Full(ValueMatchSpec { present: Some(true), ..empty })
        }
    })
}

type Values = BTreeMap<String, Written<ValueMatchSpec>>;

fn values(path: &str, conditions: &Conditions, wider: &mut Vec<Missing>) -> Values {
    let mut values = Values::new();
    for (name, condition) in conditions {
        match value_condition(condition.as_ref()) {
            Some(value) if !name.starts_with(':') => {
                values.insert(name.clone(), value);
            }
            Some(_) => wider.push(Missing::new(format!("{path}.{name}"), "it is no header field", WRITE_IT)),
            None => {
                let detail = "its pattern is not one that is understood here";
                wider.push(Missing::new(format!("{path}.{name}"), detail, WRITE_IT));
            }
        }
    }
    values
}

fn absent(path: &str, conditions: &Conditions, wider: &mut Vec<Missing>) -> Values {
    let mut values = Values::new();
    for (name, condition) in conditions {
        if matches!(condition, None | Some(StringMatch { exact: None, prefix: None, regex: None })) {
            let absent = ValueMatchSpec { present: Some(false), ..ValueMatchSpec::default() };
            values.insert(name.clone(), Written::Full(absent));
        } else {
            let hint = "make the match narrower by hand, then enable the rule";
            wider.push(Missing::new(format!("{path}.{name}"), "a match cannot exclude a value", hint));
        }
    }
    values
}

/// The hosts of a service: a plain text, or a regular expression when callers have several names for it.
pub(super) fn authority(hosts: &[String], namespace: Option<&str>) -> Option<Written<TextMatchSpec>> {
    match hosts {
        [] => None,
        any if any.iter().any(|host| host == "*") => None,
        [host] if is_plain(host) => Some(Written::Short(Scalar::Text(host.clone()))),
        several => {
            let several: Vec<String> = several.iter().map(|host| pattern(host, namespace)).collect();
            Some(Written::Full(regex(several.join("|"))))
        }
    }
}

/// A host that has one name only.
fn is_plain(host: &str) -> bool {
    host.contains('.') && !host.contains('*') && service(host).is_none()
}

/// Service and namespace of a name inside the cluster.
fn service(host: &str) -> Option<(&str, &str)> {
    host.strip_suffix(".svc.cluster.local")?.split_once('.')
}

/// A name inside the cluster may be given with or without each of its ends.
fn pattern(host: &str, namespace: Option<&str>) -> String {
    let (name, namespace) = match service(host) {
        Some((name, namespace)) => (name, escape(namespace)),
        None if host.contains(['.', '*']) => return escape(host).replace("\\*", ".*"),
        None => (host, namespace.map_or_else(|| "[^.]+".to_owned(), escape)),
    };
    format!(r"{}(?:\.{namespace}(?:\.svc(?:\.cluster\.local)?)?)?", escape(name))
}

fn escape(text: &str) -> String {
    ::regex::escape(text)
}
