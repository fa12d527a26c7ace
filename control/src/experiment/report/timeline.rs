//! What happened in a run, and when.

use serde::{Deserialize, Serialize};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TimelineEvent {
    /// When.
    pub(crate) at: f64,
    /// What it is about.
    pub(crate) kind: TimelineKind,
    /// In words.
    pub(crate) text: String,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TimelineKind {
    /// Another phase began.
    Phase,
    /// Rules were put in force, changed or ended.
    Rules,
    /// A guard is another than before.
    Guard,
    /// A statement of the steady state is.
    SteadyState,
    /// The harm was beyond doubt.
    Harm,
    /// Somebody said something.
    Note,
}

impl TimelineKind {
    /// The word of the report.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Phase => "phase",
            Self::Rules => "rules",
            Self::Guard => "guard",
            Self::SteadyState => "steady_state",
            Self::Harm => "harm",
            Self::Note => "note",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_for_people_are_those_for_programs() {
        use TimelineKind::{Guard, Harm, Note, Phase, Rules, SteadyState};
        for kind in [Phase, Rules, Guard, SteadyState, Harm, Note] {
            assert_eq!(serde_json::json!(kind), kind.as_str());
        }
    }
}
