//! What became of a part of a document that is not simply there in the output.

/// Something that an import did not carry over, or not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Kind and name of the document, as in `VirtualService shop/ratings`.
    pub document: String,
    /// The field, as in `spec.http[0].fault.delay`; empty for the document itself.
    pub path: String,
    /// Line in the text, from 1.
    pub line: Option<u32>,
    /// Column in the text, from 1.
    pub column: Option<u32>,
    /// What it did to the output.
    pub effect: Effect,
    /// What is so, and why.
    pub detail: String,
    /// What to do by hand; empty when there is nothing to do.
    pub hint: String,
}

/// What a finding did to the output, mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// The output says what the source says; this is good to know.
    Note,
    /// A rule was written that does not do quite the same.
    Differs,
    /// A rule was written with `enabled: false`, since it would hit more than its source says.
    Disabled,
    /// Nothing was written for it.
    Lost,
}

impl Effect {
    /// The word before a finding.
    pub fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Differs => "differs",
            Self::Disabled => "not enabled",
            Self::Lost => "not carried over",
        }
    }
}
