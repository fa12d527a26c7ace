//! Makes of what is seen while an experiment runs what its report says. Pure: it is told what happened, and when.

mod breaker;
mod durations;
mod evidence;
mod groups;
mod harm;
mod join;
mod looks;
mod phases;
mod pool;
mod retries;
mod routes;
mod series;
mod shares;
pub(super) mod statistics;

use std::time::{Duration, Instant};

use squall_config::model::{Direction, Experiment, Name};

use squall_fault::trace_share::TraceShare;
use squall_telemetry::{Outcome, Traffic};

use super::report::{JoinReport, Report, RunPhase, Sampled};
use breaker::{Breaker, Parts};
use groups::{Fact, Groups, Kind, Met};
use harm::{Finding, Harm, Known, Method};
use join::{Join, Joined, ORPHANED_AFTER, Root};
use retries::Retries;
use routes::Routes;
use series::{Queue, Series, begun, in_flight};
use shares::Shares;
use statistics::float;

/// With a smaller share of calls joined, A is said not to pass on ids.
const JOINED_MIN: f64 = 0.5;

/// What began so long ago has ended, for the look for silences.
const SETTLED_AFTER: Duration = Duration::from_secs(5);

/// Harm that is beyond doubt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CalledHarm {
    /// When it first was.
    pub(super) at: Instant,
    /// The e-value now.
    pub(super) evidence: f64,
    /// Harmed share of the faulted requests less that of those they are compared with.
    pub(super) difference: f64,
}

/// Everything that is measured of a run.
#[derive(Debug)]
pub(super) struct Study {
    began: Instant,
    spans: Spans,
    shares: Shares,
    join: Join,
    figures: Figures,
    is_finished: bool,
    /// Exchanges that the data plane had no room for.
    lost: u64,
}

/// When what was in force.
#[derive(Debug)]
struct Spans(Vec<Span>);

#[derive(Clone, Copy, Debug)]
struct Span {
    from: Instant,
    phase: RunPhase,
    is_paused: bool,
}

impl Spans {
    /// What was in force then; before the first, nothing.
    fn at(&self, at: Instant) -> Option<Span> {
        self.0.iter().rev().find(|span| span.from <= at).copied()
    }

    fn first(&self, phase: RunPhase) -> Option<Instant> {
        self.0.iter().find(|span| span.phase == phase).map(|span| span.from)
    }
}

/// What is made of joined exchanges.
#[derive(Debug)]
struct Figures {
    experiment: Name,
    /// The longest that a call to A may take.
    bound: Option<Duration>,
    counts: JoinReport,
    /// Calls of A that were faulted, and calls to A, as they come.
    faulted_calls: u64,
    asked: u64,
    /// All calls to A that began, looked at or not, and the time, while faults flow.
    all: All,
    groups: Groups,
    routes: Routes,
    harm: Harm,
    retries: Retries,
    breaker: Breaker,
    series: Series,
    queue: Queue,
}

impl Study {
    /// Of a run that began then. A call to A that takes longer than `latency_bound` is harmed: that of the steady state, if it
    /// has one for inbound traffic.
    pub(super) fn new(experiment: &Experiment, began: Instant, latency_bound: Option<Duration>) -> Self {
        let figures = Figures {
            experiment: experiment.name.clone(),
            bound: latency_bound,
            counts: JoinReport::default(),
            faulted_calls: 0,
            asked: 0,
            all: All::default(),
            groups: Groups::default(),
            routes: Routes::default(),
            harm: Harm::new(f64::from(experiment.expect.harmed.ppm()) / 1e6),
            retries: Retries::default(),
            breaker: Breaker::new(began),
            series: Series::new(began),
            queue: Queue::default(),
        };
        Self {
            began,
            spans: Spans(Vec::new()),
            shares: Shares::new(began),
            join: Join::new(),
            figures,
            is_finished: false,
            lost: 0,
        }
    }

    /// From now on exchanges of this share of the traces come, and no others.
    pub(super) fn look_at(&mut self, share: TraceShare, at: Instant) {
        self.shares.change(at, share);
    }

    /// A phase begins. A call to A belongs to the phase in which it began.
    pub(super) fn enter(&mut self, phase: RunPhase, at: Instant) {
        self.begin(Span { from: at, phase, is_paused: false });
    }

    /// While faults flow, none of the rules is in force from now on, as between two steps; or some are again. Calls to A that
    /// begin in a pause are of no group.
    pub(super) fn set_paused(&mut self, is_paused: bool, at: Instant) {
        if let Some(Span { phase, .. }) = self.spans.0.last().copied() {
            self.begin(Span { from: at, phase, is_paused });
        }
    }

    fn begin(&mut self, span: Span) {
        debug_assert!(self.spans.0.last().is_none_or(|last| last.from <= span.from), "time goes on");
        self.spans.0.push(span);
    }

