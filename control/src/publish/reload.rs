//! Loads the configuration file anew.

use std::time::SystemTime;

use serde_json::json;
use squall_config::spec::ConfigSpec;
use squall_config::{Chain, Problem, Problems, load_text, parse_text, validate};

use super::Publisher;
use crate::actor::{Actor, Part};
use crate::events::EventKind;
use crate::reload::{Reload, read};
use crate::view::ReloadOut;
use crate::write::{UpdateError, Write};

/// A file that was loaded.
struct Loaded {
    /// Whether the document is another one than before.
    changed: bool,
    warnings: Vec<String>,
}

fn reload_by(by: Actor) -> Write {
    Write { operation: "reload", ..Write::by(by) }
}

impl Publisher {
    /// Loads the file anew, whether it changed or not. Listeners, clusters, limits and the file's rules come from it;
    /// rules made through the API stay. An invalid file changes nothing. The result is also in the log, the counters,
    /// the events and `Publisher::view`. Blocks.
    pub fn reload_file(&self, by: Actor) -> Reload {
        match &self.file {
            Some(file) => self.reload_text(by, read(file)),
            None => self.note_reload(
                &reload_by(by),
                Err(Problems::from(
                    Problem::new("", "there is no configuration file to reload")
                        .with_hint("start with squall run -c FILE"),
                )),
            ),
        }
    }

    /// Loads the file anew if its text is another one than last time.
    pub(crate) fn reload_if_changed(&self) -> Option<Reload> {
        let text = read(self.file.as_ref()?);
        let is_same = {
            let state = self.state();
            match &text {
                Ok(text) => state.file_text.as_ref() == Some(text),
                // An unreadable file is reported once; it comes back with a text or another problem.
                Err(problems) => state.last_reload.as_ref().is_some_and(|last| last.problems == problems.0),
            }
        };
        (!is_same).then(|| self.reload_text(Actor::Squall(Part::File), text))
    }

    fn reload_text(&self, by: Actor, text: Result<String, Problems>) -> Reload {
        let write = reload_by(by);
        let loaded = text.and_then(|text| {
            self.state().file_text = Some(text.clone());
            self.load(&text)
        });
        let loaded = loaded.and_then(|file| self.take_over(&write, file));
        self.note_reload(&write, loaded)
    }

    /// Parses and validates, with what flags say on top. Problems have positions.
    fn load(&self, text: &str) -> Result<ConfigSpec, Problems> {
        let Some(overlay) = &self.overlay else { return load_text(text).map(|(spec, _)| spec) };
        let mut spec = parse_text(text)?;
        overlay(&mut spec);
        match validate(&spec) {
            Ok(_) => Ok(spec),
            // The same problems with their positions, if the file has them without the flags, too.
            Err(problems) => Err(load_text(text).err().unwrap_or(problems)),
        }
    }

    fn take_over(&self, write: &Write, file: ConfigSpec) -> Result<Loaded, Problems> {
        let mut n_rules_of_file = usize::MAX;
        let changed = self.update(write, |draft| {
            n_rules_of_file = file.rules.len();
            Ok(draft.load_file(file))
        });
        match changed {
            Ok(mut outcome) => {
                outcome.warnings.splice(0..0, outcome.value);
                Ok(Loaded { changed: outcome.changed, warnings: outcome.warnings })
            }
            Err(UpdateError::Invalid(problems)) => Err(name_api_rules(problems, n_rules_of_file)),
            Err(UpdateError::Conflict(problems)) => Err(problems),
            Err(other) => Err(Problem::new("", Chain(&other).to_string()).into()),
        }
    }

    fn note_reload(&self, write: &Write, result: Result<Loaded, Problems>) -> Reload {
        let mut state = self.state();
        let generation = state.generation;
        let at = SystemTime::now();
        let reload = match result {
            Ok(Loaded { changed, warnings }) => Reload { at, generation, changed, problems: Vec::new(), warnings },
            Err(problems) => Reload { at, generation, changed: false, problems: problems.0, warnings: Vec::new() },
        };
        let counter = if reload.is_ok() { &mut state.reloads_ok } else { &mut state.reloads_error };
        *counter += 1;
        state.last_reload = Some(reload.clone());
        drop(state);
        if !reload.is_ok() {
            // What is wrong may quote the file; the log and `/v1/status` tell it.
            let reason = format!("{} problems in the configuration file", reload.problems.len());
            self.audit.note(write.refused(generation).because(&reason));
            self.audit.flush();
        }
        self.report(&reload);
        reload
    }

    fn report(&self, reload: &Reload) {
        let file = self.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
        let generation = reload.generation;
        for warning in &reload.warnings {
            tracing::warn!(file, warning, "the configuration file has a warning");
        }
        for problem in &reload.problems {
            tracing::error!(file, %problem, "configuration file is not valid; the old configuration stays");
        }
        if reload.is_ok() {
            tracing::info!(file, generation, changed = reload.changed, "configuration file loaded");
        }
        self.tell(EventKind::Reload, generation, json!({ "source": "file", "reload": ReloadOut::from(reload) }));
    }
}

/// The file itself is valid; a rule made through the API does not fit to it. Says which, since the operator does not
/// find it in the file.
fn name_api_rules(Problems(mut problems): Problems, n_rules_of_file: usize) -> Problems {
    for problem in &mut problems {
        let place = problem.path.strip_prefix("rules[").and_then(|rest| rest.split(']').next()?.parse::<usize>().ok());
        if place.is_some_and(|place| place >= n_rules_of_file) {
            problem.detail.insert_str(0, "a rule made through the control API does not fit to the new file: ");
            problem.hint = Some("delete or change that rule (GET /v1/rules lists it), then reload".to_owned());
        }
    }
    Problems(problems)
}
