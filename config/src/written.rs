//! The short forms: a scalar where an object is possible, one text where a list is possible.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::units::{ByteRate, ByteSize, Percentage, format_duration};

/// A text, a number or a truth value as it was written; [`crate::validate()`] gives it its meaning.
///
/// Quantities are read from it, so that `5`, `"5"` and `"5%"` can all be accepted, and so that a wrong one is reported
/// beside all the others instead of ending the parse.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Scalar {
    /// `true` or `false`.
    Bool(bool),
    /// Any number.
    Number(serde_json::Number),
    /// Any text.
    Text(String),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
        }
    }
}

impl From<&str> for Scalar {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Scalar {
    fn from(number: u64) -> Self {
        Self::Number(number.into())
    }
}

impl From<bool> for Scalar {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// As it is written in a file.
impl From<Duration> for Scalar {
    fn from(duration: Duration) -> Self {
        Self::Text(format_duration(duration))
    }
}

impl From<ByteSize> for Scalar {
    fn from(size: ByteSize) -> Self {
        Self::Text(size.to_string())
    }
}

/// In units of 1024 or of 1000, whichever comes out even.
impl From<ByteRate> for Scalar {
    fn from(rate: ByteRate) -> Self {
        let per_second = rate.bytes_per_second();
        let decimal = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)];
        let even = decimal.iter().find(|(_, factor)| per_second.is_multiple_of(*factor));
        Self::Text(match even {
            Some((unit, factor)) if !per_second.is_multiple_of(1024) => format!("{}{unit}/s", per_second / factor),
            _ => rate.to_string(),
        })
    }
}

/// As people write it: a number without sign.
impl From<Percentage> for Scalar {
    fn from(percentage: Percentage) -> Self {
        let text = percentage.to_string();
        let text = text.trim_end_matches('%');
        match (text.parse::<u64>(), text.parse::<f64>().ok().and_then(serde_json::Number::from_f64)) {
            (Ok(whole), _) => Self::from(whole),
            (Err(_), Some(number)) => Self::Number(number),
            (Err(_), None) => Self::from(text),
        }
    }
}

struct ScalarVisitor(&'static str);

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar, E> {
        // Not-a-number and infinities are kept as text: the quantity's own parser then refuses them by name.
        Ok(serde_json::Number::from_f64(value).map_or_else(|| Scalar::Text(value.to_string()), Scalar::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(value.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor("a text or a number"))
    }
}

impl JsonSchema for Scalar {
    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// The full form of something that has a short form too.
pub trait Full {
    /// What may be written, completing "expected …".
    const EXPECTED: &'static str;

    /// The schema of the short form.
    fn short_schema() -> Schema;
}

/// Something written short, as one scalar, or in full, as an object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Written<T> {
    /// One scalar.
    Short(Scalar),
    /// An object.
    Full(T),
}

struct WrittenVisitor<T>(PhantomData<T>);

impl<'de, T: Full + Deserialize<'de>> Visitor<'de> for WrittenVisitor<T> {
    type Value = Written<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        ScalarVisitor(T::EXPECTED).visit_bool(value).map(Written::Short)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        ScalarVisitor(T::EXPECTED).visit_i64(value).map(Written::Short)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        ScalarVisitor(T::EXPECTED).visit_u64(value).map(Written::Short)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        ScalarVisitor(T::EXPECTED).visit_f64(value).map(Written::Short)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        ScalarVisitor(T::EXPECTED).visit_str(value).map(Written::Short)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Written::Full)
    }
}

impl<'de, T: Full + Deserialize<'de>> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WrittenVisitor(PhantomData))
    }
}

impl<T: Full + JsonSchema> JsonSchema for Written<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Written_{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let full = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [T::short_schema(), full] })
    }
}

/// One text, or a list of texts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// A text alone.
    One(String),
    /// A list.
    Many(Vec<String>),
}

impl OneOrMany {
    /// The texts, in order.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }

    /// Whether it was written as a list, so that a problem's path has an index.
    pub fn is_list(&self) -> bool {
        matches!(self, Self::Many(_))
    }
}

struct OneOrManyVisitor;

impl<'de> Visitor<'de> for OneOrManyVisitor {
    type Value = OneOrMany;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<OneOrMany, E> {
        Ok(OneOrMany::One(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<OneOrMany, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(seq)).map(OneOrMany::Many)
    }
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor)
    }
}

impl JsonSchema for OneOrMany {
    fn schema_name() -> Cow<'static, str> {
        "OneOrMany".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
    }
}

/// Reads a list field in which nothing was written (`rules:`) as an empty list.
pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_written_as_numbers() {
        for (text, written) in [("5", "5"), ("0.5%", "0.5"), ("0.0001", "0.0001"), ("100", "100"), ("0", "0")] {
            assert_eq!(serde_json::to_string(&Scalar::from(text.parse::<Percentage>().unwrap())).unwrap(), written);
        }
    }

    #[test]
    fn rates_are_written_in_even_units() {
        for (rate, written) in [
            (1024, "1KiB/s"),
            (64_000, "64kB/s"),
            (1_000_000, "1MB/s"),
            (1250, "1250B/s"),
            (1 << 20, "1MiB/s"),
            (1, "1B/s"),
        ] {
            let text = Scalar::from(ByteRate::from_bytes_per_second(rate).unwrap()).to_string();
            assert_eq!(text, written);
            assert_eq!(text.parse::<ByteRate>().unwrap().bytes_per_second(), rate);
        }
    }
}