    /// Takes in what ended since the last time, in any order, and leaves `outcomes` empty. `lost` more there was no room for.
    pub(super) fn take(&mut self, now: Instant, outcomes: &mut Vec<Outcome>, lost: u64) {
        self.lost += lost;
        for outcome in outcomes.drain(..) {
            // One of a worker that had not heard of a smaller share.
            if !self.shares.cover(outcome.place, outcome.began, outcome.began) {
                continue;
            }
            self.figures.see(&outcome, self.spans.at(outcome.began), self.shares.weight(outcome.began));
            self.join.insert(now, outcome);
        }
        let Self { join, figures, spans, shares, .. } = self;
        let in_force_since = spans.first(RunPhase::Injecting);
        join.settle(now, in_force_since, |joined| figures.settle(now, joined, spans, shares));
    }

    /// Takes in how many calls to A are under way.
    pub(super) fn sample(&mut self, now: Instant, traffic: &Traffic) {
        let in_flight = in_flight(traffic);
        self.figures.series.sample(now, in_flight);
        let span = self.spans.at(now);
        if let Some(span) = span.filter(|span| !span.is_paused) {
            self.figures.queue.sample(span.phase, in_flight);
        }
        self.figures.all.sample(now, begun(traffic), span.is_some_and(|span| span.phase == RunPhase::Injecting));
    }

    /// Nothing more will come: what still waits for other exchanges waits no longer.
    pub(super) fn finish(&mut self, now: Instant) {
        let Self { join, figures, spans, shares, .. } = self;
        join.finish(|joined| figures.settle(now, joined, spans, shares));
        self.is_finished = true;
    }

    /// Whether more harm than is tolerated is beyond doubt.
    pub(super) fn harm(&self) -> Option<CalledHarm> {
        let found = self.finding();
        let difference = found.difference.map_or(0.0, |difference| difference.value);
        found.called.map(|at| CalledHarm { at, evidence: found.evidence, difference })
    }

    /// Writes what is known into a report: `join`, `groups`, `exemplars`, `harm`, `retries`, `breaker`, `queue`, `routes` and
    /// `series`; leaves all else as it is.
    pub(super) fn fill(&self, now: Instant, report: &mut Report) {
        let Figures { groups, routes, harm, retries, breaker, series, queue, .. } = &self.figures;
        report.join = self.join_report();
        (report.groups, report.exemplars) = groups.report(routes);
        report.harm = harm.report(&self.finding(), |at| self.seconds(at));
        report.retries = retries.report();
        report.breaker = self.parts(now).map(|parts| breaker.report(parts)).unwrap_or_default();
        report.queue = queue.report();
        report.routes = routes.report();
        report.series = series.report();
    }

    fn join_report(&self) -> JoinReport {
        let counts = &self.figures.counts;
        let share = (counts.calls > 0).then(|| float(counts.joined) / float(counts.calls));
        let is_usable = share.is_some_and(|share| share >= JOINED_MIN);
        let sampled = (self.shares.one_in() > 1).then(|| self.figures.all.sampled(self.shares.one_in()));
        JoinReport { share, is_usable, sampled, lost: self.lost + self.join.lost(), ..counts.clone() }
    }

    fn finding(&self) -> Finding {
        let (join, groups) = (self.join_report(), &self.figures.groups);
        // Where no call was matched, as with faults of connections, that is known only at the end.
        let is_known = join.calls > 0 || self.is_finished;
        let known = Known {
            is_joined: is_known.then_some(join.is_usable),
            faulted: groups.requests(Kind::Faulted),
            control: groups.requests(Kind::Control),
            baseline: groups.requests(Kind::Baseline),
            injecting: join.requests,
        };
        self.figures.harm.find(Method::choose(known))
    }

    /// `None` before anything was injected.
    fn parts(&self, now: Instant) -> Option<Parts> {
        let known_until = if self.is_finished { now } else { now.checked_sub(SETTLED_AFTER)?.max(self.began) };
        let end = |phase| self.spans.first(phase);
        let recovering = end(RunPhase::Recovering).or(end(RunPhase::Done)).or(end(RunPhase::Aborted));
        Some(Parts {
            injecting: self.seconds(self.spans.first(RunPhase::Injecting)?),
            recovering: recovering.map(|at| self.seconds(at)),
            known_until: self.seconds(known_until),
        })
    }

    fn seconds(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.began).as_secs_f64()
    }
}

impl Figures {
    /// What an exchange met of the rules of this experiment.
    fn met(&self, outcome: &Outcome) -> Met {
        Met::of(outcome, &self.experiment)
    }

