//! Which objects of a list are wanted: `fieldSelector` and `labelSelector`, as far as clients use them.

use std::collections::BTreeMap;

use serde_json::Value;

/// One wish.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wish {
    Is(String),
    IsNot(String),
    IsThere,
    IsNotThere,
}

/// Objects have to fulfil all of these.
#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    fields: Vec<(String, Wish)>,
    labels: Vec<(String, Wish)>,
}

impl Selector {
    /// As the query of a request says.
    pub(super) fn of(query: &BTreeMap<String, String>) -> Self {
        let wishes = |name: &str| query.get(name).map(|text| wishes(text)).unwrap_or_default();
        Self { fields: wishes("fieldSelector"), labels: wishes("labelSelector") }
    }

    /// Whether an object is wanted.
    pub(super) fn takes(&self, object: &Value) -> bool {
        let field = |path: &str| path.split('.').fold(object, |value, step| &value[step]);
        let label = |name: &str| &object["metadata"]["labels"][name];
        self.fields.iter().all(|(path, wish)| wish.is_met(field(path)))
            && self.labels.iter().all(|(name, wish)| wish.is_met(label(name)))
    }
}

impl Wish {
    fn is_met(&self, value: &Value) -> bool {
        let is = |wanted: &str| value.as_str().unwrap_or_default() == wanted;
        match self {
            Self::Is(wanted) => is(wanted),
            Self::IsNot(unwanted) => !is(unwanted),
            Self::IsThere => !value.is_null(),
            Self::IsNotThere => value.is_null(),
        }
    }
}

/// `a=b`, `a==b`, `a!=b`, `a` and `!a`, between commas.
fn wishes(text: &str) -> Vec<(String, Wish)> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let wish = |part: &str| {
        if let Some((name, value)) = part.split_once("!=") {
            (name.to_owned(), Wish::IsNot(value.to_owned()))
        } else if let Some((name, value)) = part.split_once('=') {
            (name.to_owned(), Wish::Is(value.trim_start_matches('=').to_owned()))
        } else if let Some(name) = part.strip_prefix('!') {
            (name.to_owned(), Wish::IsNotThere)
        } else {
            (part.to_owned(), Wish::IsThere)
        }
    };
    parts.map(wish).collect()
}

/// A part of a query without its `%3D` and `+`.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let hex = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        rest = more;
        match (first, more.get(..2).and_then(hex)) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_wishes_have_to_be_fulfilled() {
        let object = json!({ "metadata": { "name": "a", "labels": { "app": "b", "tier/of": "web" } } });
        let takes = |fields: &str, labels: &str| {
            let query = [("fieldSelector", fields), ("labelSelector", labels)];
            Selector::of(&query.map(|(name, text)| (name.to_owned(), decoded(text))).into()).takes(&object)
        };
        assert!(takes("", "") && takes("metadata.name%3Da,metadata.namespace!=c", "app==b,tier/of,!other"));
        assert!(!takes("metadata.name=b", "") && !takes("", "app=c") && !takes("", "app!=b"));
        assert!(!takes("", "other") && !takes("", "!app"));
        assert_eq!((decoded("a+b%2Cc%").as_str(), decoded("%zz").as_str()), ("a b,c%", "%zz"));
    }
}
