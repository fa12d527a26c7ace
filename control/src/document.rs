//! What is written right now, who wrote each rule and when it ends; pure changes of it.

mod ordered;
mod restore;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use squall_config::model::{Config, Name};
use squall_config::spec::{ConfigSpec, ListenerSpec, RuleSpec};
use squall_config::toxiproxy::{listener_of, raise};

pub(crate) use ordered::Ordered;
pub(crate) use restore::Unfit;

/// No rule that expires lives longer than this: ten years, so that adding it to a clock never overflows.
const TTL_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Who made a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The configuration file; lives until the file says otherwise.
    File,
    /// The control API; lives until its ttl ends.
    Api,
    /// A running experiment; ends with it, and outlives no process.
    Experiment,
    /// The controller of a cluster; ends when that orders so or falls silent, and outlives no process.
    Controller,
}

impl Origin {
    /// The word of the API.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Api => "api",
            Self::Experiment => "experiment",
            Self::Controller => "controller",
        }
    }
}

/// When a rule ends, on both clocks: the earlier one counts, so that neither a step of the wall clock nor a sleep of
/// the machine (which stops the monotonic clock) makes a fault live longer than promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expiry {
    /// Wall clock; what people see.
    pub(crate) at: SystemTime,
    /// Monotonic clock.
    pub(crate) deadline: Instant,
}

impl Expiry {
    /// After this time.
    pub(crate) fn after(now: Now, ttl: Duration) -> Self {
        let ttl = ttl.min(TTL_MAX);
        Self { at: now.wall + ttl, deadline: now.monotonic + ttl }
    }

    /// How long it is until then, by the clock that says less.
    pub(crate) fn left(&self, now: Now) -> Duration {
        let by_wall = self.at.duration_since(now.wall).unwrap_or_default();
        self.deadline.saturating_duration_since(now.monotonic).min(by_wall)
    }

    /// Whether it has come.
    pub(crate) fn is_over(&self, now: Now) -> bool {
        self.deadline <= now.monotonic || self.at <= now.wall
    }
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Wall clock.
    pub(crate) wall: SystemTime,
    /// Monotonic clock.
    pub(crate) monotonic: Instant,
}

impl Now {
    /// This moment.
    pub(crate) fn read() -> Self {
        Self { wall: SystemTime::now(), monotonic: Instant::now() }
    }
}

/// Other moments, for tests.
#[cfg(test)]
impl Now {
    /// So many seconds from this moment.
    pub(crate) fn in_seconds(seconds: u64) -> Self {
        Self::read().later(Duration::from_secs(seconds))
    }

    /// So much later, with nobody touching any clock.
    pub(crate) fn later(self, time: Duration) -> Self {
        Self { wall: self.wall + time, monotonic: self.monotonic + time }
    }

    /// With the wall clock set forward or back by so many seconds.
    pub(crate) fn set_by(self, seconds: i64) -> Self {
        let by = Duration::from_secs(seconds.unsigned_abs());
        Self { wall: if seconds < 0 { self.wall - by } else { self.wall + by }, ..self }
    }
}

/// What the publisher knows about a rule beyond its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RuleMeta {
    /// Who made it.
    pub(crate) origin: Origin,
    /// Start of its ttl.
    pub(crate) made_at: SystemTime,
    /// `None` lives until someone removes it.
    pub(crate) expiry: Option<Expiry>,
}

impl RuleMeta {
    /// Lets a rule that is not of the file and has longer to live end after this time. A limit that is lowered holds for the
    /// rules that are there, too.
    fn end_within(&mut self, longest: Duration, now: Now) {
        let end = Expiry::after(now, longest);
        if self.origin != Origin::File
            && self.expiry.is_none_or(|expiry| expiry.at > end.at || expiry.deadline > end.deadline)
        {
            self.expiry = Some(end);
        }
    }
}

/// The written document, its validated form, and what is known of its rules. Immutable once made.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    /// As written: the file, changed by the API.
    pub(crate) document: ConfigSpec,
    /// The document, validated.
    pub(crate) config: Arc<Config>,
    /// By name of the rule; one for each rule of the document.
    pub(crate) metas: BTreeMap<String, RuleMeta>,
    /// Rules of the file whose ttl has ended, as they were: a reload of another part of the file does not revive them.
    retired: BTreeMap<String, RuleSpec>,
    /// The rules of the file as it was loaded last, to tell after a restart whether it is another one.
    of_file: Arc<[RuleSpec]>,
    /// What a controller ordered, whether it is in force or not.
    pub(crate) ordered: Ordered,
}

