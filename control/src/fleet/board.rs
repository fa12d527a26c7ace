//! How it stands with the controller: what the follower, the clock, the kill switch and the API share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use schemars::JsonSchema;
use serde::Serialize;

use crate::document::{Expiry, Now};
use crate::text::rfc3339;

/// What came back when the controller was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControllerAnswer {
    /// Orders.
    Orders,
    /// A status of 400 to 499: it does not take us for one of its own.
    Refused,
    /// Another status.
    Failed,
    /// Something that is no orders, or came too late.
    Invalid,
    /// Nothing in time.
    None,
}

impl ControllerAnswer {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Orders, Self::Refused, Self::Failed, Self::Invalid, Self::None];

    /// The word of the metric.
    pub fn label(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Invalid => "invalid",
            Self::None => "none",
        }
    }
}

/// How it stands, in numbers, for the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControllerStats {
    /// Whether its orders hold.
    pub connected: bool,
    /// What came back so far, in the order of [`ControllerAnswer::ALL`].
    pub answers: [u64; ControllerAnswer::ALL.len()],
}

/// How it stands with the controller whose orders are followed.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ControllerStatus")]
pub(crate) struct ControllerOut {
    /// Where it is.
    url: String,
    /// Whether its orders hold.
    connected: bool,
    /// Since when they do, or do not. RFC 3339.
    since: String,
    /// How long they hold without another answer; null when they do not.
    lease_left_seconds: Option<f64>,
    /// Which orders are in force; null when none are.
    revision: Option<String>,
    /// What went wrong when it was asked last; null when nothing did.
    problem: Option<String>,
}

/// How it stands with the controller.
#[derive(Debug, Default)]
pub(crate) struct ControllerBoard(Mutex<Option<Standing>>);

#[derive(Debug)]
struct Standing {
    url: String,
    lease: Option<Expiry>,
    since: SystemTime,
    revision: Option<String>,
    /// Whether it halts all faults.
    halts: bool,
    problem: Option<String>,
    answers: [u64; ControllerAnswer::ALL.len()],
}

impl ControllerBoard {
    /// The controller at this address is asked from now on.
    pub(super) fn begin(&self, url: String) {
        let (since, answers) = (SystemTime::now(), Default::default());
        *self.standing() =
            Some(Standing { url, lease: None, since, revision: None, halts: false, problem: None, answers });
    }

    /// It answered; its orders hold for so long. Gives whether they did not hold before.
    pub(super) fn renew(&self, lease: Duration, now: Now) -> bool {
        let mut standing = self.standing();
        let Some(standing) = standing.as_mut() else { return false };
        let is_new = standing.lease.replace(Expiry::after(now, lease)).is_none();
        if is_new {
            standing.since = now.wall;
        }
        is_new
    }

    /// Ends the lease, when its time is over. Gives whether it did.
    pub(crate) fn end_lease(&self, now: Now) -> bool {
        let mut standing = self.standing();
        let Some(standing) = standing.as_mut() else { return false };
        if standing.lease.take_if(|lease| lease.is_over(now)).is_none() {
            return false;
        }
        (standing.since, standing.revision, standing.halts) = (now.wall, None, false);
        true
    }

    /// Whether its orders hold.
    pub(crate) fn holds(&self, now: Now) -> bool {
        self.standing().as_ref().is_some_and(|standing| standing.holds(now))
    }

