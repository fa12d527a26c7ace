//! Which share of the traces is joined: all of them, as long as no more exchanges come than the experiments want looked at.
//!
//! At first all are, whatever comes, until it is seen by which id A's calls can be told to belong to a request: by that id a
//! trace is in the share or not.
//!
//! Then it is also known whether ids are needed by others than those in the share: a request that Squall gives an id carries it
//! through two listeners. They are for the share alone ([`TraceShare::with_own_ids_alone`]) when
//! - A passes on the very id that decides, and nothing else was seen;
//! - hardly any request brings an id of its own, and at least half of the calls have one of Squall's;
//! - no rule in force, and none of an experiment under way, hangs on ids ([`Rule::hangs_on_ids`]);
//! - and as long as what is looked at stands for all that flows, in either direction ([`represented`]): calls that come without an
//!   id, or with one of A's own, are taken for those of requests that were given none. Were they A's own doing, or did A pass
//!   on ids for some routes only, the share of joined calls would be told too high.
//!
//! When one of these does not hold, all requests are given ids again, and calls without any are looked at like others.

mod represented;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use squall_config::model::Direction;
#[cfg(doc)]
use squall_config::model::Rule;
use squall_fault::trace_share::{SharedId, TraceShare, is_own_id};
use squall_telemetry::{Outcome, Traffic};

use self::represented::Represented;

/// Over so long a time exchanges are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// In less than this they are no rate.
const WINDOW_MIN: Duration = Duration::from_millis(200);

/// When the load falls, this is waited for before more are joined: each change costs traces that are under way.
const CALM: Duration = Duration::from_secs(10);

/// As much less than the most has to come before more are joined, or the share would go up and down.
const ROOM: f64 = 0.8;

/// From so many requests it is known by which id they are passed on.
const KNOWN_FROM: u32 = 200;

/// So many have to have passed on the very id that decides, and none anything else, or both are given to those that have none.
const SOLE_FROM: u32 = 50;

/// Of so many requests that were given an id at most one brings another, when ids are for the share alone.
const OTHERS_ONE_IN: u32 = 20;

/// And after this from what there is.
const KNOWN_AFTER: Duration = Duration::from_secs(1);

/// What the runs ask for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Exchanges, of all of them the run that wants most.
    pub(super) per_second: u64,
    /// Ids are not for the share alone, whatever A does: a rule hangs on them, be it in force or not yet, or none are given.
    pub(super) all_ids: bool,
}

/// Says which share is joined.
#[derive(Debug)]
pub(super) struct Sampler {
    began: Instant,
    share: TraceShare,
    /// At each look of the last window.
    begun: VecDeque<Begun>,
    calm: Option<Calm>,
    learnt: Learnt,
    /// While ids are for the share alone.
    represented: Represented,
    /// It was seen that ids have to be for all.
    is_disproved: bool,
}

/// How many exchanges had begun at a moment.
#[derive(Clone, Copy, Debug)]
struct Begun {
    at: Instant,
    count: u64,
}

/// Since when fewer halvings would do, and how many would have.
#[derive(Clone, Copy, Debug)]
struct Calm {
    since: Instant,
    halvings: u8,
}

impl Sampler {
    /// Joins all, from that moment on.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            began: now,
            share: TraceShare::default(),
            begun: VecDeque::new(),
            calm: None,
            learnt: Learnt::default(),
            represented: Represented::default(),
            is_disproved: false,
        }
    }

    /// The share now.
    pub(super) fn share(&self) -> TraceShare {
        self.share
    }

    /// What was under way at this moment does not come any more.
    pub(super) fn begin_anew(&mut self) {
        self.represented = Represented::default();
    }

    /// Looks at what came; gives the share from now on when it is another.
    pub(super) fn step(
        &mut self,
        now: Instant,
        traffic: &Traffic,
        outcomes: &[Outcome],
        wanted: Wanted,
    ) -> Option<TraceShare> {
        let before = self.share;
        if before.halvings() == 0 {
            self.learnt.learn(outcomes);
        } else if before.own_id_alone().is_some() {
            self.is_disproved |= !self.represented.look(now, traffic, outcomes, before.halvings());
        }
        let halvings = self.halvings(now, traffic, wanted.per_second as f64).unwrap_or(before.halvings());
        if halvings == 0 && before.halvings() == 0 {
            return None;
        }
        // What decides cannot change while some are left out.
        let (by, passed_on) = self.learnt.by();
        let share = TraceShare::new(halvings, if before.halvings() == 0 { by } else { before.by() });
        let share = match passed_on {
            _ if halvings == 0 || wanted.all_ids || self.is_disproved => share,
            PassedOn::Unknown => share,
            PassedOn::Itself => share.with_sole_id(),
            PassedOn::OwnAlone => share.with_own_ids_alone(),
        };
        if share == before {
            return None;
        }
        (self.share, self.represented) = (share, Represented::default());
        Some(share)
    }

    /// How often the traces are to be halved from now on; `None` as before.
    fn halvings(&mut self, now: Instant, traffic: &Traffic, wanted: f64) -> Option<u8> {
        let rate = self.rate(now, traffic)?;
        let needed = halvings(rate, wanted);
        let is_known = self.learnt.requests >= KNOWN_FROM || now.saturating_duration_since(self.began) >= KNOWN_AFTER;
        let halvings = match needed.cmp(&self.share.halvings()) {
            std::cmp::Ordering::Greater if is_known => Some(needed),
            std::cmp::Ordering::Less => return self.calmed(now, halvings(rate / ROOM, wanted)),
            _ => None,
        };
        self.calm = None;
        halvings
    }

    /// Exchanges a second, in the last of them.
    fn rate(&mut self, now: Instant, traffic: &Traffic) -> Option<f64> {
        let count = traffic.totals.iter().map(|totals| totals.begun).sum();
        self.begun.push_back(Begun { at: now, count });
        while self.begun.get(1).is_some_and(|begun| now.saturating_duration_since(begun.at) >= WINDOW) {
            self.begun.pop_front();
        }
        let first = self.begun.front()?;
        let over = now.saturating_duration_since(first.at);
        // Listeners come and go, and what they counted with them.
        (over >= WINDOW_MIN).then(|| count.saturating_sub(first.count) as f64 / over.as_secs_f64())
    }

    /// How many halvings have been enough for a while, when those are fewer than now.
    fn calmed(&mut self, now: Instant, needed: u8) -> Option<u8> {
        if needed >= self.share.halvings() {
            self.calm = None;
            return None;
        }
        let before = self.calm.unwrap_or(Calm { since: now, halvings: needed });
        let calm = Calm { halvings: before.halvings.max(needed), ..before };
        let is_over = now.saturating_duration_since(calm.since) >= CALM;
        self.calm = (!is_over).then_some(calm);
        is_over.then_some(calm.halvings)
    }
}