    /// Notes what an exchange says by itself; it stands for so many.
    fn see(&mut self, outcome: &Outcome, span: Option<Span>, weight: u64) {
        let (met, is_inbound) = (self.met(outcome), outcome.direction == Direction::Inbound);
        self.breaker.add(outcome, met);
        self.series.add(outcome, met, weight);
        let Some(span) = span.filter(|span| span.phase == RunPhase::Injecting) else { return };
        self.all.looked_at += u64::from(is_inbound);
        if !span.is_paused {
            self.faulted_calls += u64::from(met == Met::Faulted) * weight;
            self.asked += u64::from(is_inbound) * weight;
        }
    }

    /// Takes in what waits no longer. Of what was not looked at all the while nobody knows what else belongs to it.
    fn settle(&mut self, now: Instant, joined: Joined, spans: &Spans, shares: &Shares) {
        match joined {
            Joined::Orphan(call) => {
                let first = call.began.checked_sub(ORPHANED_AFTER).unwrap_or(call.began);
                let is_alone = shares.cover(call.place, first, call.began);
                self.counts.calls += u64::from(is_alone && self.met(&call) != Met::Nothing);
            }
            Joined::Root(root) if shares.cover(root.inbound.place, root.inbound.began, now) => {
                let span = spans.at(root.inbound.began);
                self.settle_root(now, &root, span);
            }
            Joined::Root(_) => {}
        }
    }

    fn settle_root(&mut self, now: Instant, root: &Root, span: Option<Span>) {
        let mut calls: Vec<&Outcome> = root.calls.iter().filter(|call| self.met(call) != Met::Nothing).collect();
        self.counts.calls += calls.len() as u64;
        self.counts.joined += calls.len() as u64;
        self.counts.ids_added += u64::from(root.inbound.has_added_ids);
        let own = self.met(&root.inbound);
        let is_faulted = own == Met::Faulted || calls.iter().any(|call| self.met(call) == Met::Faulted);
        let is_matched = own != Met::Nothing || !calls.is_empty();
        let route = self.routes.id(&root.inbound.route);
        let fact = Fact::new(&root.inbound, route, root.calls.len() as u64, self.bound);
        match span.map(|span| (span.phase, span.is_paused)) {
            // What began before, and met a rule, is neither here nor there.
            Some((RunPhase::Baseline, _)) if !is_matched => self.baseline(fact),
            Some((RunPhase::Injecting, is_paused)) => {
                self.counts.requests += 1;
                let route = self.routes.get_mut(fact.route);
                route.uses_faulted |= is_matched;
                route.injecting.add(fact.is_harmed, fact.took);
                if !is_paused {
                    let kind = match (is_faulted, is_matched) {
                        (true, _) => Kind::Faulted,
                        (false, true) => Kind::Control,
                        (false, false) => Kind::Others,
                    };
                    self.injecting(now, kind, fact);
                    self.series.add_to_group(root.inbound.ended, kind, &fact);
                    if !calls.is_empty() {
                        self.retries.add(&mut calls, is_faulted);
                    }
                }
            }
            _ => {}
        }
    }

    fn baseline(&mut self, fact: Fact) {
        self.routes.get_mut(fact.route).baseline.add(fact.is_harmed, fact.took);
        self.harm.baseline(fact.route, fact.is_harmed);
        self.groups.add(Kind::Baseline, fact, &mut self.routes);
    }

    fn injecting(&mut self, now: Instant, kind: Kind, fact: Fact) {
        match kind {
            Kind::Faulted => self.harm.faulted(now, fact.route, fact.is_harmed),
            Kind::Control => self.harm.control(fact.route, fact.is_harmed),
            Kind::Others | Kind::Baseline => {}
        }
        self.harm.injecting(now, fact.route, fact.is_harmed, self.faulted_share());
        self.groups.add(kind, fact, &mut self.routes);
    }

    /// Which share of the calls to A has a faulted call; all, where it is not seen which calls are faulted.
    fn faulted_share(&self) -> f64 {
        if self.faulted_calls == 0 || self.asked == 0 {
            return 1.0;
        }
        (float(self.faulted_calls) / float(self.asked)).min(1.0)
    }
}

/// Calls to A while faults flow, whether they are looked at or not.
#[derive(Debug, Default)]
struct All {
    /// When it was looked last, if faults flowed then, and how many had begun.
    last: Option<(Instant, u64)>,
    begun: u64,
    over: Duration,
    looked_at: u64,
}

impl All {
    fn sample(&mut self, now: Instant, begun: u64, is_injecting: bool) {
        if let Some((at, before)) = self.last {
            self.begun += begun.saturating_sub(before);
            self.over += now.saturating_duration_since(at);
        }
        self.last = is_injecting.then_some((now, begun));
    }

    fn sampled(&self, one_in: u64) -> Sampled {
        let each_second = |count: u64| if self.over.is_zero() { 0.0 } else { float(count) / self.over.as_secs_f64() };
        Sampled { one_in, requests_per_second: each_second(self.begun), joined_per_second: each_second(self.looked_at) }
    }
}

#[cfg(test)]
mod tests;
