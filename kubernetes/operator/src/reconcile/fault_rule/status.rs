//! The status of a FaultRule: pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use squall_config::Problems;

use crate::crds::check::CheckedRule;
use crate::crds::{Conditions, FaultRuleStatus, Says};
use crate::fleet::RuleState;

pub(super) const PENDING: &str = "Pending";
pub(super) const REFUSED: &str = "Refused";
const INJECTING: &str = "Injecting";
const PAUSED: &str = "Paused";
const HALTED: &str = "Halted";
const EXPIRED: &str = "Expired";

/// Where a rule is between its beginning and its end.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Life {
    /// It is not valid, and why.
    Refused(String),
    /// It is not to be in force.
    Paused,
    /// It is to be in force.
    InForce { started: Timestamp, expires: Timestamp },
    /// It was.
    Expired { started: Timestamp, expires: Timestamp },
}

impl Life {
    /// At this time. Of the same generation of a spec the times are those that were told; another one begins anew.
    pub(super) fn of(
        told: Option<&FaultRuleStatus>,
        generation: Option<i64>,
        checked: &Result<CheckedRule, Problems>,
        now: Timestamp,
    ) -> Self {
        let rule = match checked {
            Err(problems) => return Self::Refused(problems.to_string()),
            Ok(rule) if !rule.is_enabled => return Self::Paused,
            Ok(rule) => rule,
        };
        let told = told.filter(|told| told.observed_generation == generation);
        let told = told.and_then(|told| Some((told.started_at.as_ref()?.0, told.expires_at.as_ref()?.0)));
        let (started, expires) = told.unwrap_or_else(|| {
            // As precise as it will be read again.
            let started = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
            (started, started.checked_add(rule.ttl).unwrap_or(Timestamp::MAX))
        });
        if now < expires { Self::InForce { started, expires } } else { Self::Expired { started, expires } }
    }

    /// When it ends or ended.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        self.times().map(|(_, expires)| expires)
    }

    fn times(&self) -> Option<(Timestamp, Timestamp)> {
        match self {
            Self::InForce { started, expires } | Self::Expired { started, expires } => Some((*started, *expires)),
            Self::Refused(_) | Self::Paused => None,
        }
    }

    fn phase(&self, state: &RuleState) -> &'static str {
        match self {
            Self::Refused(_) => REFUSED,
            Self::Paused => PAUSED,
            Self::Expired { .. } => EXPIRED,
            Self::InForce { .. } if state.share.halted.is_some() => HALTED,
            Self::InForce { .. } if state.in_force > 0 => INJECTING,
            Self::InForce { .. } => PENDING,
        }
    }
}

pub(super) fn status(
    before: Option<&FaultRuleStatus>,
    generation: Option<i64>,
    life: &Life,
    state: &RuleState,
    now: Timestamp,
) -> FaultRuleStatus {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let times = life.times();
    let phase = life.phase(state);
    let mut conditions = before.map(|before| before.conditions.clone()).unwrap_or_default();
    let mut set = |type_, says| Conditions::set(&mut conditions, type_, now, generation, says);
    set("Accepted", accepted(life));
    set("Selected", selected(life, phase, state));
    set("Injected", injected(life, phase, state));
    set("Recovered", recovered(life, state));
    let is_expired = matches!(life, Life::Expired { .. });
    let reason = if is_expired { "TtlOver" } else { "TtlNotOver" };
    set("Expired", Says { status: Some(is_expired), reason, message: String::new() });
    let is_in_force = matches!(life, Life::InForce { .. });
    FaultRuleStatus {
        observed_generation: generation,
        phase: phase.to_owned(),
        conditions,
        matched_pods: if is_in_force { count(state.share.matched) } else { 0 },
        hit_pods: if is_in_force { count(state.share.hit.len()) } else { 0 },
        matched_total: state.total.matched,
        injected_total: state.total.injected,
        started_at: times.map(|(started, _)| MicroTime(started)),
        expires_at: times.map(|(_, expires)| MicroTime(expires)),
    }
}

/// For an event.
pub(super) fn note(status: &FaultRuleStatus) -> String {
    match status.phase.as_str() {
        INJECTING => format!("in force in some of {} pods", status.hit_pods),
        REFUSED => "the rule is not valid; its condition Accepted says why".to_owned(),
        EXPIRED => format!("{} faults were injected", status.injected_total),
        _ => String::new(),
    }
}

fn says(status: bool, reason: &str, message: impl Into<String>) -> Says<'_> {
    Says { status: Some(status), reason, message: message.into() }
}

fn accepted(life: &Life) -> Says<'static> {
    match life {
        Life::Refused(problems) => says(false, "Invalid", problems.clone()),
        _ => says(true, "Valid", ""),
    }
}

