//! The state directory, as `/v1/status` shows it.

use schemars::JsonSchema;
use serde::Serialize;

use super::Recovery;
use super::keeper::Keeper;
use crate::audit::Audit;
use crate::directory::Damaged;

/// The state directory.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StateStatus")]
pub(crate) struct StateOut {
    /// Where it is.
    directory: String,
    /// What went wrong when it was written to last; null when everything is written down.
    error: Option<String>,
    /// Rules made through the API that were there at the start, and are in force again.
    kept: Vec<String>,
    /// Rules whose time had ended until the start.
    expired: Vec<String>,
    /// Rules that did not fit to the configuration file any more at the start; they are gone.
    unfit: Vec<UnfitOut>,
    /// Files that were damaged at the start, under the names that they have now.
    damaged: Vec<DamagedOut>,
}

/// A rule that did not fit any more.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UnfitRule")]
struct UnfitOut {
    /// Its name.
    rule: String,
    /// What is wrong with it.
    detail: String,
}

/// A file that was damaged.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DamagedFile")]
struct DamagedOut {
    /// Where it is now.
    file: String,
    /// What is wrong with it.
    detail: String,
}

impl StateOut {
    /// Of a process; `None` when nothing outlives it.
    pub(crate) fn of(keeper: &Keeper, recovery: &Recovery, audit: &Audit) -> Option<Self> {
        let directory = keeper.directory()?.display().to_string();
        let unfit = recovery.unfit.iter().map(|unfit| UnfitOut { rule: unfit.rule.clone(), detail: unfit.why.clone() });
        let damaged =
            |damaged: &Damaged| DamagedOut { file: damaged.file.display().to_string(), detail: damaged.why.clone() };
        Some(Self {
            directory,
            error: keeper.error().or(audit.error()),
            kept: recovery.kept.clone(),
            expired: recovery.expired.clone(),
            unfit: unfit.collect(),
            damaged: recovery.damaged.iter().map(damaged).collect(),
        })
    }
}
