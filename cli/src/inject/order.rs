//! The order in which somebody wrote the fields of a document, which values do not keep.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};
use serde_json::{Map, Value};

/// A document as it was written, in its order.
#[derive(Debug)]
pub(super) enum Written {
    Object(Vec<(String, Written)>),
    List(Vec<Written>),
    Scalar(Value),
}

impl Written {
    /// The document.
    pub(super) fn value(&self) -> Value {
        match self {
            Self::Object(fields) => {
                fields.iter().map(|(name, field)| (name.clone(), field.value())).collect::<Map<_, _>>().into()
            }
            Self::List(items) => items.iter().map(Self::value).collect::<Vec<_>>().into(),
            Self::Scalar(value) => value.clone(),
        }
    }

    /// The field of an object.
    fn field(&self, wanted: &str) -> Option<&Self> {
        let Self::Object(fields) = self else { return None };
        fields.iter().find(|(name, _)| name == wanted).map(|(_, field)| field)
    }

    fn name(&self) -> Option<&str> {
        let Self::Scalar(Value::String(name)) = self.field("name")? else { return None };
        Some(name)
    }

    /// The item of a list: that of the same name, else the one in the same place.
    fn item(&self, index: usize, value: &Value) -> Option<&Self> {
        let Self::List(items) = self else { return None };
        match value.get("name").and_then(Value::as_str) {
            Some(wanted) => items.iter().find(|item| item.name() == Some(wanted)),
            None => items.get(index),
        }
    }
}

/// A value that is written in the order of another document: fields that it had first and as they were, new ones behind
/// them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arranged<'a> {
    pub(super) value: &'a Value,
    pub(super) order: Option<&'a Written>,
}

impl Serialize for Arranged<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Object(fields) => {
                let old = match self.order {
                    Some(Written::Object(old)) => old.as_slice(),
                    _ => &[],
                };
                let kept = old.iter().filter_map(|(name, _)| fields.get_key_value(name));
                let is_old = |name: &str| old.iter().any(|(known, _)| known == name);
                let new = fields.iter().filter(|(name, _)| !is_old(name));
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in kept.chain(by_convention(new)) {
                    map.serialize_entry(name, &Self { value, order: self.order.and_then(|order| order.field(name)) })?;
                }
                map.end()
            }
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for (index, value) in items.iter().enumerate() {
                    let order = self.order.and_then(|order| order.item(index, value));
                    list.serialize_element(&Self { value, order })?;
                }
                list.end()
            }
            scalar => scalar.serialize(serializer),
        }
    }
}

/// New fields: name and image come first, as everybody writes them.
fn by_convention<'a>(
    fields: impl Iterator<Item = (&'a String, &'a Value)>,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let mut fields: Vec<_> = fields.collect();
    fields.sort_by_key(|(name, _)| match name.as_str() {
        "name" => 0,
        "image" => 1,
        _ => 2,
    });
    fields.into_iter()
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Written, A::Error> {
        let (mut fields, mut names) = (Vec::new(), HashSet::new());
        while let Some((name, field)) = map.next_entry::<String, Written>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(format_args!("{name:?} is there twice")));
            }
            fields.push((name, field));
        }
        Ok(Written::Object(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Written, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Written::List(items))
    }

    fn visit_str<E>(self, text: &str) -> Result<Written, E> {
        Ok(Written::Scalar(text.into()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Written, E> {
        Ok(Written::Scalar(value.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Written, E> {
        Ok(Written::Scalar(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Written, E> {
        Ok(Written::Scalar(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Written, E> {
        Ok(Written::Scalar(number.into()))
    }

    fn visit_unit<E>(self) -> Result<Written, E> {
        Ok(Written::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Written, E> {
        Ok(Written::Scalar(Value::Null))
    }
}
