//! Bodies as Go's `encoding/json` reads them into a struct: the first value counts and nothing behind it, names count whatever
//! their case, fields that are not known and `null` change nothing.

use serde_json::{Map, Value};

use super::refusal::Refusal;

/// An object whose fields may be asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Body(Map<String, Value>);

/// The first value of a body.
pub(super) fn value(bytes: &[u8]) -> Result<Value, Refusal> {
    match serde_json::Deserializer::from_slice(bytes).into_iter::<Value>().next() {
        None => Err(Refusal::bad_body("EOF")),
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) if error.is_eof() => Err(Refusal::bad_body("unexpected EOF")),
        Some(Err(error)) => Err(Refusal::bad_body(error)),
    }
}

impl Body {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        Self::of(value(bytes)?)
    }

    pub(super) fn of(value: Value) -> Result<Self, Refusal> {
        match value {
            Value::Object(fields) => Ok(Self(fields)),
            Value::Null => Ok(Self::default()),
            other => Err(wrong("the body", "an object", &other)),
        }
    }

    /// The last field of this name, unless it is null.
    fn field(&self, name: &str) -> Option<&Value> {
        let exact = self.0.get(name);
        let any = || self.0.iter().rev().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        exact.or_else(any).filter(|value| !value.is_null())
    }

    fn typed<'a, T>(
        &'a self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let Some(value) = self.field(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| wrong(name, expected, value))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Refusal> {
        self.typed(name, "a string", |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn truth(&self, name: &str) -> Result<Option<bool>, Refusal> {
        self.typed(name, "a boolean", Value::as_bool)
    }

    #[expect(clippy::cast_possible_truncation, reason = "toxicity has 32 bits")]
    pub(super) fn number(&self, name: &str) -> Result<Option<f32>, Refusal> {
        self.typed(name, "a number", |value| value.as_f64().map(|number| number as f32))
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<&Map<String, Value>>, Refusal> {
        self.typed(name, "an object", Value::as_object)
    }

    pub(super) fn list(&self, name: &str) -> Result<Option<&Vec<Value>>, Refusal> {
        self.typed(name, "a list", Value::as_array)
    }
}

pub(super) fn wrong(name: &str, expected: &str, found: &Value) -> Refusal {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Refusal::bad_body(format!("{name} is {found}, not {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_whatever_their_case_and_null_is_nothing() {
        let body = Body::read(br#"{"NAME": "a", "enabled": null, "toxicity": 0.5, "unknown": []} trailing"#).unwrap();
        assert_eq!(body.text("name").unwrap().unwrap(), "a");
        assert_eq!(body.truth("enabled").unwrap(), None);
        assert_eq!(body.number("toxicity").unwrap(), Some(0.5));
        assert_eq!(body.text("toxicity").unwrap_err().error, "bad request body: toxicity is a number, not a string");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for (bytes, error) in [
            (&b""[..], "EOF"),
            (b"  ", "EOF"),
            (b"{\"a\"", "unexpected EOF"),
            (b"[]", "the body is a list, not an object"),
            (b"nonsense", "expected ident at line 1 column 2"),
        ] {
            assert_eq!(Body::read(bytes).unwrap_err(), Refusal::new(400, format!("bad request body: {error}")));
        }
        assert_eq!(Body::read(b"null").unwrap(), Body::default());
    }
}
