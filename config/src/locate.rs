//! Line and column of a field: a second, cheap pass over the text, made only when there is a problem to show.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Parser, Span};

/// Line and column, both from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Position {
    fn of(span: &Span) -> Self {
        // The parser counts columns from 0.
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { line: number(span.start.line()), column: number(span.start.col()).saturating_add(1) }
    }
}

#[derive(Debug, Default)]
struct Node {
    children: Vec<Child>,
}

#[derive(Debug)]
struct Child {
    /// As it appears in a rendered path: `.name` or `[3]`.
    step: String,
    /// Of the key, or of the item of a list.
    position: Position,
    /// Index into the nodes.
    node: usize,
}

/// Where the fields of a document are.
#[derive(Debug, Default)]
pub(crate) struct Locator {
    nodes: Vec<Node>,
}

/// An open collection.
struct Open {
    node: usize,
    is_list: bool,
    /// The key that waits for its value.
    key: Option<(String, Position)>,
    /// A key that is itself a collection ends here; such documents are refused, only its place counts.
    is_key: bool,
}

impl Locator {
    /// Reads the first document as far as the text is well-formed.
    pub(crate) fn new(text: &str) -> Self {
        Self::documents(text, 1).pop().unwrap_or_default()
    }

    /// Reads at most `n` documents, as far as the text is well-formed. Those in which nothing is written are left out.
    pub(crate) fn documents(text: &str, n: usize) -> Vec<Self> {
        let mut documents = Vec::new();
        let mut builder = Builder::new();
        for event in Parser::new_from_str(text) {
            let Ok((event, span)) = event else {
                documents.push(builder.locator);
                break;
            };
            let position = Position::of(&span);
            if matches!(event, Event::DocumentEnd) {
                let ended = std::mem::replace(&mut builder, Builder::new());
                documents.extend((!ended.is_nothing).then_some(ended.locator));
                if documents.len() >= n {
                    break;
                }
            }
            builder.event(&event, position);
        }
        documents
    }

    /// The position of the field at a rendered path, or of the nearest one above it that was written.
    pub(crate) fn find(&self, path: &str) -> Option<Position> {
        let mut rest = if path.starts_with('[') { path.to_owned() } else { format!(".{path}") };
        let (mut node, mut position) = (0, None);
        while let Some(child) = self.nodes.get(node).and_then(|node| longest(node, &rest)) {
            position = Some(child.position);
            node = child.node;
            rest.drain(..child.step.len());
        }
        position
    }
}

/// The child whose step the path begins with; the longest, since names may contain dots.
fn longest<'a>(node: &'a Node, path: &str) -> Option<&'a Child> {
    let fits = |child: &&Child| {
        path.strip_prefix(child.step.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    node.children.iter().filter(fits).max_by_key(|child| child.step.len())
}

struct Builder {
    locator: Locator,
    open: Vec<Open>,
    anchors: HashMap<usize, usize>,
    /// The document is a scalar that stands for nothing, such as an empty one.
    is_nothing: bool,
}

impl Builder {
    fn new() -> Self {
        Self {
            locator: Locator { nodes: vec![Node::default()] },
            open: Vec::new(),
            anchors: HashMap::new(),
            is_nothing: false,
        }
    }

    fn event(&mut self, event: &Event<'_>, position: Position) {
        match event {
            Event::Scalar(text, _, anchor, _) => {
                self.is_nothing = self.open.is_empty() && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL");
                let is_key = self.open.last().is_some_and(|open| !open.is_list && open.key.is_none());
                if is_key {
                    self.set_key(text.to_string(), position);
                } else {
                    self.add(None, *anchor, position);
                }
            }
            Event::Alias(anchor) => {
                let target = self.anchors.get(anchor).copied();
                if self.open.last().is_some_and(|open| !open.is_list && open.key.is_none()) {
                    self.set_key(String::new(), position);
                } else {
                    self.add(target, 0, position);
                }
            }
            Event::SequenceStart(_, anchor, _) => self.start(true, *anchor, position),
            Event::MappingStart(_, anchor, _) => self.start(false, *anchor, position),
            Event::SequenceEnd | Event::MappingEnd => {
                let ended = self.open.pop();
                if ended.is_some_and(|ended| ended.is_key) {
                    self.set_key(String::new(), position);
                }
            }
            _ => {}
        }
    }

    fn set_key(&mut self, key: String, position: Position) {
        if let Some(open) = self.open.last_mut() {
            open.key = Some((key, position));
        }
    }

    fn start(&mut self, is_list: bool, anchor: usize, position: Position) {
        if self.open.is_empty() {
            self.open.push(Open { node: 0, is_list, key: None, is_key: false });
            return;
        }
        let is_key = self.open.last().is_some_and(|open| !open.is_list && open.key.is_none());
        let node = if is_key { self.new_node() } else { self.add(None, anchor, position) };
        self.open.push(Open { node, is_list, key: None, is_key });
    }

    fn new_node(&mut self) -> usize {
        self.locator.nodes.push(Node::default());
        self.locator.nodes.len() - 1
    }

    /// Adds a value to the open collection and returns its node.
    fn add(&mut self, alias_of: Option<usize>, anchor: usize, position: Position) -> usize {
        let node = alias_of.unwrap_or_else(|| self.new_node());
        if anchor != 0 {
            self.anchors.insert(anchor, node);
        }
        let Some(open) = self.open.last_mut() else { return node };
        let Some(parent) = self.locator.nodes.get_mut(open.node) else { return node };
        let (step, position) = match open.key.take() {
            Some((key, position)) => (format!(".{key}"), position),
            None => (format!("[{}]", parent.children.len()), position),
        };
        parent.children.push(Child { step, position, node });
        node
    }
}