    /// When the lease ends, on the monotonic clock, unless it is renewed.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.standing().as_ref()?.lease.map(|lease| lease.deadline)
    }

    /// Which orders are in force.
    pub(super) fn revision(&self) -> Option<String> {
        self.standing().as_ref()?.revision.clone()
    }

    /// These orders are in force, as long as the lease lasts.
    pub(super) fn follow(&self, revision: &str) {
        if let Some(standing) = self.standing().as_mut().filter(|standing| standing.lease.is_some()) {
            standing.revision = Some(revision.to_owned());
        }
    }

    /// Notes whether it halts all faults.
    pub(super) fn set_halts(&self, halts: bool) {
        if let Some(standing) = self.standing().as_mut() {
            standing.halts = halts;
        }
    }

    /// Whether it halts all faults.
    pub(crate) fn halts(&self, now: Now) -> bool {
        self.standing().as_ref().is_some_and(|standing| standing.halts && standing.holds(now))
    }

    /// Notes what came back, and what is wrong. Gives whether something is wrong now, and nothing was before.
    pub(super) fn note(&self, answer: ControllerAnswer, problem: Option<String>) -> bool {
        let mut standing = self.standing();
        let Some(standing) = standing.as_mut() else { return false };
        if let Some(place) = ControllerAnswer::ALL.iter().position(|other| *other == answer) {
            standing.answers[place] += 1;
        }
        let is_new = problem.is_some() && standing.problem.is_none();
        standing.problem = problem;
        is_new
    }

    /// In numbers; `None` where there is no controller.
    pub(crate) fn stats(&self, now: Now) -> Option<ControllerStats> {
        let standing = self.standing();
        let standing = standing.as_ref()?;
        Some(ControllerStats { connected: standing.holds(now), answers: standing.answers })
    }

    /// For the API; `None` where there is no controller.
    pub(crate) fn out(&self, now: Now) -> Option<ControllerOut> {
        let standing = self.standing();
        let Standing { url, lease, since, revision, problem, .. } = standing.as_ref()?;
        let left = lease.map(|lease| lease.left(now).as_secs_f64()).filter(|left| *left > 0.0);
        Some(ControllerOut {
            url: url.clone(),
            connected: left.is_some(),
            since: rfc3339(*since),
            lease_left_seconds: left.map(|left| (left * 1000.0).round() / 1000.0),
            revision: revision.clone(),
            problem: problem.clone(),
        })
    }

    fn standing(&self) -> MutexGuard<'_, Option<Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing {
    fn holds(&self, now: Now) -> bool {
        self.lease.is_some_and(|lease| !lease.is_over(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_hold_as_long_as_the_lease() {
        let (board, lease) = (ControllerBoard::default(), Duration::from_secs(10));
        assert!(!board.renew(lease, Now::read()) && board.stats(Now::read()).is_none(), "there is no controller");
        board.begin("https://c/".to_owned());
        board.follow("early");
        assert_eq!((board.holds(Now::read()), board.revision()), (false, None));
        assert!(board.renew(lease, Now::read()) && !board.renew(lease, Now::read()), "the first one is new");
        board.follow("7");
        board.set_halts(true);
        let before = Now::in_seconds(9);
        assert!(board.holds(before) && board.halts(before) && !board.end_lease(before));
        let after = Now::in_seconds(10);
        assert!(!board.holds(after) && !board.halts(after), "whether anybody noticed or not");
        assert_eq!(board.revision().as_deref(), Some("7"));
        assert!(board.end_lease(after) && !board.end_lease(after), "once");
        assert_eq!((board.revision(), board.deadline()), (None, None));
        assert!(board.renew(lease, after) && !board.halts(after), "what it orders now is not known yet");
    }

    #[test]
    fn no_step_of_the_clock_makes_the_lease_longer() {
        let (board, now) = (ControllerBoard::default(), Now::read());
        board.begin("https://c/".to_owned());
        board.renew(Duration::from_secs(10), now);
        let (slept, set_back) = (now.set_by(11), now.later(Duration::from_secs(11)).set_by(-3611));
        assert!(board.holds(now) && !board.holds(slept) && !board.holds(set_back));
    }

    #[test]
    fn trouble_is_new_once() {
        let board = ControllerBoard::default();
        board.begin("https://c/".to_owned());
        let trouble = || Some("refused".to_owned());
        assert!(board.note(ControllerAnswer::None, trouble()) && !board.note(ControllerAnswer::None, trouble()));
        assert!(!board.note(ControllerAnswer::Orders, None) && board.note(ControllerAnswer::Failed, trouble()));
        assert_eq!(board.stats(Now::read()).map(|stats| stats.answers), Some([1, 0, 1, 0, 2]));
    }
}
