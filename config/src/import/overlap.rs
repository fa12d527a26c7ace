//! Can two matches hold for the same request?

use crate::pattern::Pattern;
use crate::spec::{MatchSpec, TextMatchSpec, ValueMatchSpec, Written};

/// Whether no request can fulfil both; `false` when that cannot be told from what is written.
pub(super) fn exclude_each_other(a: &MatchSpec, b: &MatchSpec) -> bool {
    let paths = a.path.as_ref().zip(b.path.as_ref()).is_some_and(|(a, b)| texts_differ(a, b));
    let methods = a.method.as_ref().zip(b.method.as_ref());
    let methods = methods.is_some_and(|(a, b)| !a.as_slice().iter().any(|method| b.as_slice().contains(method)));
    let values = [(&a.headers, &b.headers), (&a.query, &b.query)];
    let values = values
        .into_iter()
        .any(|(a, b)| a.iter().any(|(name, value)| b.get(name).is_some_and(|other| values_differ(value, other))));
    let authorities = a.authority.as_ref().zip(b.authority.as_ref()).is_some_and(|(a, b)| texts_differ(a, b));
    paths || methods || values || authorities
}

fn texts_differ(a: &Written<TextMatchSpec>, b: &Written<TextMatchSpec>) -> bool {
    match (pattern(a), pattern(b)) {
        (Some(Pattern::Exact(text)), Some(other)) | (Some(other), Some(Pattern::Exact(text))) => !other.is_match(&text),
        (Some(Pattern::Prefix(a)), Some(Pattern::Prefix(b))) => !a.starts_with(&b) && !b.starts_with(&a),
        _ => false,
    }
}

/// What was written, as far as it is well-formed.
fn pattern(condition: &Written<TextMatchSpec>) -> Option<Pattern> {
    match condition {
        Written::Short(text) => Some(Pattern::Exact(text.to_string())),
        Written::Full(TextMatchSpec { exact: Some(text), .. }) => Some(Pattern::Exact(text.clone())),
        Written::Full(TextMatchSpec { prefix: Some(text), .. }) => Some(Pattern::Prefix(text.clone())),
        Written::Full(TextMatchSpec { regex: Some(text), .. }) => Pattern::regex(text).ok(),
        Written::Full(_) => None,
    }
}

fn values_differ(a: &Written<ValueMatchSpec>, b: &Written<ValueMatchSpec>) -> bool {
    let is_absent =
        |value: &Written<ValueMatchSpec>| matches!(value, Written::Full(ValueMatchSpec { present: Some(false), .. }));
    if is_absent(a) != is_absent(b) {
        return true;
    }
    exact(a).zip(exact(b)).is_some_and(|(a, b)| a != b)
}

fn exact(value: &Written<ValueMatchSpec>) -> Option<String> {
    match value {
        Written::Short(text) => Some(text.to_string()),
        Written::Full(ValueMatchSpec { exact, .. }) => exact.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cannot_hold_at_once() {
        for (a, b, expected) in [
            (json!({}), json!({}), false),
            (json!({"path": "/a"}), json!({"path": "/b"}), true),
            (json!({"path": "/a"}), json!({"path": {"prefix": "/"}}), false),
            (json!({"path": {"prefix": "/a"}}), json!({"path": {"prefix": "/b"}}), true),
            (json!({"path": {"prefix": "/a"}}), json!({"path": {"prefix": "/a/b"}}), false),
            (json!({"path": {"regex": "/[ac]"}}), json!({"path": "/b"}), true),
            (json!({"path": {"regex": "/[ab]"}}), json!({"path": "/b"}), false),
            (json!({"path": {"regex": "/a"}}), json!({"path": {"prefix": "/b"}}), false),
            (json!({"method": ["GET"]}), json!({"method": ["PUT"]}), true),
            (json!({"method": ["GET"]}), json!({"path": "/b"}), false),
            (json!({"headers": {"x": "a"}}), json!({"headers": {"x": "b"}}), true),
            (json!({"headers": {"x": "a"}}), json!({"headers": {"y": "b"}}), false),
            (json!({"headers": {"x": {"present": false}}}), json!({"headers": {"x": "b"}}), true),
            (json!({"query": {"x": "a"}}), json!({"query": {"x": {"present": true}}}), false),
        ] {
            let read = |value: &serde_json::Value| serde_json::from_value::<MatchSpec>(value.clone()).unwrap();
            assert_eq!(exclude_each_other(&read(&a), &read(&b)), expected, "{a} {b}");
            assert_eq!(exclude_each_other(&read(&b), &read(&a)), expected, "{a} {b}");
        }
    }
}
