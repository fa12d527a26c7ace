//! A document that outlives its process.

use super::{Arc, Config, ConfigSpec, Draft, Now, Origin, RuleMeta, RuleSpec, Written};
use crate::state::clock::{End, Moment, expiry_after, millis_of, time_of};
use crate::state::saved::{Saved, SavedRule};

/// What came of the document of an earlier process.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) written: Written,
    /// Rules made through the API that are in force again.
    pub(crate) kept: Vec<String>,
    /// Rules whose time ended meanwhile.
    pub(crate) expired: Vec<String>,
    /// Rules that do not fit to the file as it is now.
    pub(crate) unfit: Vec<Unfit>,
}

/// A rule that does not fit to the file any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unfit {
    /// Its name.
    pub(crate) rule: String,
    /// What is wrong with it.
    pub(crate) why: String,
}

impl Written {
    /// Rules but for those of experiments and of a controller, in the form in which they are written down.
    pub(crate) fn to_saved(&self, then: Moment, now: Now) -> Saved {
        let rule = |rule: &RuleSpec| {
            let meta = self.metas[&rule.name];
            SavedRule {
                rule: rule.clone(),
                is_of_file: meta.origin == Origin::File,
                made_at_ms: millis_of(meta.made_at),
                end: meta.expiry.map(|expiry| End::of(&expiry, now)),
            }
        };
        Saved {
            generation: 0,
            then,
            halt: None,
            lease: None,
            of_file: self.of_file.to_vec(),
            rules: self
                .document
                .rules
                .iter()
                .filter(|rule| rule.experiment.is_none() && !rule.controller)
                .map(rule)
                .collect(),
            retired: self.retired.clone(),
        }
    }

    /// The document of an earlier process with the file as it is now, as if that process had loaded it: what changed in the
    /// file counts, and what did not change stays as it was changed through the API. No rule lives longer than it would have.
    pub(crate) fn restored(saved: Saved, file: ConfigSpec, config: Config, moment: &Moment, now: Now) -> Restored {
        let mut draft = Draft {
            document: ConfigSpec { rules: Vec::new(), ..file.clone() },
            retired: saved.retired,
            of_file: saved.of_file.into(),
            ..Draft::default()
        };
        let mut expired = Vec::new();
        for SavedRule { rule, is_of_file, made_at_ms, end } in saved.rules {
            let left = end.map(|end| end.left(&saved.then, moment));
            if left.is_some_and(|left| left.is_zero()) {
                expired.push(rule.name.clone());
                if is_of_file {
                    draft.retired.insert(rule.name.clone(), rule);
                }
                continue;
            }
            let origin = if is_of_file { Origin::File } else { Origin::Api };
            let expiry = left.map(|left| expiry_after(left, now));
            draft.metas.insert(rule.name.clone(), RuleMeta { origin, made_at: time_of(made_at_ms), expiry });
            draft.document.rules.push(rule);
        }
        if *draft.of_file != *file.rules {
            for warning in draft.load_file(file.clone()) {
                tracing::warn!(warning, "the configuration file has a warning");
            }
        }
        let (written, unfit) = draft.into_fit(file, config, now);
        let is_of_api = |(name, meta): (&String, &RuleMeta)| (meta.origin == Origin::Api).then(|| name.clone());
        let kept = written.metas.iter().filter_map(is_of_api).collect();
        Restored { written, kept, expired, unfit }
    }
}

impl Draft {
    /// The finished document without the rules that do not fit to the rest of it.
    fn into_fit(mut self, file: ConfigSpec, config: Config, now: Now) -> (Written, Vec<Unfit>) {
        let mut unfit = Vec::<Unfit>::new();
        loop {
            let problems = match squall_config::validate(&self.document) {
                Ok(valid) => return (self.finish(Arc::new(valid), now), unfit),
                Err(problems) => problems,
            };
            let n_before = unfit.len();
            for problem in problems.0 {
                let place = problem.path.strip_prefix("rules[").and_then(|rest| rest.split(']').next()?.parse().ok());
                let rule = place.and_then(|place: usize| self.document.rules.get(place));
                let name = rule.map(|rule| rule.name.clone()).filter(|name| self.origin(name) == Some(Origin::Api));
                if let Some(rule) = name.filter(|name| unfit.iter().all(|unfit| unfit.rule != *name)) {
                    unfit.push(Unfit { rule, why: problem.detail });
                }
            }
            if unfit.len() == n_before {
                // Not the doing of a single rule: the file alone is valid.
                return (self.of_file_alone(file, config, now, &mut unfit), unfit);
            }
            self.document.rules.retain(|rule| unfit.iter().all(|unfit| unfit.rule != rule.name));
        }
    }

    /// The file as it is, but for what has ended of it.
    fn of_file_alone(mut self, file: ConfigSpec, config: Config, now: Now, unfit: &mut Vec<Unfit>) -> Written {
        let is_of_file = |metas: &std::collections::BTreeMap<String, RuleMeta>, rule: &RuleSpec| {
            metas.get(&rule.name).is_some_and(|meta| meta.origin == Origin::File)
        };
        for rule in self.document.rules.iter().filter(|rule| !is_of_file(&self.metas, rule)) {
            let why = "together with the others it does not fit to the file any more".to_owned();
            unfit.push(Unfit { rule: rule.name.clone(), why });
        }
        let metas = std::mem::take(&mut self.metas);
        self.document.rules.retain(|rule| is_of_file(&metas, rule));
        self.metas = metas;
        self.load_file(file.clone());
        match squall_config::validate(&self.document) {
            Ok(valid) => self.finish(Arc::new(valid), now),
            Err(_) => Written::first(file, config, now),
        }
    }
}

#[cfg(test)]
#[path = "restore_tests.rs"]
mod tests;
