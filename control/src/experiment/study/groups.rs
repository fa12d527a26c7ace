//! What became of calls to A: of those whose calls were faulted, beside those whose calls were not.

use std::collections::VecDeque;
use std::time::Duration;

use squall_config::model::Name;
use squall_telemetry::Outcome;

use super::durations::Durations;
use super::looks::Look;
use super::routes::Routes;
use super::statistics::{float, share};
use crate::experiment::report::{Exemplar, Group, Groups as GroupsReport};

/// Of so many requests of the faulted group it is told at the end how they ended, when all is known about the control group; of
/// older ones by what was known when one more came.
const FACTS_MAX: usize = 65_536;

/// With fewer in the control group there is no saying what is late.
const CONTROL_MIN: u64 = 100;

/// So many of each ending are shown.
const EXEMPLARS: usize = 5;

/// What an exchange met of the rules of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met {
    /// None matched it.
    Nothing,
    /// One matched, and its share did not pick the exchange.
    Matched,
    /// One faulted it.
    Faulted,
}

impl Met {
    pub(super) fn of(outcome: &Outcome, experiment: &Name) -> Self {
        match &outcome.matched {
            Some(by) if by.experiment != *experiment => Self::Nothing,
            Some(by) if by.is_picked => Self::Faulted,
            Some(_) => Self::Matched,
            None => Self::Nothing,
        }
    }
}

/// Whose calls were faulted, and whose were not. See [`GroupsReport`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Faulted,
    Control,
    Others,
    Baseline,
}

/// What is kept of a call to A.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fact {
    pub(super) route: u16,
    pub(super) took: Duration,
    pub(super) is_failed: bool,
    pub(super) is_harmed: bool,
    is_fallback: bool,
    look: Look,
    status: Option<u16>,
    trace: u128,
    calls: u64,
}

impl Fact {
    /// Of a call to A for which A made so many calls. `bound` is the longest that it may take.
    pub(super) fn new(inbound: &Outcome, route: u16, calls: u64, bound: Option<Duration>) -> Self {
        let took = inbound.ended.saturating_duration_since(inbound.began);
        let is_failed = is_failed(inbound);
        Self {
            route,
            took,
            is_failed,
            is_harmed: is_failed || bound.is_some_and(|bound| took > bound),
            is_fallback: inbound.fallbacks != 0,
            look: Look::new(inbound.shape, inbound.response_bytes),
            status: inbound.status,
            trace: inbound.trace,
            calls,
        }
    }
}

/// No answer, one of 5xx, a gRPC status that speaks of the server (UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE or
/// DATA_LOSS, as for the ejection of endpoints), or a caller that waited no longer.
pub(super) fn is_failed(outcome: &Outcome) -> bool {
    let is_grpc_failure = matches!(outcome.grpc_status, Some(2 | 4 | 13 | 14 | 15));
    outcome.is_abandoned || outcome.status.is_none_or(|status| status >= 500) || is_grpc_failure
}

/// How a call to A ended; the words of [`Group`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Absorbed,
    Slower,
    Degraded,
    Propagated,
}

/// How many ended how.
#[derive(Clone, Copy, Debug, Default)]
struct Endings {
    absorbed: u64,
    slower: u64,
    degraded: u64,
    propagated: u64,
}

impl Endings {
    fn add(&mut self, ending: Ending) {
        match ending {
            Ending::Absorbed => self.absorbed += 1,
            Ending::Slower => self.slower += 1,
            Ending::Degraded => self.degraded += 1,
            Ending::Propagated => self.propagated += 1,
        }
    }
}

/// A group.
#[derive(Debug, Default)]
struct Members {
    requests: u64,
    harmed: u64,
    endings: Endings,
    durations: Durations,
}

impl Members {
    fn add(&mut self, fact: &Fact) {
        self.requests += 1;
        self.harmed += u64::from(fact.is_harmed);
        self.durations.add(fact.took);
    }

    /// One of a group whose requests are the measure of the others: nothing is late or looks odd there.
    fn add_plain(&mut self, fact: &Fact) {
        self.add(fact);
        self.endings.add(match fact {
            Fact { is_failed: true, .. } => Ending::Propagated,
            Fact { is_fallback: true, .. } => Ending::Degraded,
            _ => Ending::Absorbed,
        });
    }

