//! The rules that a controller ordered. They stand behind all others, those of them that fit to the rest: what is this Squall's
//! own comes first, and no order keeps a change of it from coming about.

use std::collections::BTreeSet;

use squall_config::model::Config;
use squall_config::{Problem, Problems, defaults, validate};

use crate::write::UpdateError;

use super::{Draft, Origin, RuleMeta, RuleSpec, Written};

/// What a controller ordered of rules, and whether it holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ordered {
    /// In the order of the orders.
    pub(crate) rules: Vec<OrderedRule>,
    /// Whether the orders hold; when they do not, none of the rules is in force.
    is_in_force: bool,
}

/// A rule that a controller ordered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OrderedRule {
    pub(crate) spec: RuleSpec,
    /// Since it was in force first. Orders that are lost and come again give it no more time.
    meta: Option<RuleMeta>,
    /// Its time has ended; it does not come back.
    is_over: bool,
    /// Why it is not in force, though the orders hold.
    pub(crate) problem: Option<String>,
}

impl Ordered {
    /// Those in force.
    pub(crate) fn in_force(&self) -> impl Iterator<Item = &OrderedRule> {
        self.rules.iter().filter(|rule| self.is_in_force && rule.problem.is_none())
    }

    /// Whether the orders hold.
    pub(crate) fn is_in_force(&self) -> bool {
        self.is_in_force
    }

    /// Notes that the time of one that is in force has ended. Gives whether there is one.
    pub(super) fn end(&mut self, name: &str) -> bool {
        if !self.is_in_force {
            return false;
        }
        let found = self.rules.iter_mut().find(|rule| rule.spec.name == name && rule.problem.is_none());
        found.map(|rule| rule.is_over = true).is_some()
    }

    /// Notes since when those are in force that are.
    pub(super) fn note(&mut self, metas: &std::collections::BTreeMap<String, RuleMeta>) {
        let is_in_force = self.is_in_force;
        for rule in self.rules.iter_mut().filter(|rule| is_in_force && rule.problem.is_none()) {
            rule.meta = metas.get(&rule.spec.name).copied();
        }
    }
}

impl Draft {
    /// These rules, and no others, are ordered from now on. One that was ordered before, as it is, keeps its time.
    pub(crate) fn order(&mut self, rules: Vec<RuleSpec>) {
        let mut before = std::mem::take(&mut self.ordered.rules);
        let ordered = |mut spec: RuleSpec| {
            spec.controller = true;
            match before.iter().position(|other| other.spec == spec) {
                Some(place) => before.swap_remove(place),
                None => OrderedRule { spec, meta: None, is_over: false, problem: None },
            }
        };
        self.ordered.rules = rules.into_iter().map(ordered).collect();
        self.ordered.is_in_force = true;
    }

    /// The orders do not hold any more; those that come again are compared with them.
    pub(crate) fn end_orders(&mut self) {
        self.ordered.is_in_force = false;
    }

    /// Whether a rule of this name is in force because a controller ordered it; such a rule is not for others to change.
    pub(crate) fn is_ordered(&self, name: &str) -> bool {
        self.ordered.in_force().any(|rule| rule.spec.name == name)
    }

    /// Refuses rules that a controller ordered, and that are in force.
    ///
    /// # Errors
    /// The first of them.
    pub(crate) fn refuse_ordered(&self, rules: &[RuleSpec]) -> Result<(), UpdateError> {
        let ordered = rules.iter().find(|rule| self.is_ordered(&rule.name));
        ordered.map_or(Ok(()), |rule| Err(UpdateError::OfController(rule.name.clone())))
    }

    /// Puts the ordered rules behind all others, those that fit. Gives the whole, validated, when that was needed to tell.
    ///
    /// # Errors
    /// What is wrong with the rest of the document.
    pub(crate) fn add_ordered(&mut self, before: &Written) -> Result<Option<Config>, Problems> {
        let n_own = self.document.rules.len();
        let mut placed = self.place_ordered();
        if placed.is_empty() || self.document == before.document {
            return Ok(None);
        }
        loop {
            let problems = match validate(&self.document) {
                Ok(config) => return Ok(Some(config)),
                Err(problems) => problems,
            };
            let mut blamed = blamed(problems, n_own);
            if blamed.is_empty() {
                // Nothing is wrong with a single one: with the rest, or with all of them together.
                let rest = self.document.rules.split_off(n_own);
                validate(&self.document)?;
                self.document.rules.extend(rest);
                let detail = "together with the rules before it, it does not fit to the configuration here";
                blamed.push((placed.len().saturating_sub(1), detail.to_owned()));
            }
            // From the last one on, so that places stay what they are.
            for (place, problem) in blamed.into_iter().rev() {
                let rule = placed.remove(place);
                self.ordered.rules[rule].problem = Some(problem);
                let spec = self.document.rules.remove(n_own + place);
                self.metas.remove(&spec.name);
            }
        }
    }

    /// Puts those there that nothing speaks against as yet. Gives which they are.
    fn place_ordered(&mut self) -> Vec<usize> {
        let mut placed = Vec::new();
        if !self.ordered.is_in_force {
            return placed;
        }
        let limit = self.document.limits.as_ref().and_then(|limits| limits.rules_max);
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(defaults::RULES_MAX);
        let own: BTreeSet<String> = self.document.rules.iter().map(|rule| rule.name.clone()).collect();
        let mut names = BTreeSet::new();
        let mut rules = std::mem::take(&mut self.ordered.rules);
        for (index, rule) in rules.iter_mut().enumerate() {
            let name = rule.spec.name.clone();
            rule.problem = if own.contains(&name) {
                let origin = self.origin(&name).map_or("api", Origin::as_str);
                Some(format!("there is a rule of this name here already, of origin {origin}"))
            } else if rule.is_over {
                Some("its time has ended".to_owned())
            } else if !names.insert(name.clone()) {
                Some("another rule of the orders has this name".to_owned())
            } else if self.document.rules.len() >= limit {
                Some(format!("there are {limit} rules here already (limits.rules_max)"))
            } else {
                None
            };
            if rule.problem.is_some() {
                continue;
            }
            match rule.meta {
                Some(meta) => drop(self.metas.insert(name, meta)),
                None => self.set_meta(&name, Origin::Controller),
            }
            self.document.rules.push(rule.spec.clone());
            placed.push(index);
        }
        self.ordered.rules = rules;
        placed
    }
}

/// The rules behind the first `n_own` that something is wrong with, by place behind those, in order, and what it is.
fn blamed(Problems(problems): Problems, n_own: usize) -> Vec<(usize, String)> {
    let mut blamed: Vec<(usize, String)> = Vec::new();
    for Problem { path, detail, .. } in problems {
        let Some((place, field)) = path.strip_prefix("rules[").and_then(|rest| rest.split_once(']')) else { continue };
        let Some(place) = place.parse().ok().and_then(|place: usize| place.checked_sub(n_own)) else { continue };
        let field = field.trim_start_matches('.');
        let problem = if field.is_empty() { detail } else { format!("{field}: {detail}") };
        match blamed.iter_mut().find(|(other, _)| *other == place) {
            Some((_, known)) => *known = format!("{known}; {problem}"),
            None => blamed.push((place, problem)),
        }
    }
    blamed.sort_by_key(|(place, _)| *place);
    blamed
}

#[cfg(test)]
#[path = "ordered_tests.rs"]
pub(crate) mod tests;
