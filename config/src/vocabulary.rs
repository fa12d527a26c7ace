//! Which fields there are, taken from the schema, to tell what an unknown one may have meant.

use serde_json::Value;

use crate::path::{Path, Step, render};
use crate::problem::Problem;
use crate::schema::Document;

/// Fields that are planned and therefore known by name: where, which, and what works until then.
const NOT_YET: [(&str, &str); 1] = [("telemetry", "tls")];

/// The fields of one kind of document.
pub(crate) struct Vocabulary {
    schema: Value,
}

impl Vocabulary {
    pub(crate) fn of<T: Document>() -> Self {
        Self { schema: T::schema() }
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
        self.find(value, |value, nodes| value.is_array() && !has(nodes, "items") && has(nodes, "properties"))
    }

    /// Fields that no type has, in the order of the document; what is in them is not looked at.
    pub(crate) fn unknown_fields(&self, value: &Value) -> Vec<Path> {
        self.find(value, |_, nodes| nodes.is_empty())
    }

    /// The places of values of which this is true, given the schemas that they have to satisfy one of; none of those inside them.
    fn find(&self, value: &Value, is_sought: impl Fn(&Value, &[&Value]) -> bool) -> Vec<Path> {
        let mut found = Vec::new();
        self.find_below(value, &self.resolve(&self.schema), &mut Path::new(), &mut |value, nodes, path| {
            let is_sought = is_sought(value, nodes);
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
        nodes: &[&Value],
        path: &mut Path,
        is_found: &mut impl FnMut(&Value, &[&Value], &Path) -> bool,
    ) {
        if is_found(value, nodes, path) {
            return;
        }
        let mut visit = |step: Step, child: &Value| {
            let nodes: Vec<&Value> = nodes.iter().flat_map(|node| self.child(node, &step)).collect();
            path.push(step);
            self.find_below(child, &nodes, path, is_found);
            path.pop();
        };
        match value {
            Value::Array(items) if has(nodes, "items") => {
                items.iter().enumerate().for_each(|(index, item)| visit(Step::Index(index), item));
            }
            Value::Object(fields) if has(nodes, "properties") || has(nodes, "additionalProperties") => {
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
        let mut nodes = self.resolve(&self.schema);
        for step in path {
            nodes = nodes.iter().flat_map(|node| self.child(node, step)).collect();
        }
        nodes.iter().flat_map(|node| properties(node).map(|(name, _)| name.clone())).collect()
    }

    fn child<'a>(&'a self, node: &'a Value, step: &Step) -> Vec<&'a Value> {
        let child = match step {
            Step::Key(key) => {
                node.get("properties").and_then(|p| p.get(key)).or_else(|| node.get("additionalProperties"))
            }
            Step::Index(_) => node.get("items"),
        };
        child.filter(|child| **child != Value::Bool(false)).map(|child| self.resolve(child)).unwrap_or_default()
    }

    /// The node itself, what it refers to, and its alternatives.
    fn resolve<'a>(&'a self, node: &'a Value) -> Vec<&'a Value> {
        let mut nodes = vec![node];
        if let Some(pointer) = node.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#')) {
            nodes.extend(self.schema.pointer(pointer).map(|target| self.resolve(target)).unwrap_or_default());
        }
        for alternatives in ["anyOf", "oneOf", "allOf"].iter().filter_map(|key| node.get(key)?.as_array()) {
            nodes.extend(alternatives.iter().flat_map(|alternative| self.resolve(alternative)));
        }
        nodes
    }

    /// All fields with their places, as in (`rules[].match`, `path`). No type of a document contains itself, so this
    /// ends.
    fn everywhere(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut open = vec![(Path::new(), &self.schema)];
        while let Some((place, node)) = open.pop() {
            for node in self.resolve(node) {
                for (name, child) in properties(node) {
                    found.push((render(&place).replace("[0]", "[]"), name.clone()));
                    let mut place = place.clone();
                    place.push(Step::Key(name.clone()));
                    open.push((place, child));
                }
                if let Some(items) = node.get("items") {
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

fn properties(node: &Value) -> impl Iterator<Item = (&String, &Value)> {
    node.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn has(nodes: &[&Value], keyword: &str) -> bool {
    nodes.iter().any(|node| node.get(keyword).is_some())
}

/// The candidate that `text` may be a slip of the finger for.
pub(crate) fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may be wrong; short words are too alike for more than one.
    let tolerance = (text.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&text.to_lowercase(), candidate), candidate))
        .filter(|(distance, candidate)| *distance <= tolerance && *distance < candidate.len())
        .min()
        .map(|(_, candidate)| candidate)
}
