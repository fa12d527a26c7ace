//! One toxic.

use serde::{Deserialize, Serialize, Serializer};

use super::kind::ToxicKind;
use crate::faults::{FaultSpec, Phase};
use crate::units::Percentage;

/// A toxic as Toxiproxy's API shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Toxic {
    /// Type and attributes.
    #[serde(flatten)]
    pub kind: ToxicKind,
    /// Unique among the toxics of its proxy, whatever their stream.
    pub name: String,
    /// `upstream` or `downstream`, in the case in which it came.
    #[serde(rename = "stream")]
    stream: String,
    /// The share of connections that get it. Toxiproxy takes any number: from 1 on it is all of them, and 0 or less is none.
    #[serde(serialize_with = "as_go_does")]
    pub toxicity: f32,
}

/// What a rule remembers of the toxic that it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToxicOf {
    /// The proxy that it belongs to.
    pub proxy: String,
    /// What it is there.
    #[serde(flatten)]
    pub toxic: Toxic,
}

/// The bytes that a toxic is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// To the upstream.
    Upstream,
    /// From the upstream.
    Downstream,
}

impl Stream {
    /// Reads it whatever its case; `None` for another word.
    pub fn read(text: &str) -> Option<Self> {
        [Self::Upstream, Self::Downstream].into_iter().find(|stream| stream.word().eq_ignore_ascii_case(text))
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Downstream => "downstream",
        }
    }

    fn phase(self) -> Phase {
        match self {
            Self::Upstream => Phase::Request,
            Self::Downstream => Phase::Response,
        }
    }
}

impl Toxic {
    /// A toxic on all connections; `None` when there is no such stream. Without a name it is called by its type and stream.
    pub fn new(name: &str, kind: ToxicKind, stream: &str) -> Option<Self> {
        Stream::read(stream)?;
        let name = if name.is_empty() { format!("{}_{stream}", kind.name()) } else { name.to_owned() };
        Some(Self { kind, name, stream: stream.to_owned(), toxicity: 1.0 })
    }

    /// The bytes that it is for.
    pub fn stream(&self) -> Stream {
        // No other was let in.
        Stream::read(&self.stream).unwrap_or(Stream::Downstream)
    }

    /// The fault that does the same.
    pub fn fault(&self) -> FaultSpec {
        self.kind.fault(self.stream().phase())
    }

    /// The bytes that it is for, in the case in which that came.
    pub(crate) fn stream_as_written(&self) -> &str {
        &self.stream
    }

    /// The share as a rule has it: a whole number of millionths.
    pub fn percentage(&self) -> Percentage {
        let percent = f64::from(self.toxicity).clamp(0.0, 1.0) * 100.0;
        format!("{percent:.4}").parse().unwrap_or(Percentage::NEVER)
    }
}

/// Go writes a whole number without a fraction.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
#[expect(clippy::cast_possible_truncation, reason = "of a whole number that an i32 holds")]
fn as_go_does<S: Serializer>(toxicity: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    if toxicity.fract() == 0.0 && toxicity.abs() < 1e6 {
        serializer.serialize_i32(*toxicity as i32)
    } else {
        serializer.serialize_f32(*toxicity)
    }
}
