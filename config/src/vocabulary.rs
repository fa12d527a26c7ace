//! Which fields there are, taken from the schema, to tell what an unknown one may have meant.

use std::collections::BTreeMap;
use std::fmt::{self, Formatter};

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::nearest::nearest;
use crate::path::{Path, Step, render};
use crate::problem::Problem;
use crate::schema::{DEFINITIONS, Document};

/// Fields that are planned and therefore known by name: where, which, and what works until then.
const NOT_YET: [(&str, &str); 1] = [("telemetry", "tls")];

/// What other tools call it, and the field here.
const ELSEWHERE: [(&str, &str); 6] = [
    ("latency", "delay"),
    ("timeout", "blackhole"),
    ("error", "abort"),
    ("bandwidth", "throttle"),
    ("percent", "percentage"),
    ("duration", "ttl"),
];

/// The fields of one kind of document.
pub(crate) struct Vocabulary {
    types: BTreeMap<String, Schema>,
    root: Schema,
}

/// What of a JSON Schema says which fields there are; the rest is not kept, since each document that is read asks for it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Schema {
    #[serde(rename = "$ref")]
    reference: Option<String>,
    properties: Option<BTreeMap<String, Schema>>,
    additional_properties: Option<Additional>,
    items: Option<Box<Schema>>,
    any_of: Vec<Schema>,
    one_of: Vec<Schema>,
    all_of: Vec<Schema>,
}

/// What fields may be that have no name.
#[derive(Debug)]
enum Additional {
    Refused,
    Of(Box<Schema>),
}

impl<'de> Deserialize<'de> for Additional {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BooleanOrSchema;
        impl<'de> Visitor<'de> for BooleanOrSchema {
            type Value = Additional;
            fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
                formatter.write_str("a boolean or a schema")
            }
            fn visit_bool<E>(self, is_open: bool) -> Result<Additional, E> {
                Ok(if is_open { Additional::Of(Box::default()) } else { Additional::Refused })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Additional, A::Error> {
                Schema::deserialize(MapAccessDeserializer::new(map)).map(|schema| Additional::Of(Box::new(schema)))
            }
        }
        deserializer.deserialize_any(BooleanOrSchema)
    }
}

impl Schema {
    fn fields(&self) -> impl Iterator<Item = (&String, &Self)> {
        self.properties.iter().flatten()
    }

    /// What the part at `step` has to satisfy, as far as this one says.
    fn part(&self, step: &Step) -> Option<&Self> {
        match step {
            Step::Index(_) => self.items.as_deref(),
            Step::Key(key) => {
                match (self.properties.as_ref().and_then(|fields| fields.get(key)), &self.additional_properties) {
                    (Some(field), _) => Some(field),
                    (None, Some(Additional::Of(schema))) => Some(schema),
                    (None, Some(Additional::Refused) | None) => None,
                }
            }
        }
    }

    fn is_list(&self) -> bool {
        self.items.is_some()
    }

    fn is_object(&self) -> bool {
        self.properties.is_some() || self.additional_properties.is_some()
    }
}

impl Vocabulary {
    pub(crate) fn of<T: Document>() -> Self {
        // Tests read the schemas of all documents.
        let mut types: BTreeMap<String, Schema> = serde_json::from_str(&T::schemas()).unwrap_or_default();
        let root = types.remove(&*T::schema_name()).unwrap_or_default();
        Self { types, root }
    }

