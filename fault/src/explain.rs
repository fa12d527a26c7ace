//! Why does a rule hit this request, or not? The same matcher and planner as [`crate::decide`]; counts nothing.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use squall_config::model::{Fault, Match, Mode, Name, Sample, StickyKey, ValueMatch};
use squall_config::pattern::Pattern;
use squall_config::units::{Percentage, format_duration};

use crate::decide::{Exclusion, Planning, Spared};
use crate::grpc::Call;
use crate::matcher::{Condition, match_listener, match_request};
use crate::meta::RequestMeta;
use crate::plan::{RuleIndex, Step};
use crate::requested::Asking;
use crate::sample::{Asker, Counting, Passed};
use crate::snapshot::{CompiledListener, CompiledRule, Snapshot};

/// What one rule says to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleVerdict {
    /// The rule.
    pub rule: Name,
    /// Whether it applies here and all its conditions hold.
    pub matched: bool,
    /// The first condition that fails and what it saw; when all hold, why the request is picked or passed.
    pub reason: String,
    /// The kinds of fault that this request would get from the rule if it were the next to arrive; empty when it would
    /// get none.
    pub would_inject: Vec<&'static str>,
}

/// A verdict for every rule of the snapshot, in order.
pub fn explain_request(
    snapshot: &Snapshot,
    listener: &CompiledListener,
    request: &RequestMeta<'_>,
) -> Vec<RuleVerdict> {
    let mut explanation = Explanation {
        snapshot,
        listener,
        request,
        planning: Planning::default(),
        spared: Exclusion::new(snapshot, listener, request.path),
    };
    RuleIndex::all().zip(&snapshot.rules).map(|(index, rule)| explanation.verdict(index, rule)).collect()
}

struct Explanation<'a> {
    snapshot: &'a Snapshot,
    listener: &'a CompiledListener,
    request: &'a RequestMeta<'a>,
    planning: Planning,
    spared: Exclusion<'a>,
}

