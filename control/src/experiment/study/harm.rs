//! Whether the faulted group was harmed, by the best comparison that there is.

use std::time::Instant;

use super::evidence::Evidence;
use super::phases::PhaseEvidence;
use super::statistics::Difference;
use crate::experiment::report::HarmReport;

/// In percent of the faulted group, the control group must have as many requests to be compared with.
const CONTROL_MIN_PERCENT: u64 = 2;

/// Whatever became of a faulted request: it is taken for harmed, to see whether that would have been beyond doubt.
const HARMED: bool = true;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// Those that were faulted, with those that were not, at the same time.
    Groups,
    /// Those that were faulted, with those before: there is no control group, or nearly none.
    FaultedWithBefore,
    /// All, with those before: it is not known which were faulted.
    AllWithBefore,
}

/// What is known to choose by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Calls are joined; `None`: nobody knows yet.
    pub(super) is_joined: Option<bool>,
    pub(super) faulted: u64,
    pub(super) control: u64,
    pub(super) baseline: u64,
    pub(super) injecting: u64,
}

impl Method {
    /// The best that can be done.
    pub(super) fn choose(known: Known) -> Option<Self> {
        let Known { is_joined, faulted, control, baseline, injecting } = known;
        match is_joined? {
            true if faulted == 0 => None,
            true if control * 100 >= faulted * CONTROL_MIN_PERCENT && control > 0 => Some(Self::Groups),
            true => (baseline > 0).then_some(Self::FaultedWithBefore),
            false => (baseline > 0 && injecting > 0).then_some(Self::AllWithBefore),
        }
    }
}

/// Evidence of all methods, since it shows late which is best.
#[derive(Debug)]
pub(super) struct Harm {
    tolerated: f64,
    groups: Weighed<Evidence>,
    faulted: Weighed<PhaseEvidence>,
    all: Weighed<PhaseEvidence>,
    /// Faulted requests that the requests so far stand for, beyond whole ones.
    remainder: f64,
}

/// Evidence, and what it would be if each faulted request had been harmed.
#[derive(Debug)]
struct Weighed<T> {
    real: T,
    potential: T,
    called: Option<Instant>,
}

impl<T> Weighed<T> {
    fn new(real: T, potential: T) -> Self {
        Self { real, potential, called: None }
    }

    fn both(&mut self, mut add: impl FnMut(&mut T)) {
        add(&mut self.real);
        add(&mut self.potential);
    }
}

impl Harm {
    /// None yet. `tolerated` is a share.
    pub(super) fn new(tolerated: f64) -> Self {
        let groups = || Evidence::new(tolerated);
        let phases = || PhaseEvidence::new(tolerated);
        Self {
            tolerated,
            groups: Weighed::new(groups(), groups()),
            faulted: Weighed::new(phases(), phases()),
            all: Weighed::new(phases(), phases()),
            remainder: 0.0,
        }
    }

    /// A request before anything was injected.
    pub(super) fn baseline(&mut self, route: u16, is_harmed: bool) {
        self.faulted.both(|evidence| evidence.before(route, is_harmed));
        self.all.both(|evidence| evidence.before(route, is_harmed));
    }

    /// A request of the control group.
    pub(super) fn control(&mut self, route: u16, is_harmed: bool) {
        self.groups.both(|evidence| evidence.control(route, is_harmed));
    }

    /// A request of the faulted group.
    pub(super) fn faulted(&mut self, at: Instant, route: u16, is_harmed: bool) {
        self.groups.real.faulted(route, is_harmed);
        self.groups.potential.faulted(route, HARMED);
        self.faulted.real.now(route, is_harmed, 1.0);
        self.faulted.potential.now(route, HARMED, 1.0);
        note(&mut self.groups.called, at, self.groups.real.is_called());
        note(&mut self.faulted.called, at, self.faulted.real.is_called());
    }

    /// A request of any group while faults flow, of which this share was faulted.
    pub(super) fn injecting(&mut self, at: Instant, route: u16, is_harmed: bool, share: f64) {
        self.remainder += share;
        let is_faulted = self.remainder >= 1.0;
        self.remainder -= if is_faulted { 1.0 } else { 0.0 };
        self.all.real.now(route, is_harmed, share);
        self.all.potential.now(route, is_harmed || is_faulted, share);
        note(&mut self.all.called, at, self.all.real.is_called());
    }

    /// What it says by a method.
    pub(super) fn find(&self, method: Option<Method>) -> Finding {
        let Self { groups, faulted, all, .. } = self;
        match method {
            None => Finding::default(),
            Some(Method::Groups) => Finding {
                method: "joined",
                difference: groups.real.difference(),
                evidence: groups.real.value(),
                called: groups.called,
                could_be_called: groups.potential.is_called(),
            },
            Some(Method::FaultedWithBefore) => of_phases(faulted),
            Some(Method::AllWithBefore) => of_phases(all),
        }
    }

    /// A finding for the report; `at` gives seconds since the start of the run.
    pub(super) fn report(&self, found: &Finding, at: impl Fn(Instant) -> f64) -> HarmReport {
        HarmReport {
            method: found.method.to_owned(),
            tolerated: self.tolerated,
            difference: found.difference.map(|difference| difference.value),
            low: found.difference.map(|difference| difference.low),
            high: found.difference.map(|difference| difference.high),
            evidence: found.evidence,
            is_called: found.called.is_some(),
            called_at: found.called.map(at),
            could_be_called: found.could_be_called,
        }
    }
}

fn note(called: &mut Option<Instant>, at: Instant, is_called: bool) {
    if is_called {
        called.get_or_insert(at);
    }
}

fn of_phases(weighed: &Weighed<PhaseEvidence>) -> Finding {
    Finding {
        method: "phases",
        difference: weighed.real.difference(),
        evidence: weighed.real.value(),
        called: weighed.called,
        could_be_called: weighed.potential.is_called(),
    }
}

/// What one method says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Finding {
    method: &'static str,
    pub(super) difference: Option<Difference>,
    pub(super) evidence: f64,
    /// When it first was beyond doubt.
    pub(super) called: Option<Instant>,
    could_be_called: bool,
}
