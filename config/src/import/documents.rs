//! A text as its documents, each with its kind and name.

use serde_json::Value;

use crate::load::{options, syntax_problem, within_bounds};
use crate::locate::Locator;
use crate::problem::Problem;

/// More documents than people keep in one file, few enough to hold.
const DOCUMENTS_MAX: usize = 10_000;

/// One document, or one item of a list of them.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) value: Value,
    /// Which document of the text it is in.
    index: usize,
    /// Where it is in that document: empty, or `items[3].`.
    prefix: String,
}

/// The documents of a text, and where their fields stand.
pub(super) struct Documents {
    pub(super) all: Vec<Document>,
    locators: Vec<Locator>,
}

impl Documents {
    /// Line and column of a field of a document; of its kind for the document itself.
    pub(super) fn position(&self, document: &Document, path: &str) -> (Option<u32>, Option<u32>) {
        let path = format!("{}{path}", document.prefix);
        let find = |locator: &Locator| locator.find(path.trim_end_matches('.')).or_else(|| locator.find("kind"));
        let position = self.locators.get(document.index).and_then(find);
        (position.map(|p| p.line), position.map(|p| p.column))
    }
}

/// Reads all documents of a YAML stream or of a JSON text.
pub(super) fn read(text: &str) -> Result<Documents, Problem> {
    within_bounds(text)?;
    let values: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options(DOCUMENTS_MAX))
        .or_else(|error| json(text).map(|value| vec![value]).ok_or_else(|| syntax_problem(&error)))?;
    if values.is_empty() {
        return Err(Problem::new("", "there is no document in it").with_hint("name the file to import, or - for stdin"));
    }
    let locators = Locator::documents(text, DOCUMENTS_MAX);
    let all = values.into_iter().enumerate().flat_map(|(index, value)| items(index, value)).collect();
    Ok(Documents { all, locators })
}

/// JSON that is no YAML, such as one with tabs for blanks.
fn json(text: &str) -> Option<Value> {
    text.trim_start().starts_with(['{', '[']).then(|| serde_json::from_str(text).ok()).flatten()
}

/// The items of a list (`kind: List`, `kind: VirtualServiceList`, …) as documents of their own.
fn items(index: usize, mut value: Value) -> Vec<Document> {
    let is_list = value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    match value.get_mut("items") {
        Some(Value::Array(items)) if is_list => {
            let items = std::mem::take(items).into_iter().enumerate();
            items.map(|(n, value)| Document { value, index, prefix: format!("items[{n}].") }).collect()
        }
        _ => vec![Document { value, index, prefix: String::new() }],
    }
}

impl Document {
    fn text(&self, pointer: &str) -> Option<&str> {
        self.value.pointer(pointer).and_then(Value::as_str)
    }

    /// The kind of a Kubernetes document, or the type of a universal one.
    pub(super) fn kind(&self) -> Option<&str> {
        self.text("/kind").or_else(|| self.text("/type"))
    }

    /// The API group without its version.
    pub(super) fn api_group(&self) -> &str {
        let version = self.text("/apiVersion").unwrap_or_default();
        version.split_once('/').map_or("", |(group, _)| group)
    }

    pub(super) fn name(&self) -> &str {
        self.text("/metadata/name").or_else(|| self.text("/name")).unwrap_or("imported")
    }

    /// As people call it: `VirtualService shop/ratings`.
    pub(super) fn title(&self) -> String {
        let name = match self.text("/metadata/namespace") {
            Some(namespace) => format!("{namespace}/{}", self.name()),
            None => self.name().to_owned(),
        };
        match self.kind() {
            Some(kind) => format!("{kind} {name}"),
            None => format!("document {}", self.index + 1),
        }
    }
}