    fn report(&self, endings: Endings) -> Group {
        let of = |count: u64| share(count, self.requests);
        Group {
            requests: self.requests,
            absorbed: of(endings.absorbed),
            slower: of(endings.slower),
            degraded: of(endings.degraded),
            propagated: of(endings.propagated),
            harmed: of(self.harmed),
            p50: self.durations.quantile(0.5),
            p90: self.durations.quantile(0.9),
            p99: self.durations.quantile(0.99),
            max: self.durations.max(),
        }
    }
}

/// The groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    faulted: Members,
    facts: VecDeque<Fact>,
    control: Members,
    others: Members,
    baseline: Members,
}

impl Groups {
    /// Takes in a call to A.
    pub(super) fn add(&mut self, kind: Kind, fact: Fact, routes: &mut Routes) {
        match kind {
            Kind::Faulted => {
                self.faulted.add(&fact);
                self.facts.push_back(fact);
                if self.facts.len() > FACTS_MAX {
                    self.settle_oldest(routes);
                }
                return;
            }
            Kind::Control => self.control.add_plain(&fact),
            Kind::Others => self.others.add_plain(&fact),
            Kind::Baseline => self.baseline.add_plain(&fact),
        }
        let route = routes.get_mut(fact.route);
        if kind == Kind::Control {
            route.control.add(fact.took);
        }
        if kind != Kind::Others && !fact.is_failed {
            route.looks.add(fact.look);
        }
    }

    /// How many are in a group.
    pub(super) fn requests(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Faulted => self.faulted.requests,
            Kind::Control => self.control.requests,
            Kind::Others => self.others.requests,
            Kind::Baseline => self.baseline.requests,
        }
    }

    /// How the groups fared, and some of the faulted one.
    pub(super) fn report(&self, routes: &Routes) -> (GroupsReport, Vec<Exemplar>) {
        let mut endings = self.faulted.endings;
        let mut exemplars = Vec::new();
        for fact in &self.facts {
            let ending = self.ending(fact, routes);
            endings.add(ending);
            show(&mut exemplars, fact, ending, routes);
        }
        let plain = |members: &Members| members.report(members.endings);
        let report = GroupsReport {
            faulted: self.faulted.report(endings),
            control: plain(&self.control),
            others: plain(&self.others),
            baseline: plain(&self.baseline),
        };
        (report, exemplars)
    }

    fn settle_oldest(&mut self, routes: &Routes) {
        if let Some(fact) = self.facts.pop_front() {
            let ending = self.ending(&fact, routes);
            self.faulted.endings.add(ending);
        }
    }

    fn ending(&self, fact: &Fact, routes: &Routes) -> Ending {
        let is_late = |than: f64| fact.took.as_secs_f64() > than;
        if fact.is_failed {
            Ending::Propagated
        } else if fact.is_fallback || routes.get(fact.route).looks.is_unusual(fact.look) {
            Ending::Degraded
        } else if self.late(fact.route, routes).is_some_and(is_late) {
            Ending::Slower
        } else {
            Ending::Absorbed
        }
    }

    /// Longer than this is later than nearly all of the control group: of the route, else of all routes, else of the time
    /// before anything was injected.
    fn late(&self, route: u16, routes: &Routes) -> Option<f64> {
        let known = [&routes.get(route).control, &self.control.durations, &self.baseline.durations];
        // What a histogram says may be short of the truth by its error.
        known.into_iter().find(|d| d.len() >= CONTROL_MIN)?.quantile(0.99).map(|p99| p99 * 1.01)
    }
}

fn show(exemplars: &mut Vec<Exemplar>, fact: &Fact, ending: Ending, routes: &Routes) {
    let word = match ending {
        Ending::Absorbed => "absorbed",
        Ending::Slower => "slower",
        Ending::Degraded => "degraded",
        Ending::Propagated => "propagated",
    };
    if exemplars.iter().filter(|e| e.ending == word).count() == EXEMPLARS {
        return;
    }
    exemplars.push(Exemplar {
        trace_id: if fact.trace == 0 { String::new() } else { format!("{:032x}", fact.trace) },
        ending: word.to_owned(),
        route: routes.get(fact.route).name().to_owned(),
        status: fact.status,
        seconds: float(u64::try_from(fact.took.as_micros()).unwrap_or(u64::MAX)) / 1e6,
        calls: fact.calls,
    });
}

#[cfg(test)]
#[path = "groups_tests.rs"]
mod tests;
