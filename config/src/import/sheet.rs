//! Where a translator writes the rules of one document, and what it could not carry over.

use crate::model::Name;
use crate::problem::Problems;
use crate::spec::{ClusterSpec, ConfigSpec, ListenerSpec, MatchSpec, RuleSpec, Scalar, Written};
use crate::units::Percentage;
use crate::validate::validate;

use super::documents::Document;
use super::draft::{Draft, Missing, Share};
use super::finding::{Effect, Finding};
use super::result::{Import, Options};

/// The output of one document.
pub(super) struct Sheet<'a> {
    pub(super) options: &'a Options,
    document: String,
    name: String,
    n_rules: usize,
    import: &'a mut Import,
}

impl<'a> Sheet<'a> {
    pub(super) fn new(document: String, name: &str, options: &'a Options, import: &'a mut Import) -> Self {
        Self { options, document, name: name.to_owned(), n_rules: 0, import }
    }

    pub(super) fn note(&mut self, path: impl Into<String>, detail: impl Into<String>, hint: impl Into<String>) {
        self.find(Effect::Note, path.into(), detail.into(), hint.into());
    }

    pub(super) fn differs(&mut self, path: impl Into<String>, detail: impl Into<String>, hint: impl Into<String>) {
        self.find(Effect::Differs, path.into(), detail.into(), hint.into());
    }

    pub(super) fn lost(&mut self, path: impl Into<String>, detail: impl Into<String>, hint: impl Into<String>) {
        self.find(Effect::Lost, path.into(), detail.into(), hint.into());
    }

    /// The same is said once, however many rules it concerns.
    fn find(&mut self, effect: Effect, path: String, detail: String, hint: String) {
        let finding = Finding { document: self.document.clone(), path, line: None, column: None, effect, detail, hint };
        if !self.import.findings.contains(&finding) {
            self.import.findings.push(finding);
        }
    }

    /// A document that nothing here reads.
    pub(super) fn unknown_document(&mut self, document: &Document) {
        match document.kind() {
            Some(kind @ ("Schedule" | "Workflow")) => {
                let hint = "import what it repeats as documents of their own";
                self.lost("", format!("a {kind} decides when, which stays with Chaos Mesh"), hint);
            }
            Some(kind) if document.api_group() == "chaos-mesh.org" => {
                self.lost("", format!("a proxy has no way to do what {kind} does"), "");
            }
            Some(kind) => self.note("", format!("{kind} says nothing of faults and was passed over"), ""),
            None => {
                let hint = "known are VirtualService, HTTPChaos, NetworkChaos, MeshFaultInjection, FaultInjection and the \
                            proxies of Toxiproxy";
                self.lost("", "this is no document that is known here", hint);
            }
        }
    }

    /// Narrows a match to the cluster that the operator named; without one the rule lacks a condition.
    pub(super) fn place(&self, draft: &mut Draft, missing: Missing) {
        match &self.options.cluster {
            Some(cluster) => draft.matches.cluster = Some(cluster.clone()),
            None => draft.wider.push(missing),
        }
    }

    /// Writes the rule, unless it has no percentage or makes no sense here.
    pub(super) fn add(&mut self, draft: Draft) {
        let Some(percentage) = self.percentage(&draft) else { return };
        self.n_rules += 1;
        let name = match &draft.name {
            Some(name) => self.unique(name),
            None => self.unique(&format!("{}-{}", self.name, self.n_rules)),
        };
        let rule = RuleSpec {
            name: name.clone(),
            enabled: (!draft.wider.is_empty()).then_some(false),
            matches: (draft.matches != MatchSpec::default()).then_some(draft.matches),
            percentage: Some(Scalar::from(percentage)),
            fault: Some(draft.fault),
            ttl: draft.ttl,
            ..RuleSpec::default()
        };
        if let Err(Problems(problems)) = self.check(&rule) {
            for problem in problems {
                let detail = problem.detail.trim_start_matches(&format!("rule {name:?}: ")).to_owned();
                let field = problem.path.trim_start_matches("rules[0].").to_owned();
                self.lost(
                    draft.path.clone(),
                    format!("no rule was made, its {field}: {detail}"),
                    problem.hint.unwrap_or_default(),
                );
            }
            return;
        }
        for missing in draft.wider {
            self.find(Effect::Disabled, missing.path, missing.detail, missing.hint);
        }
        self.import.names.insert(name);
        self.import.spec.rules.push(rule);
    }