fn selected(life: &Life, phase: &'static str, state: &RuleState) -> Says<'static> {
    let share = &state.share;
    match life {
        Life::InForce { .. } if share.halted.is_some() => says(false, HALTED, share.halted.clone().unwrap_or_default()),
        Life::InForce { .. } if share.matched == 0 => says(false, "NoPods", "no connected sidecar matches"),
        Life::InForce { .. } if share.wanted == 0 => says(false, "NothingOfThem", "the share of pods is 0%"),
        Life::InForce { .. } if share.hit.is_empty() => {
            says(false, "MaxPodsHit", "others hit as many pods as --max-pods-hit allows")
        }
        Life::InForce { .. } => {
            let reason = if share.hit.len() < share.wanted { "SomeByMaxPodsHit" } else { "PodsSelected" };
            says(true, reason, format!("{} of {} connected pods that match", share.hit.len(), share.matched))
        }
        _ => says(false, phase, ""),
    }
}

fn injected(life: &Life, phase: &'static str, state: &RuleState) -> Says<'static> {
    let hit = state.share.hit.len();
    match life {
        Life::InForce { .. } if hit == 0 => says(false, "NoPods", ""),
        Life::InForce { .. } if !state.problems.is_empty() => says(false, "Problem", state.problems.join("\n")),
        Life::InForce { .. } if state.in_force == hit => says(true, "InForce", format!("in {hit} pods")),
        Life::InForce { .. } => says(false, "Waiting", format!("in force in {} of {hit} pods", state.in_force)),
        _ => says(false, phase, ""),
    }
}

/// Nothing of the rule is in force anywhere, as far as sidecars are heard: one that is silent has ended it.
fn recovered(life: &Life, state: &RuleState) -> Says<'static> {
    let is_ordered = matches!(life, Life::InForce { .. }) && state.share.halted.is_none();
    match state.still {
        _ if is_ordered => says(false, "InForce", ""),
        0 => says(true, "NowhereInForce", ""),
        n => says(false, "Waiting", format!("still in force in {n} pods")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use squall_config::model::Pods;
    use squall_config::spec::RuleSpec;

    use super::*;
    use crate::fleet::Share;

    fn rule(is_enabled: bool) -> Result<CheckedRule, Problems> {
        let ttl = Duration::from_secs(60);
        Ok(CheckedRule { pods: Pods::default(), rule: RuleSpec::default(), ttl, is_enabled })
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    fn state(hit: usize, in_force: usize, still: usize) -> RuleState {
        let hit = (0..hit).map(|n| n.to_string()).collect();
        RuleState { share: Share { matched: 4, wanted: 2, hit, halted: None }, in_force, still, ..RuleState::default() }
    }

    #[test]
    fn times_are_kept_within_a_generation_and_begin_anew_with_the_next() {
        let first = Life::of(None, Some(1), &rule(true), at(0));
        assert_eq!(first, Life::InForce { started: at(0), expires: at(60) });
        let told = status(None, Some(1), &first, &RuleState::default(), at(0));
        let read: FaultRuleStatus = serde_json::from_value(serde_json::to_value(&told).unwrap()).unwrap();
        assert_eq!(Life::of(Some(&read), Some(1), &rule(true), at(50)), first);
        assert_eq!(
            Life::of(Some(&read), Some(1), &rule(true), at(60)),
            Life::Expired { started: at(0), expires: at(60) }
        );
        assert_eq!(
            Life::of(Some(&read), Some(2), &rule(true), at(50)),
            Life::InForce { started: at(50), expires: at(110) }
        );
        assert_eq!(Life::of(Some(&read), Some(1), &rule(false), at(50)), Life::Paused);
    }

    #[test]
    fn phases_and_conditions_follow_each_other() {
        let life = Life::of(None, Some(1), &rule(true), at(0));
        let pending = status(None, Some(1), &life, &state(2, 0, 0), at(0));
        assert_eq!((pending.phase.as_str(), pending.matched_pods, pending.hit_pods), (PENDING, 4, 2));
        assert!(pending.conditions.is_true("Accepted") && pending.conditions.is_true("Selected"));
        assert!(!pending.conditions.is_true("Injected") && !pending.conditions.is_true("Recovered"));
        let some = status(Some(&pending), Some(1), &life, &state(2, 1, 1), at(1));
        assert!(some.phase == INJECTING && !some.conditions.is_true("Injected"));
        let all = status(Some(&some), Some(1), &life, &state(2, 2, 2), at(2));
        assert!(all.conditions.is_true("Injected"));
        let life = Life::of(Some(&all), Some(1), &rule(true), at(61));
        let over = status(Some(&all), Some(1), &life, &state(0, 0, 1), at(61));
        assert!(over.phase == EXPIRED && over.conditions.is_true("Expired") && !over.conditions.is_true("Recovered"));
        let recovered = status(Some(&over), Some(1), &life, &state(0, 0, 0), at(62));
        assert!(recovered.conditions.is_true("Recovered") && recovered.hit_pods == 0);
        assert_eq!(status(Some(&recovered), Some(1), &life, &state(0, 0, 0), at(63)), recovered, "nothing to write");
    }

    #[test]
    fn what_keeps_a_rule_from_being_in_force_is_told() {
        let life = Life::of(None, Some(1), &rule(true), at(0));
        let reason = |state: &RuleState, type_: &str| {
            let told = serde_json::to_value(status(None, Some(1), &life, state, at(0))).unwrap();
            let conditions = told["conditions"].as_array().unwrap().clone();
            let condition = conditions.into_iter().find(|condition| condition["type"] == type_).unwrap();
            condition["reason"].as_str().unwrap().to_owned()
        };
        assert_eq!(reason(&RuleState::default(), "Selected"), "NoPods");
        assert_eq!(reason(&state(0, 0, 0), "Selected"), "MaxPodsHit");
        assert_eq!(reason(&state(1, 0, 0), "Selected"), "SomeByMaxPodsHit");
        assert_eq!(reason(&RuleState { problems: vec!["x".to_owned()], ..state(2, 1, 1) }, "Injected"), "Problem");
        let halted =
            RuleState { share: Share { halted: Some("deploy".to_owned()), ..Share::default() }, ..state(0, 0, 0) };
        let told = status(None, Some(1), &life, &halted, at(0));
        assert!(told.phase == HALTED && told.conditions.is_true("Recovered"));
        let refused = Life::of(None, Some(1), &Err(Problems::default()), at(0));
        assert_eq!(status(None, Some(1), &refused, &RuleState::default(), at(0)).phase, REFUSED);
    }
}