/// So many leave no more than `wanted` of `rate`.
fn halvings(rate: f64, wanted: f64) -> u8 {
    (0..TraceShare::HALVINGS_MAX)
        .find(|n| rate / f64::from(2_u32.pow(u32::from(*n))) <= wanted)
        .unwrap_or(TraceShare::HALVINGS_MAX)
}

/// By which id calls are known to belong to requests.
#[derive(Debug, Default)]
struct Learnt {
    /// Requests to A that were looked at.
    requests: u32,
    trace: Agreement,
    request: Agreement,
}

/// What is known of ids that requests have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PassedOn {
    /// It may be that A passes on another than the one that decides.
    Unknown,
    /// A passes on that one.
    Itself,
    /// And it is one that Squall gave.
    OwnAlone,
}

/// Whether requests and calls agree when one id decides.
#[derive(Debug, Default)]
struct Agreement {
    requests: HashSet<u64, RandomState>,
    /// And whether the call had that id itself, not the other kind in its stead.
    calls: HashMap<u64, bool, RandomState>,
    /// Requests to A with a place that a call had, and those where it had the id itself.
    agreed: u32,
    agreed_itself: u32,
    /// Those with a place that a request before had.
    repeated: u32,
    seen: u32,
    inbound: Makers,
    outbound: Makers,
}

/// Who made the ids of exchanges.
#[derive(Debug, Default)]
struct Makers {
    own: u32,
    /// Somebody else.
    others: u32,
    none: u32,
}

impl Makers {
    fn look(&mut self, id: u128) {
        let count = match id {
            0 => &mut self.none,
            id if is_own_id(id) => &mut self.own,
            _ => &mut self.others,
        };
        *count += 1;
    }
}

impl Learnt {
    /// Looks at some more, until there were enough.
    fn learn(&mut self, outcomes: &[Outcome]) {
        if self.requests >= KNOWN_FROM {
            return;
        }
        // Calls end before the requests that they are made for.
        for direction in [Direction::Outbound, Direction::Inbound] {
            for outcome in
                outcomes.iter().filter(|outcome| outcome.direction == direction).take(20 * KNOWN_FROM as usize)
            {
                self.requests += u32::from(direction == Direction::Inbound);
                self.trace.look(outcome, SharedId::Trace);
                self.request.look(outcome, SharedId::Request);
            }
        }
    }

    /// The id by which more agree; the trace when there is no difference, and none when it hardly ever changes. With whether
    /// A passes on that one in any case.
    fn by(&self) -> (SharedId, PassedOn) {
        let usable = [(SharedId::Request, &self.request), (SharedId::Trace, &self.trace)]
            .into_iter()
            .filter(|(_, agreement)| 2 * agreement.repeated <= agreement.seen);
        let best = usable.max_by_key(|(_, agreement)| (agreement.agreed, agreement.agreed_itself));
        best.map_or((SharedId::None, PassedOn::Unknown), |(by, agreement)| (by, agreement.passed_on()))
    }
}

impl Agreement {
    fn passed_on(&self) -> PassedOn {
        let Self { agreed, agreed_itself, inbound, outbound, .. } = self;
        // A request that a rule answered was given none. Calls of requests from before the first look have none either.
        let is_own = inbound.others <= inbound.own / OTHERS_ONE_IN && outbound.others + outbound.none <= outbound.own;
        match agreed_itself == agreed && *agreed >= SOLE_FROM {
            true if is_own => PassedOn::OwnAlone,
            true => PassedOn::Itself,
            false => PassedOn::Unknown,
        }
    }

    fn look(&mut self, outcome: &Outcome, by: SharedId) {
        let id = if by == SharedId::Trace { outcome.trace } else { outcome.request_id };
        match outcome.direction {
            Direction::Inbound => self.inbound.look(id),
            Direction::Outbound => self.outbound.look(id),
        }
        let Some(place) = TraceShare::new(0, by).place(outcome.trace, outcome.request_id) else { return };
        if outcome.direction == Direction::Outbound {
            *self.calls.entry(place).or_insert(true) &= id != 0;
            return;
        }
        self.seen += 1;
        if self.requests.insert(place) {
            let call = self.calls.get(&place);
            self.agreed += u32::from(call.is_some());
            self.agreed_itself += u32::from(call == Some(&true));
        } else {
            self.repeated += 1;
        }
    }
}

#[cfg(test)]
#[path = "sampler_tests.rs"]
mod tests;