impl Explanation<'_> {
    fn verdict(&mut self, index: RuleIndex, rule: &CompiledRule) -> RuleVerdict {
        let name = rule.rule.name.clone();
        if let Err(reason) = self.check(rule) {
            return RuleVerdict { rule: name, matched: false, reason, would_inject: Vec::new() };
        }
        let (reason, would_inject) = self.outcome(index, rule);
        RuleVerdict { rule: name, matched: true, reason, would_inject }
    }

    fn check(&self, rule: &CompiledRule) -> Result<(), String> {
        if self.snapshot.halted {
            return Err("all faults are halted".to_owned());
        }
        if !rule.rule.enabled {
            return Err("the rule is disabled".to_owned());
        }
        if rule.rule.matches.upgrade.is_some() {
            return Err("the rule acts on what flows in a tunnel, not on the request that opens it".to_owned());
        }
        if !rule.rule.can_hit_http(self.listener.listener.protocol) {
            return Err("no fault of the rule applies to HTTP exchanges on this listener".to_owned());
        }
        let matches = &rule.rule.matches;
        match_listener(matches, &self.listener.listener)
            .and_then(|()| match_request(rule, self.request))
            .map_err(|condition| self.mismatch(matches, condition))
    }

    fn outcome(&mut self, index: RuleIndex, rule: &CompiledRule) -> (String, Vec<&'static str>) {
        if let Some(spared) = self.spared.spares(rule) {
            return (self.spared_by(spared), Vec::new());
        }
        let ordinal = rule.state.matched.load(Relaxed);
        let share = share(rule.rule.percentage, &rule.rule.sample);
        let count = ordinal.saturating_add(1);
        let draw = match rule.outcome(self.snapshot, Asker::Request(self.request), ordinal, Counting::LookOnly) {
            Ok(draw) => draw,
            Err(Passed::NotPicked) => {
                return (format!("matches; takes {share}, and match number {count} is not picked"), Vec::new());
            }
            Err(Passed::NoKey) => {
                return (format!("matches; takes {share}, and the request has none of that"), Vec::new());
            }
        };
        let before = self.planning.plan.steps().len();
        let cluster = self.listener.listener.cluster.as_str();
        let asking = Asking { headers: self.request.headers, cluster };
        let Ok(next) = self.planning.with_http(index, rule, draw, asking) else {
            return ("matches and is picked, but earlier rules fill the plan".to_owned(), Vec::new());
        };
        let added = &next.plan.steps()[before..];
        let is_requested = matches!(rule.rule.faults.first(), Some(Fault::Requested(_)));
        if added.is_empty() && is_requested {
            return ("matches, but nothing that the caller asks for is granted".to_owned(), Vec::new());
        }
        if added.is_empty() {
            return ("matches and is picked, but an earlier rule ends the exchange first".to_owned(), Vec::new());
        }
        let kind = |step: &Step| self.snapshot.step_fault(*step).kind();
        let kinds: Vec<&'static str> = added.iter().map(kind).collect();
        let deadline = self.deadline(added);
        let reason = format!("matches; takes {share}, and match number {count} is picked{deadline}");
        match rule.rule.mode {
            Mode::Inject => {
                self.planning = next;
                (reason, kinds)
            }
            Mode::Shadow => {
                let kinds = kinds.join(" and ");
                (format!("{reason}; in shadow mode, so that {kinds} is counted and not injected"), Vec::new())
            }
        }
    }

    fn spared_by(&self, spared: Spared) -> String {
        let (path, cluster) = (self.request.path, self.listener.listener.cluster.as_str());
        match spared {
            Spared::Protected if self.listener.is_protected => {
                format!("cluster {cluster:?} is in limits.protected.clusters; no rule reaches it")
            }
            Spared::Protected => format!("path {path:?} is in limits.protected.paths; no rule reaches it"),
            Spared::ExcludedPath => {
                format!("path {path:?} is in limits.exclude_paths; only a rule that names it exactly reaches it")
            }
        }
    }

    /// What the deadline of a gRPC call means for the delays of the rule.
    fn deadline(&self, added: &[Step]) -> String {
        let Some(timeout) = Call::of(self.request).and_then(|call| call.timeout) else { return String::new() };
        let is_delay = |step: &&Step| self.snapshot.step_fault(**step).kind() == "delay";
        let latency: Duration = added.iter().filter(is_delay).map(Step::delay).sum();
        let (timeout, is_late) = (format_duration(timeout), latency >= timeout);
        match (latency.is_zero(), is_late) {
            (true, _) => format!("; the caller's deadline is {timeout}"),
            (false, true) => {
                format!("; its delay of {} lasts beyond the caller's deadline of {timeout}", format_duration(latency))
            }
            (false, false) => {
                format!("; its delay of {} is within the caller's deadline of {timeout}", format_duration(latency))
            }
        }
    }

    fn mismatch(&self, matches: &Match, condition: Condition) -> String {
        let listener = &self.listener.listener;
        let request = self.request;
        match condition {
            Condition::Listener => format!("listener is {:?}", listener.name.as_str()),
            Condition::Direction => format!("direction is {}", listener.direction.as_str()),
            Condition::Cluster => format!("cluster is {:?}", listener.cluster.as_str()),
            Condition::Source => format!("source {} is in none of the listed networks", request.source),
            Condition::Endpoint => format!("endpoint {} is not the one asked for", request.endpoint.address),
            Condition::Method => format!("method {} is not listed", request.method),
            Condition::Path => format!("path {:?} does not match {}", request.path, wanted(matches.path.as_ref())),
            Condition::Authority => {
                format!("authority {:?} does not match {}", request.authority, wanted(matches.authority.as_ref()))
            }
            Condition::Grpc => format!("{:?} is not a gRPC call of that service and method", request.path),
            Condition::Header(at) => {
                field("header", matches.headers.get(at).map(|(name, value)| (name.as_str(), value)))
            }
            Condition::Query(at) => {
                field("query parameter", matches.query.get(at).map(|(name, value)| (name.as_str(), value)))
            }
        }
    }
}

fn field(what: &str, condition: Option<(&str, &ValueMatch)>) -> String {
    match condition {
        Some((name, ValueMatch::Present(true))) => format!("{what} {name:?} is absent"),
        Some((name, ValueMatch::Present(false))) => format!("{what} {name:?} is present"),
        Some((name, ValueMatch::Pattern(pattern))) => {
            format!("{what} {name:?} has no value that matches {}", wanted(Some(pattern)))
        }
        None => format!("{what} does not match"),
    }
}

fn wanted(pattern: Option<&Pattern>) -> String {
    match pattern {
        Some(Pattern::Exact(text)) => format!("{text:?}"),
        Some(Pattern::Prefix(text)) => format!("prefix {text:?}"),
        Some(Pattern::Glob(glob)) => format!("glob {:?}", glob.glob().glob()),
        Some(Pattern::Regex(regex)) => format!("regex {:?}", regex.as_str()),
        None => "anything".to_owned(),
    }
}