impl Written {
    /// The first document of a process: every rule is one of the file.
    pub(crate) fn first(document: ConfigSpec, config: Config, now: Now) -> Self {
        let of_file = document.rules.clone().into();
        let mut draft = Draft { document, of_file, ..Draft::default() };
        draft.adopt_rules(Origin::File);
        draft.finish(Arc::new(config), now)
    }

    /// Place and text of a rule.
    pub(crate) fn rule(&self, name: &str) -> Option<(usize, &RuleSpec)> {
        self.document.rules.iter().enumerate().find(|(_, rule)| rule.name == name)
    }

    /// The document without what running experiments and a controller have added.
    pub(crate) fn lasting(&self) -> ConfigSpec {
        let mut document = self.document.clone();
        document.rules.retain(|rule| rule.experiment.is_none() && !rule.controller);
        document
    }

    /// [`Self::lasting`] as somebody writes it: with proxies and toxics in the words of Toxiproxy.
    pub(crate) fn as_written(&self) -> ConfigSpec {
        raise(&self.lasting())
    }

    /// Whether every fault of this document was one of `before`, for no longer; then nothing is lost but faults.
    pub(crate) fn only_takes_away_from(&self, before: &Self) -> bool {
        let rest = |document: &ConfigSpec| ConfigSpec { rules: Vec::new(), ..document.clone() };
        let rules: BTreeMap<&str, &RuleSpec> =
            before.document.rules.iter().map(|rule| (rule.name.as_str(), rule)).collect();
        let was_there = |rule: &RuleSpec| {
            let (now, then) = (self.metas.get(&rule.name), before.metas.get(&rule.name));
            let is_same = rules.get(rule.name.as_str()).is_some_and(|other| {
                let (disabled, shadow) = (Some(false), Some("shadow".to_owned()));
                *rule == **other
                    || *rule == RuleSpec { enabled: disabled, ..(*other).clone() }
                    || *rule == RuleSpec { mode: shadow, ..(*other).clone() }
            });
            is_same && now == then
        };
        rest(&self.document) == rest(&before.document) && self.document.rules.iter().all(was_there)
    }

    /// The earliest end of a rule on the monotonic clock.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.metas.values().filter_map(|meta| meta.expiry).map(|expiry| expiry.deadline).min()
    }

    /// Names of the rules whose time is over.
    pub(crate) fn expired(&self, now: Now) -> Vec<String> {
        let over = |meta: &RuleMeta| meta.expiry.is_some_and(|expiry| expiry.is_over(now));
        self.metas.iter().filter(|(_, meta)| over(meta)).map(|(name, _)| name.clone()).collect()
    }

    /// A copy to change, without the rules that a controller ordered: those come back behind all others.
    pub(crate) fn draft(&self) -> Draft {
        let (mut document, mut metas) = (self.document.clone(), self.metas.clone());
        if self.ordered.is_in_force() {
            document.rules.retain(|rule| !rule.controller);
            metas.retain(|_, meta| meta.origin != Origin::Controller);
        }
        Draft {
            document,
            metas,
            retired: self.retired.clone(),
            of_file: Arc::clone(&self.of_file),
            ordered: self.ordered.clone(),
            touched: BTreeSet::new(),
        }
    }
}

/// A document that is being changed; nothing of it is in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    /// What will be written.
    pub(crate) document: ConfigSpec,
    metas: BTreeMap<String, RuleMeta>,
    retired: BTreeMap<String, RuleSpec>,
    of_file: Arc<[RuleSpec]>,
    ordered: Ordered,
    /// Rules whose ttl starts anew.
    touched: BTreeSet<String>,
}

impl Draft {
    /// Place and text of a rule.
    pub(crate) fn rule(&self, name: &str) -> Option<(usize, &RuleSpec)> {
        self.document.rules.iter().enumerate().find(|(_, rule)| rule.name == name)
    }

    /// Puts a rule through the API: a new one goes to the end, a replaced one keeps its place. Its ttl starts anew,
    /// unless it is a rule of the file that stays as it is. Gives the place.
    pub(crate) fn put_rule(&mut self, spec: RuleSpec) -> usize {
        let place = self.rule(&spec.name).map(|(place, _)| place);
        let is_same = place.is_some_and(|place| self.document.rules[place] == spec);
        self.note_put(&spec.name, is_same);
        match place {
            Some(place) => {
                self.document.rules[place] = spec;
                place
            }
            None => {
                self.document.rules.push(spec);
                self.document.rules.len() - 1
            }
        }
    }

