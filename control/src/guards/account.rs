//! Whether more than a share of the requests is bad, and since when.
//!
//! "More than 1 % for a minute" is not the same as more than 1 % in each second of it: of a hundred requests in a second one
//! or none fails by chance. So there is an account: each bad request pays in 1, each request takes out the share. While
//! something is in it, more than the share was bad, counted from the moment at which it was empty last: that is how long
//! the condition holds. What it may hold is bounded by what ten seconds of traffic take out, so that a failure that is over is
//! forgotten after ten good seconds, however bad it was (a cumulative sum with a ceiling, as in Page's test for a change).
//! One bad request alone, which any share but none allows, is never too many.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A bad time is over after so much good traffic, or so much silence.
const FORGET_AFTER: Duration = Duration::from_secs(10);

/// Where the condition may hold for less, good traffic of a part of that time ends it; but of no less than this.
const FORGET_AFTER_MIN: Duration = Duration::from_secs(1);

/// Below this an account is empty: what thousands of additions of fractions leave.
const NOTHING: f64 = 1e-6;

/// Requests of some time, and how many of them were bad. Not whole numbers where a bound lies within a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Requests {
    /// All that say something.
    pub(crate) all: f64,
    /// Of them.
    pub(crate) bad: f64,
}

impl Requests {
    /// The share of the bad ones; `None` without requests.
    pub(crate) fn share(self) -> Option<f64> {
        (self.all > 0.0).then(|| self.bad / self.all)
    }
}

impl std::ops::AddAssign for Requests {
    fn add_assign(&mut self, more: Self) {
        self.all += more.all;
        self.bad += more.bad;
    }
}

/// The account. See the module.
#[derive(Debug)]
pub(crate) struct Account {
    /// From 0 to 1.
    share: f64,
    forget_after: Duration,
    balance: f64,
    /// The steps of the last `forget_after`.
    recent: VecDeque<(Instant, Requests)>,
    overdrawn: Option<Overdrawn>,
}

/// Something is in the account.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Overdrawn {
    /// Since when.
    pub(crate) since: Instant,
    /// What has come since then.
    pub(crate) requests: Requests,
    /// There was more in it than one bad request pays in.
    is_certain: bool,
}

impl Account {
    /// An empty one. `held_for` is how long the condition has to hold.
    pub(crate) fn new(share: f64, held_for: Duration) -> Self {
        debug_assert!(share > 0.0 && share < 1.0, "a share is neither none nor all");
        let forget_after = (held_for / 2).clamp(FORGET_AFTER_MIN, FORGET_AFTER);
        Self { share, forget_after, balance: 0.0, recent: VecDeque::new(), overdrawn: None }
    }

    /// Takes in what came since the last step. Gives since when too many are bad, if they are.
    pub(crate) fn step(&mut self, now: Instant, came: Requests) -> Option<Overdrawn> {
        self.recent.push_back((now, came));
        while self.recent.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= self.forget_after) {
            self.recent.pop_front();
        }
        let recent = self.recent();
        self.balance += came.bad - self.share * came.all;
        // Two bad requests always fit in: little traffic takes out little.
        let ceiling = if recent.all > 0.0 { (self.share * recent.all).max(2.0) } else { 0.0 };
        self.balance = self.balance.min(ceiling);
        if self.balance <= NOTHING {
            (self.balance, self.overdrawn) = (0.0, None);
        } else {
            let begin = Overdrawn { since: now, requests: Requests::default(), is_certain: false };
            let overdrawn = self.overdrawn.get_or_insert(begin);
            overdrawn.requests += came;
            overdrawn.is_certain |= self.balance > 1.0 + NOTHING;
        }
        self.check_invariants();
        self.overdrawn.filter(|overdrawn| overdrawn.is_certain)
    }

    /// What came in the last seconds.
    pub(crate) fn recent(&self) -> Requests {
        let mut sum = Requests::default();
        self.recent.iter().for_each(|(_, came)| sum += *came);
        sum
    }

    fn check_invariants(&self) {
        debug_assert!(self.balance >= 0.0 && self.balance.is_finite(), "an account has no debts");
        debug_assert_eq!(self.balance > 0.0, self.overdrawn.is_some());
        let is_more = |o: Overdrawn| o.requests.bad > self.share * o.requests.all;
        debug_assert!(self.overdrawn.is_none_or(is_more), "since then, more than the share was bad");
    }
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
