//! What people are shown, before it is Markdown or HTML: sections of paragraphs, lists and tables. Both forms are made from
//! it, so that both say the same.

use super::Verdict;

/// A part of the report with a heading.
#[derive(Debug)]
pub(super) struct Section {
    /// To link to it.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) blocks: Vec<Block>,
}

impl Section {
    pub(super) fn new(id: &'static str, title: &'static str, blocks: Vec<Block>) -> Self {
        Self { id, title, blocks }
    }

    /// Whether nothing of it can be said in words.
    pub(super) fn is_drawn(&self) -> bool {
        self.blocks.iter().all(|block| matches!(block, Block::Drawing(_)))
    }
}

/// A part of a section. All texts are plain: whoever writes them escapes them.
#[derive(Debug)]
pub(super) enum Block {
    /// What is concluded, and what that means.
    Verdict { verdict: Option<Verdict>, text: String },
    /// A paragraph.
    Text(String),
    /// A paragraph that nobody should overlook.
    Loud(String),
    /// A heading below that of the section.
    Heading(&'static str),
    /// Points.
    List(Vec<String>),
    /// Addresses of other documents.
    Links(Vec<String>),
    /// What a person has to add.
    Gap(String),
    /// Rows and columns.
    Table(Table),
    /// Text of a machine, as it is.
    Code { language: &'static str, text: String },
    /// A picture; only HTML has them.
    Drawing(Drawing),
}

/// Pictures of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drawing {
    /// Requests and failures over time.
    Traffic,
    /// The share of failures of both groups over time.
    Errors,
    /// What requests of both groups took, over time.
    Latency,
    /// Requests at once, over time.
    InFlight,
    /// What became of the requests of both groups.
    Endings,
}

/// Rows and columns; the first cell of a row names it.
#[derive(Debug)]
pub(super) struct Table {
    /// What it shows.
    pub(super) caption: &'static str,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(super) fn new(caption: &'static str, columns: Vec<Column>, rows: Vec<Vec<Cell>>) -> Self {
        Self { caption, columns, rows }
    }

    /// Two columns: what, and how it is.
    pub(super) fn facts(caption: &'static str, facts: Vec<(&'static str, Cell)>) -> Block {
        let rows = facts.into_iter().map(|(name, cell)| vec![Cell::plain(name), cell]).collect();
        Block::Table(Self::new(caption, vec![words("What"), words("Value")], rows))
    }
}

/// The head of a column.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    /// Numbers stand to the right.
    pub(super) is_number: bool,
}

/// A column of words.
pub(super) fn words(title: &'static str) -> Column {
    Column { title, is_number: false }
}

/// A column of numbers.
pub(super) fn numbers(title: &'static str) -> Column {
    Column { title, is_number: true }
}

/// What stands in a table.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) text: String,
    /// What belongs to it, of less weight; empty for nothing.
    pub(super) note: String,
    pub(super) tone: Tone,
}

/// How a cell is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    /// A name or a value of a machine.
    Code,
    Good,
    Bad,
    /// Nobody knows.
    Unknown,
}

impl Cell {
    fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), note: String::new(), tone }
    }

    /// With what belongs to it.
    pub(super) fn noted(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Plain)
    }

    /// A name or a value of a machine; nothing stays plain.
    pub(super) fn code(text: impl Into<String>) -> Self {
        let text = text.into();
        let tone = if text.is_empty() { Tone::Plain } else { Tone::Code };
        Self::new(text, tone)
    }

    pub(super) fn good(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Good)
    }

    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Bad)
    }

    pub(super) fn unknown(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Unknown)
    }

    /// A number as words, or that nobody knows it.
    pub(super) fn maybe<T>(value: Option<T>, write: impl FnOnce(T) -> String) -> Self {
        value.map_or_else(|| Self::unknown("–"), |value| Self::plain(write(value)))
    }
}