    fn percentage(&mut self, draft: &Draft) -> Option<Percentage> {
        match (&draft.share, self.options.percentage) {
            (Share::Written(percentage), _) => Some(*percentage),
            (Share::Absent { path, meaning }, Some(percentage)) => {
                self.note(
                    path.clone(),
                    format!("no percentage is written, {meaning}; {percentage} of --percentage is taken"),
                    "",
                );
                Some(percentage)
            }
            (Share::Absent { path, meaning }, None) => {
                let detail = format!("no percentage is written, {meaning}; none is made up, so there is no rule");
                self.lost(path.clone(), detail, "say which with --percentage P");
                None
            }
        }
    }

    /// Whether the rule would be accepted among what is there.
    fn check(&self, rule: &RuleSpec) -> Result<(), Problems> {
        let mut clusters = self.import.spec.clusters.clone();
        let named = rule.matches.as_ref().and_then(|matches| matches.cluster.as_deref());
        if let Some(name) = named.filter(|name| clusters.iter().all(|cluster| cluster.name != *name)) {
            clusters.push(stand_in(name));
        }
        let listeners = self.import.spec.listeners.clone();
        let rules = vec![rule.clone()];
        validate(&ConfigSpec { version: Some(1), listeners, clusters, rules, ..ConfigSpec::default() }).map(|_| ())
    }

    /// Adds a listener and its cluster under one name, which is returned; or says why not.
    pub(super) fn proxy(&mut self, path: &str, mut listener: ListenerSpec, mut cluster: ClusterSpec) -> Option<String> {
        let name = self.unique(&listener.name);
        listener.name.clone_from(&name);
        listener.cluster = Some(name.clone());
        cluster.name.clone_from(&name);
        let spec = &self.import.spec;
        let with = ConfigSpec {
            version: Some(1),
            listeners: spec.listeners.iter().cloned().chain([listener]).collect(),
            clusters: spec.clusters.iter().cloned().chain([cluster]).collect(),
            ..ConfigSpec::default()
        };
        if let Err(Problems(problems)) = validate(&with) {
            for problem in problems {
                let detail = format!("no listener was made, its {}: {}", problem.path, problem.detail);
                self.lost(path, detail, problem.hint.unwrap_or_default());
            }
            return None;
        }
        self.import.spec.listeners = with.listeners;
        self.import.spec.clusters = with.clusters;
        self.import.names.insert(name.clone());
        Some(name)
    }

    /// A name that is valid and not taken.
    fn unique(&self, wanted: &str) -> String {
        Name::free(wanted, |name| self.import.names.contains(name))
    }
}

/// A cluster in the place of one that is in another file.
pub(super) fn stand_in(name: &str) -> ClusterSpec {
    let endpoints = vec![Written::Short(Scalar::from("127.0.0.1:1"))];
    ClusterSpec { name: name.to_owned(), endpoints, ..ClusterSpec::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_given_once() {
        let (mut import, options) = (Import::new(), Options::default());
        let long = "y".repeat(Name::LENGTH_MAX);
        import.names.extend(["a-1".to_owned(), "a-1-2".to_owned(), long.clone()]);
        let sheet = Sheet::new(String::new(), "a", &options, &mut import);
        assert_eq!(sheet.unique("a-1"), "a-1-3");
        assert_eq!(sheet.unique("b"), "b");
        assert_eq!(sheet.unique(&long).len(), Name::LENGTH_MAX);
    }
}