    /// Changes a rule that exists at `place`; it keeps its origin, and its end unless its ttl changed.
    pub(crate) fn patch_rule(&mut self, place: usize, spec: RuleSpec) {
        if self.document.rules[place].ttl != spec.ttl {
            self.touched.insert(spec.name.clone());
        }
        self.document.rules[place] = spec;
    }

    /// Removes a rule; `false` when there is none of that name.
    pub(crate) fn remove_rule(&mut self, name: &str) -> bool {
        let n_before = self.document.rules.len();
        self.document.rules.retain(|rule| rule.name != name);
        self.document.rules.len() < n_before
    }

    /// Replaces all rules through the API, but for those of experiments and the toxics of proxies, which stay behind them.
    pub(crate) fn replace_rules(&mut self, rules: Vec<RuleSpec>) {
        let is_of_others = |rule: &&RuleSpec| rule.experiment.is_some() || rule.toxic.is_some();
        let stay = self.document.rules.iter().filter(is_of_others).cloned().collect();
        self.put_all_rules(rules, stay);
    }

    fn put_all_rules(&mut self, rules: Vec<RuleSpec>, stay: Vec<RuleSpec>) {
        let before = std::mem::replace(&mut self.document.rules, rules);
        for spec in self.document.rules.clone() {
            self.note_put(&spec.name, before.contains(&spec));
        }
        self.document.rules.extend(stay);
    }

    /// The rules of an experiment from now on, behind all others. Those that it has already keep their place and their counts.
    pub(crate) fn set_experiment(&mut self, experiment: &Name, rules: Vec<RuleSpec>) {
        let is_gone = |rule: &RuleSpec| {
            rule.experiment.as_deref() == Some(experiment.as_str()) && rules.iter().all(|other| other.name != rule.name)
        };
        self.document.rules.retain(|rule| !is_gone(rule));
        for mut spec in rules {
            spec.experiment = Some(experiment.to_string());
            self.set_meta(&spec.name, Origin::Experiment);
            let place = self
                .document
                .rules
                .iter()
                .position(|rule| rule.name == spec.name && rule.experiment == spec.experiment);
            match place {
                Some(place) => self.document.rules[place] = spec,
                None => self.document.rules.push(spec),
            }
        }
    }

    /// The proxy whose toxic the rule is; such a rule is changed through Toxiproxy's API, and removed through either.
    pub(crate) fn proxy_of(&self, rule: &str) -> Option<&str> {
        self.rule(rule).and_then(|(_, rule)| rule.toxic.as_deref()).map(|of| of.proxy.as_str())
    }

    /// The experiment that a rule belongs to; such a rule is not for others to change.
    pub(crate) fn experiment_of(&self, rule: &str) -> Option<&str> {
        self.rule(rule).and_then(|(_, rule)| rule.experiment.as_deref())
    }

    /// Replaces the whole document through the API.
    pub(crate) fn replace_document(&mut self, mut document: ConfigSpec) {
        let rules = std::mem::take(&mut document.rules);
        document.rules = std::mem::take(&mut self.document.rules);
        let before = std::mem::replace(&mut self.document, document);
        self.go_on_from(&before);
        let stay = self.document.rules.iter().filter(|rule| rule.experiment.is_some()).cloned().collect();
        self.put_all_rules(rules, stay);
    }

    /// Proxies that are as they were keep their connections; those of others end.
    fn go_on_from(&mut self, before: &ConfigSpec) {
        let starts: Vec<Option<u64>> = self
            .document
            .listeners
            .iter()
            .map(|listener| {
                let other = before.listeners.iter().find(|other| other.name == listener.name)?;
                let start = other.start?;
                let is_same = ListenerSpec { start: Some(start), ..listener.clone() } == *other;
                Some(if is_same { start } else { start + 1 })
            })
            .collect();
        for (listener, start) in self.document.listeners.iter_mut().zip(starts) {
            listener.start = listener.start.and(start).or(listener.start);
        }
    }

    /// Proxies that were made through Toxiproxy's API stay behind those of the file, unless it has one of that name.
    fn keep_proxies(&mut self, before: &ConfigSpec) {
        for listener in
            before.listeners.iter().filter(|listener| listener.proxy.as_ref().is_some_and(|of| !of.is_of_file))
        {
            let of = listener.proxy.as_ref().map(|of| of.name.as_str()).unwrap_or_default();
            let is_named = self.document.listeners.iter().any(|other| other.name == listener.name)
                || listener_of(&self.document, of).is_some();
            if !is_named {
                self.document.listeners.push(listener.clone());
                let cluster = before.clusters.iter().find(|cluster| Some(&cluster.name) == listener.cluster.as_ref());
                self.document.clusters.extend(cluster.cloned());
            }
        }
    }

