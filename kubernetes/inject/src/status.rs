//! The annotation that tells an injected pod.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ANNOTATION_STATUS, pod};

/// What was done to a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The version of Squall that did it.
    pub(crate) version: String,
    pub(crate) mode: String,
    /// Of what was added. Another one under the same options means another version or other settings.
    pub(crate) hash: String,
    /// The containers that got variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) env: Vec<String>,
}

impl Status {
    /// That of a pod; `None` when it has none, or one that nobody can read.
    pub(crate) fn of(pod: &Value) -> Option<Self> {
        serde_json::from_str(pod::annotation(pod, ANNOTATION_STATUS)?).ok()
    }

    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A hash of values that does not depend on the order in which objects have their fields.
///
/// FNV-1a: it has to tell versions apart, not to withstand anybody.
pub(crate) fn hash(values: &[Value]) -> String {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    values.iter().for_each(|value| hash.value(value));
    format!("{:016x}", hash.0)
}

struct Fnv(u64);

impl Fnv {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().chain(&[0]) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_by_key(|(name, _)| *name);
                self.bytes(b"{");
                for (name, value) in fields {
                    self.bytes(name.as_bytes());
                    self.value(value);
                }
                self.bytes(b"}");
            }
            Value::Array(items) => {
                self.bytes(b"[");
                items.iter().for_each(|item| self.value(item));
                self.bytes(b"]");
            }
            other => self.bytes(other.to_string().as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::hash;
    use serde_json::json;

    #[test]
    fn a_hash_tells_values_apart() {
        let of = |value| hash(&[value]);
        assert_eq!(of(json!({ "a": 1, "b": [2] })), of(json!({ "b": [2], "a": 1 })));
        for other in [json!({ "a": 1 }), json!({ "a": 1, "b": 2 }), json!({ "a": "1", "b": [2] }), json!([])] {
            assert_ne!(of(json!({ "a": 1, "b": [2] })), of(other));
        }
        assert_ne!(hash(&[json!("a"), json!("b")]), hash(&[json!("ab")]));
    }
}
