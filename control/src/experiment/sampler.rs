//! Which share of the traces is joined: all of them, as long as no more exchanges come than the experiments want looked at.
//!
//! At first all are, whatever comes, until it is seen by which id A's calls can be told to belong to a request: by that id a
//! trace is in the share or not.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use squall_config::model::Direction;
use squall_fault::trace_share::{SharedId, TraceShare};

use crate::data_plane::{ExchangeOutcome, Traffic};

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

/// And after this from what there is.
const KNOWN_AFTER: Duration = Duration::from_secs(1);

/// Says which share is joined.
#[derive(Debug)]
pub(super) struct Sampler {
    began: Instant,
    share: TraceShare,
    /// Exchanges that have begun, at each look of the last window.
    begun: VecDeque<(Instant, u64)>,
    /// Since when fewer halvings would do, and how many would have.
    calm: Option<(Instant, u8)>,
    learnt: Learnt,
}

impl Sampler {
    /// Joins all, from that moment on.
    pub(super) fn new(now: Instant) -> Self {
        let (begun, learnt) = (VecDeque::new(), Learnt::default());
        Self { began: now, share: TraceShare::default(), begun, calm: None, learnt }
    }

    /// The share now.
    pub(super) fn share(&self) -> TraceShare {
        self.share
    }

    /// Looks at what came; gives the share from now on when it is another. `wanted` is how many exchanges a second are.
    pub(super) fn step(
        &mut self,
        now: Instant,
        traffic: &Traffic,
        outcomes: &[ExchangeOutcome],
        wanted: u64,
    ) -> Option<TraceShare> {
        if self.share.halvings() == 0 {
            self.learnt.learn(outcomes);
        }
        let rate = self.rate(now, traffic)?;
        let needed = halvings(rate, wanted as f64);
        let is_known = self.learnt.requests >= KNOWN_FROM || now.saturating_duration_since(self.began) >= KNOWN_AFTER;
        let halvings = match needed.cmp(&self.share.halvings()) {
            std::cmp::Ordering::Greater if is_known => needed,
            std::cmp::Ordering::Less => self.calmed(now, halvings(rate / ROOM, wanted as f64))?,
            _ => {
                self.calm = None;
                return None;
            }
        };
        self.calm = None;
        // What decides cannot change while some are left out.
        let (by, is_sole) = self.learnt.by();
        let by = if self.share.halvings() == 0 { by } else { self.share.by() };
        let share = TraceShare::new(halvings, by);
        self.share = if is_sole && halvings > 0 { share.with_sole_id() } else { share };
        Some(self.share)
    }

    /// Exchanges a second, in the last of them.
    fn rate(&mut self, now: Instant, traffic: &Traffic) -> Option<f64> {
        let begun = traffic.totals.iter().map(|totals| totals.begun).sum();
        self.begun.push_back((now, begun));
        while self.begun.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WINDOW) {
            self.begun.pop_front();
        }
        let (from, before) = *self.begun.front()?;
        let over = now.saturating_duration_since(from);
        // Listeners come and go, and what they counted with them.
        (over >= WINDOW_MIN).then(|| begun.saturating_sub(before) as f64 / over.as_secs_f64())
    }

    /// How many halvings have been enough for a while, when those are fewer than now.
    fn calmed(&mut self, now: Instant, needed: u8) -> Option<u8> {
        if needed >= self.share.halvings() {
            self.calm = None;
            return None;
        }
        let (since, most) = self.calm.map_or((now, needed), |(since, most)| (since, most.max(needed)));
        self.calm = Some((since, most));
        (now.saturating_duration_since(since) >= CALM).then_some(most)
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
}

impl Learnt {
    /// Looks at some more, until there were enough.
    fn learn(&mut self, outcomes: &[ExchangeOutcome]) {
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
    fn by(&self) -> (SharedId, bool) {
        let usable = [(SharedId::Request, &self.request), (SharedId::Trace, &self.trace)]
            .into_iter()
            .filter(|(_, agreement)| 2 * agreement.repeated <= agreement.seen);
        let best = usable.max_by_key(|(_, agreement)| (agreement.agreed, agreement.agreed_itself));
        let is_sole = |a: &Agreement| a.agreed >= SOLE_FROM && a.agreed_itself == a.agreed;
        best.map_or((SharedId::None, false), |(by, agreement)| (by, is_sole(agreement)))
    }
}

impl Agreement {
    fn look(&mut self, outcome: &ExchangeOutcome, by: SharedId) {
        let Some(place) = TraceShare::new(0, by).place(outcome.trace, outcome.request_id) else { return };
        if outcome.direction == Direction::Outbound {
            let id = if by == SharedId::Trace { outcome.trace } else { outcome.request_id };
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