    /// The problem of a field that does not exist.
    pub(crate) fn unknown_field(&self, path: &[Step]) -> Problem {
        let (name, parents) = match path.split_last() {
            Some((Step::Key(name), parents)) => (name.as_str(), parents),
            _ => return Problem::new(render(path), "nothing is expected here").with_hint("remove it"),
        };
        let parent = parents.iter().rev().find_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        });
        if NOT_YET.contains(&(parent.unwrap_or_default(), name)) {
            let problem = Problem::new(render(path), format!("{name} is not supported yet"));
            return problem.with_hint(format!("remove it; supported here: {}", self.fields(parents).join(", ")));
        }
        Problem::new(render(path), format!("unknown field {name:?}")).with_hint(self.hint(name, parents))
    }

    /// Lists where only an object makes sense, in the order of the document.
    pub(crate) fn lists_for_objects(&self, value: &Value) -> Vec<Path> {
        self.find(value, |value, schemas| {
            value.is_array()
                && !any(schemas, Schema::is_list)
                && schemas.iter().any(|schema| schema.properties.is_some())
        })
    }

    /// Fields that no type has, in the order of the document; what is in them is not looked at.
    pub(crate) fn unknown_fields(&self, value: &Value) -> Vec<Path> {
        self.find(value, |_, schemas| schemas.is_empty())
    }

    /// The places of values of which this is true, given the schemas that they have to satisfy one of; none of those inside them.
    fn find(&self, value: &Value, is_sought: impl Fn(&Value, &[&Schema]) -> bool) -> Vec<Path> {
        let mut found = Vec::new();
        self.find_below(value, &self.resolve(&self.root), &mut Path::new(), &mut |value, schemas, path| {
            let is_sought = is_sought(value, schemas);
            if is_sought {
                found.push(path.clone());
            }
            is_sought
        });
        found
    }

    /// Documents are at most as deep as their parsers allow (64 and 128 levels), and so is this recursion.
    fn find_below(
        &self,
        value: &Value,
        schemas: &[&Schema],
        path: &mut Path,
        is_found: &mut impl FnMut(&Value, &[&Schema], &Path) -> bool,
    ) {
        if is_found(value, schemas, path) {
            return;
        }
        let mut visit = |step: Step, part: &Value| {
            let schemas = self.parts(schemas, &step);
            path.push(step);
            self.find_below(part, &schemas, path, is_found);
            path.pop();
        };
        match value {
            Value::Array(items) if any(schemas, Schema::is_list) => {
                items.iter().enumerate().for_each(|(index, item)| visit(Step::Index(index), item));
            }
            Value::Object(fields) if any(schemas, Schema::is_object) => {
                fields.iter().for_each(|(name, field)| visit(Step::Key(name.clone()), field));
            }
            // Of a type that has no parts; that is another problem.
            _ => {}
        }
    }

    fn hint(&self, name: &str, parents: &[Step]) -> String {
        let fields = self.fields(parents);
        if let Some(near) = nearest(name, fields.iter().map(String::as_str)) {
            return format!("did you mean {near:?}?");
        }
        if let Some((_, ours)) = ELSEWHERE.iter().find(|(word, ours)| *word == name && fields.iter().any(|f| f == ours))
        {
            return format!("did you mean {ours:?}?");
        }
        let everywhere = self.everywhere();
        if let Some((place, _)) = everywhere.iter().find(|(_, field)| field == name) {
            let place = if place.is_empty() { "the top level" } else { place };
            return format!("{name:?} belongs in {place}");
        }
        match nearest(name, everywhere.iter().map(|(_, field)| field.as_str())) {
            Some(near) => format!("did you mean {near:?}? Known here: {}", fields.join(", ")),
            None => format!("known here: {}", fields.join(", ")),
        }
    }

    /// The fields at `path`.
    fn fields(&self, path: &[Step]) -> Vec<String> {
        let root = self.resolve(&self.root);
        let schemas = path.iter().fold(root, |schemas, step| self.parts(&schemas, step));
        schemas.iter().flat_map(|schema| schema.fields().map(|(name, _)| name.clone())).collect()
    }

    fn parts<'a>(&'a self, schemas: &[&'a Schema], step: &Step) -> Vec<&'a Schema> {
        schemas.iter().filter_map(|schema| schema.part(step)).flat_map(|part| self.resolve(part)).collect()
    }

    /// The schema itself, what it refers to, and its alternatives.
    fn resolve<'a>(&'a self, schema: &'a Schema) -> Vec<&'a Schema> {
        let name = schema.reference.as_deref().and_then(|reference| reference.strip_prefix(DEFINITIONS));
        let target = name.and_then(|name| self.types.get(name));
        let alternatives = schema.any_of.iter().chain(&schema.one_of).chain(&schema.all_of);
        let others = target.into_iter().chain(alternatives).flat_map(|other| self.resolve(other));
        std::iter::once(schema).chain(others).collect()
    }

    /// All fields with their places, as in (`rules[].match`, `path`). No type of a document contains itself, so this
    /// ends.
    fn everywhere(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut open = vec![(Path::new(), &self.root)];
        while let Some((place, schema)) = open.pop() {
            for schema in self.resolve(schema) {
                for (name, field) in schema.fields() {
                    found.push((render(&place).replace("[0]", "[]"), name.clone()));
                    let mut place = place.clone();
                    place.push(Step::Key(name.clone()));
                    open.push((place, field));
                }
                if let Some(items) = &schema.items {
                    let mut place = place.clone();
                    place.push(Step::Index(0));
                    open.push((place, items));
                }
            }
        }
        found.sort_by_key(|(place, _)| place.len());
        found
    }
}

fn any(schemas: &[&Schema], is_so: fn(&Schema) -> bool) -> bool {
    schemas.iter().any(|schema| is_so(schema))
}