/// Such as `5% of what matches`.
fn share(percentage: Percentage, sample: &Sample) -> String {
    let percent = f64::from(percentage.ppm()) / 10_000.0;
    match sample {
        Sample::Random => format!("{percent}% of what matches"),
        Sample::Exact => format!("exactly {percent}% of what matches"),
        Sample::First(n) => format!("{percent}% of the first {n} matches"),
        Sample::Every(n) => format!("{percent}% of one match in {n}"),
        Sample::Sticky(StickyKey::Trace) => format!("{percent}% of all traces"),
        Sample::Sticky(StickyKey::Source) => format!("{percent}% of all source addresses"),
        Sample::Sticky(StickyKey::Header(name)) => format!("{percent}% of all values of {name}"),
        Sample::Attempt(n) => format!("{percent}% of attempts number {n}"),
    }
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;
    use http::{HeaderMap, HeaderName, HeaderValue};
    use squall_config::model::{Phase, Rule};

    use super::*;
    use crate::decide::decide_request;
    use crate::testing::*;

    fn rules() -> Vec<Rule> {
        let path = Match { path: Pattern::glob("/v2/*").ok(), ..Match::default() };
        let header = ("x-key".parse().unwrap(), ValueMatch::Present(true));
        let header = Match { headers: vec![header], ..Match::default() };
        let faults = || vec![delay(Phase::Request, 1), abort()];
        vec![
            Rule { enabled: false, ..rule("off", faults()) },
            Rule { matches: path, ..rule("path", faults()) },
            Rule { matches: header, ..rule("header", faults()) },
            Rule { matches: Match { listener: Some(name("db")), ..Match::default() }, ..rule("db", faults()) },
            share_rule("never", Percentage::NEVER, Sample::Random),
            rule("all", faults()),
            rule("late", faults()),
        ]
    }

    #[test]
    fn every_rule_has_a_reason_and_nothing_is_counted() {
        let snapshot = snapshot(1, rules());
        let verdicts = explain_request(&snapshot, &snapshot.listeners[0], &get(&snapshot, "/v1/x"));
        let reasons: Vec<&str> = verdicts.iter().map(|verdict| verdict.reason.as_str()).collect();
        assert_eq!(
            reasons,
            [
                "the rule is disabled",
                "path \"/v1/x\" does not match glob \"/v2/*\"",
                "header \"x-key\" is absent",
                "listener is \"to-b\"",
                "matches; takes 0% of what matches, and match number 1 is not picked",
                "matches; takes 100% of what matches, and match number 1 is picked",
                "matches and is picked, but an earlier rule ends the exchange first",
            ]
        );
        assert_eq!(
            verdicts.iter().map(|v| v.matched).collect::<Vec<_>>(),
            [false, false, false, false, true, true, true]
        );
        assert_eq!(verdicts[5].would_inject, ["delay", "abort"]);
        assert!(snapshot.rules.iter().all(|rule| rule.state.matched.load(Relaxed) == 0));
    }

    #[test]
    fn explanation_foretells_the_decision() {
        let rules = vec![share_rule("a", percent(50.0), Sample::Random), share_rule("b", percent(30.0), Sample::Exact)];
        let snapshot = snapshot(5, rules);
        let (listener, request) = (&snapshot.listeners[0], get(&snapshot, "/"));
        for _ in 0..200 {
            let verdicts = explain_request(&snapshot, listener, &request);
            let plan = decide_request(&snapshot, listener, &request).plan;
            for (index, verdict) in RuleIndex::all().zip(&verdicts) {
                assert_eq!(!verdict.would_inject.is_empty(), plan.rules().any(|rule| rule == index));
            }
        }
    }

    #[test]
    fn deadlines_of_grpc_calls_are_compared_with_delays() {
        let snapshot = snapshot(1, vec![rule("slow", vec![delay(Phase::Request, 2_000)]), rule("end", vec![abort()])]);
        let headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/grpc+proto")),
            (HeaderName::from_static("grpc-timeout"), HeaderValue::from_static("500m")),
        ]);
        let request = RequestMeta { headers: &headers, ..get(&snapshot, "/a.B/C") };
        let verdicts = explain_request(&snapshot, &snapshot.listeners[0], &request);
        assert!(verdicts[0].reason.ends_with("; its delay of 2s lasts beyond the caller's deadline of 500ms"));
        assert!(verdicts[1].reason.ends_with("; the caller's deadline is 500ms"), "{}", verdicts[1].reason);
    }

    #[test]
    fn exclusion_and_halt_are_reasons() {
        let snapshot = snapshot(1, rules());
        let verdicts = explain_request(&snapshot, &snapshot.listeners[0], &get(&snapshot, "/healthz"));
        assert!(verdicts[5].matched && verdicts[5].reason.contains("limits.exclude_paths"), "{:?}", verdicts[5]);
        let halted = crate::compile(
            snapshot.config.clone(),
            Some(&snapshot),
            crate::Stamp { generation: 2, halted: true, seed: 1 },
        );
        let verdicts = explain_request(&halted, &halted.listeners[0], &get(&halted, "/"));
        assert!(verdicts.iter().all(|verdict| verdict.reason == "all faults are halted"));
    }
}
