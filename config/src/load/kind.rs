//! What a file is, and what takes such a file.

use serde_json::Value;

use crate::problem::Problem;

/// What is read from files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Configuration,
    Experiment,
    GameDay,
}

impl Kind {
    /// What a document says that it is, and the field that says so.
    fn said(document: &Value) -> Option<(Self, &'static str)> {
        match document.get("kind").and_then(Value::as_str) {
            Some("Experiment") => Some((Self::Experiment, "kind")),
            Some("GameDay") => Some((Self::GameDay, "kind")),
            Some(_) => None,
            None => {
                let field = ["listeners", "clusters", "rules"].into_iter().find(|field| document.get(field).is_some());
                field.map(|field| (Self::Configuration, field))
            }
        }
    }

    /// One problem in place of one for each of the fields of something else.
    pub(super) fn check(self, document: &Value) -> Result<(), Problem> {
        match Self::said(document) {
            Some((said, field)) if said != self => {
                let (is, wanted) = (said.title(), self.title());
                Err(Problem::new(field, format!("this is {is}, not {wanted}")).with_hint(said.taken_by()))
            }
            _ => Ok(()),
        }
    }

    /// For an empty file.
    pub(super) fn to_begin_with(self) -> &'static str {
        match self {
            Self::Configuration => "`squall config init` writes one to begin with",
            Self::Experiment => "`squall config init --experiment` writes one to begin with",
            Self::GameDay => "write which experiments are run, as in config/experiments/game-day.yaml",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Configuration => "a configuration",
            Self::Experiment => "an experiment",
            Self::GameDay => "a game day",
        }
    }

    fn taken_by(self) -> &'static str {
        match self {
            Self::Configuration => "`squall run -c FILE` takes it, `squall config validate FILE` checks it",
            Self::Experiment => "`squall experiment run FILE` takes it, with --dry-run it checks it",
            Self::GameDay => "`squall gameday FILE` takes it, with --check it checks it",
        }
    }
}