    /// Takes over a new version of the file: listeners, clusters, limits and rules come from it; rules made through
    /// the API stay behind them unless the file has one of that name. Gives what the operator should know.
    pub(crate) fn load_file(&mut self, file: ConfigSpec) -> Vec<String> {
        self.of_file = file.rules.clone().into();
        let before = std::mem::replace(&mut self.document, file);
        self.keep_proxies(&before);
        self.go_on_from(&before);
        let retired = std::mem::take(&mut self.retired);
        let mut warnings = Vec::new();
        self.document.rules.retain(|rule| {
            let is_over = retired.get(&rule.name) == Some(rule);
            if is_over {
                warnings.push(format!("rule {}: its ttl has ended; change the rule to start it anew", rule.name));
                self.retired.insert(rule.name.clone(), rule.clone());
            }
            !is_over
        });
        for rule in &self.document.rules {
            let is_same = before.rules.contains(rule) && self.origin(&rule.name) == Some(Origin::File);
            if !is_same {
                self.metas.remove(&rule.name);
            }
        }
        let is_kept = |rule: &RuleSpec| {
            let has_proxy = rule.toxic.as_ref().is_none_or(|of| listener_of(&self.document, &of.proxy).is_some());
            rule.experiment.is_some()
                || self.origin(&rule.name) == Some(Origin::Api) && !is_named(&self.document, rule) && has_proxy
        };
        let kept: Vec<RuleSpec> = before.rules.iter().filter(|rule| is_kept(rule)).cloned().collect();
        self.adopt_rules(Origin::File);
        self.document.rules.extend(kept);
        warnings
    }

    /// Ends rules whose time is over.
    pub(crate) fn expire(&mut self, names: &[String]) {
        for name in names {
            if self.ordered.end(name) {
                continue;
            }
            let Some((place, _)) = self.rule(name) else { continue };
            let spec = self.document.rules.remove(place);
            if self.origin(name) == Some(Origin::File) {
                self.retired.insert(name.clone(), spec);
            }
        }
    }

    /// Who made the rule.
    pub(crate) fn origin(&self, name: &str) -> Option<Origin> {
        self.metas.get(name).map(|meta| meta.origin)
    }

    /// The finished document; `config` is its validated form. Starts the ttl of the rules that were put.
    pub(crate) fn finish(mut self, config: Arc<Config>, now: Now) -> Written {
        let names: BTreeSet<&str> = self.document.rules.iter().map(|rule| rule.name.as_str()).collect();
        self.metas.retain(|name, _| names.contains(name.as_str()));
        for rule in &config.rules {
            let name = rule.name.as_str();
            let Some(meta) = self.metas.get_mut(name).filter(|_| self.touched.contains(name)) else { continue };
            let default_ttl = (meta.origin == Origin::Api).then_some(config.limits.default_ttl);
            meta.made_at = now.wall;
            meta.expiry = rule.ttl.or(default_ttl).map(|ttl| Expiry::after(now, ttl));
        }
        if let Some(longest) = config.limits.blast_radius.ttl_max {
            self.metas.values_mut().for_each(|meta| meta.end_within(longest, now));
        }
        debug_assert!(self.document.rules.iter().all(|rule| self.metas.contains_key(&rule.name)));
        let Self { document, metas, retired, of_file, mut ordered, .. } = self;
        ordered.note(&metas);
        Written { document, config, metas, retired, of_file, ordered }
    }

    fn note_put(&mut self, name: &str, is_same: bool) {
        let origin = self.origin(name);
        if is_same && origin == Some(Origin::File) {
            return;
        }
        self.set_meta(name, Origin::Api);
    }

    fn adopt_rules(&mut self, origin: Origin) {
        let names: Vec<String> = self.document.rules.iter().map(|rule| rule.name.clone()).collect();
        for name in names.iter().filter(|name| self.origin(name).is_none()).cloned().collect::<Vec<_>>() {
            self.set_meta(&name, origin);
        }
    }

    fn set_meta(&mut self, name: &str, origin: Origin) {
        // The times are set when the document is known to be valid, in `finish`.
        let meta = RuleMeta { origin, made_at: SystemTime::UNIX_EPOCH, expiry: None };
        self.metas.insert(name.to_owned(), meta);
        self.touched.insert(name.to_owned());
    }
}

fn is_named(document: &ConfigSpec, rule: &RuleSpec) -> bool {
    document.rules.iter().any(|other| other.name == rule.name)
}
