use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use squall_config::load_text;
use squall_config::spec::LeaseSpec;

use super::*;
use crate::publish::tests::{FakePlane, publisher_of};
use crate::state::Start;
use crate::switch::Switch;
use crate::write::Precondition;

const TTL: Duration = Duration::from_secs(30);

fn publisher(more: &str) -> (Arc<Publisher>, Arc<FakePlane>) {
    let text = format!("version: 1\nrules: [{{name: slow, percentage: 5, fault: {{delay: 2s}}}}]\n{more}");
    let (document, config) = load_text(&text).unwrap();
    publisher_of(Start::load(document, config).unwrap(), None)
}

fn by_anybody() -> Write {
    Write::by(Actor::default())
}

fn take(publisher: &Publisher, holder: &str, now: Now) -> Result<bool, UpdateError> {
    publisher.take_lease(&by_anybody(), holder, TTL, now)
}

fn reason(publisher: &Publisher) -> Option<String> {
    publisher.view().halt.map(|halt| halt.reason)
}

fn resume(publisher: &Publisher) -> Result<u64, UpdateError> {
    publisher.switch(&by_anybody(), "", Switch::Resume)
}

#[test]
fn a_lease_that_nobody_renews_halts_and_whoever_comes_back_resumes() {
    let (publisher, _plane) = publisher("");
    let now = Now::read();
    assert!(take(&publisher, "ci", now).unwrap());
    let renewed = now.later(TTL / 2);
    assert!(!take(&publisher, "ci", renewed).unwrap(), "renewed, not taken");
    assert!(!publisher.expire_lease(now.later(TTL)));
    assert!(!publisher.expire_lease(renewed.later(TTL - Duration::from_millis(1))));
    assert_eq!(reason(&publisher), None);
    assert!(publisher.expire_lease(renewed.later(TTL)));
    assert_eq!(reason(&publisher).as_deref(), Some("the lease of ci ran out"));
    assert!(!publisher.expire_lease(renewed.later(TTL * 2)), "once");
    // Back again: nothing flows before somebody says so.
    let back = renewed.later(TTL * 3);
    assert!(take(&publisher, "ci", back).unwrap());
    assert!(publisher.stats().halted);
    resume(&publisher).unwrap();
    assert!(!publisher.stats().halted);
    let operations: Vec<String> = publisher.audit.last(10).into_iter().map(|entry| entry.operation).collect();
    assert_eq!(operations, ["change", "halt", "change", "change"], "taken, lost, taken, resumed; renewals are no news");
}

#[test]
fn a_renewal_that_comes_too_late_is_none() {
    let (publisher, _plane) = publisher("");
    let now = Now::read();
    take(&publisher, "ci", now).unwrap();
    assert!(take(&publisher, "ci", now.later(TTL)).unwrap(), "taken anew");
    assert_eq!(reason(&publisher).as_deref(), Some("the lease of ci ran out"));
}

#[test]
fn no_renewal_ends_a_halt() {
    let (publisher, _plane) = publisher("lease: {ttl: 30s}\n");
    take(&publisher, "ci", Now::read()).unwrap();
    resume(&publisher).unwrap();
    publisher.halt(Actor::Squall(Part::Signal), "SIGUSR1");
    for _ in 0..3 {
        take(&publisher, "ci", Now::read()).unwrap();
        assert_eq!(reason(&publisher).as_deref(), Some("SIGUSR1"));
    }
    assert!(publisher.view().snapshot.halted);
}

#[test]
fn where_the_configuration_asks_for_a_lease_nothing_flows_without() {
    let (publisher, _plane) = publisher("lease: {ttl: 30s}\n");
    assert_eq!(reason(&publisher).as_deref(), Some(NOBODY));
    assert!(publisher.view().snapshot.halted, "from the first snapshot on");
    assert!(matches!(resume(&publisher), Err(UpdateError::NoLease)));
    let tried = Write { dry_run: true, ..by_anybody() };
    assert!(matches!(publisher.switch(&tried, "", Switch::Resume), Err(UpdateError::NoLease)));
    let now = Now::read();
    take(&publisher, "ci", now).unwrap();
    resume(&publisher).unwrap();
    assert!(publisher.release_lease(&by_anybody(), Some("ci"), now).unwrap());
    assert_eq!(reason(&publisher).as_deref(), Some("the lease of ci was given back"));
    assert!(matches!(resume(&publisher), Err(UpdateError::NoLease)));
    assert_eq!(publisher.stats().lease_left, Some(Duration::ZERO));
}

#[test]
fn a_lease_has_one_holder() {
    let (publisher, _plane) = publisher("");
    let now = Now::read();
    take(&publisher, "one", now).unwrap();
    let refused = take(&publisher, "two", now.later(TTL / 3)).unwrap_err();
    assert_eq!(refused.to_string(), "one holds the lease for another 21 s");
    assert!(publisher.release_lease(&by_anybody(), Some("two"), now).is_err());
    let stale = Write { precondition: Precondition::Generation(vec![9]), ..by_anybody() };
    assert!(publisher.release_lease(&stale, Some("one"), now).is_err());
    assert!(publisher.take_lease(&stale, "one", TTL, now).is_err());
    let tried = Write { dry_run: true, ..by_anybody() };
    assert!(publisher.release_lease(&tried, Some("one"), now).unwrap() && publisher.lease().is_some());
    assert!(publisher.release_lease(&by_anybody(), None, now).unwrap(), "without a name it is anybody's");
    assert!(!publisher.stats().halted, "nobody had to hold it");
    assert!(!publisher.take_lease(&tried, "two", TTL, now).unwrap() && publisher.lease().is_none());
    assert_eq!(publisher.stats().lease_left, None);
    assert!(take(&publisher, "two", now).unwrap());
}

#[test]
fn a_change_that_asks_for_a_lease_is_halted_in_the_same_breath() {
    let (publisher, _plane) = publisher("");
    let done = publisher.update(&by_anybody(), |draft| {
        draft.document.lease = Some(LeaseSpec { ttl: Some("10s".into()) });
        Ok(())
    });
    assert_eq!(done.unwrap().generation, 2);
    let view = publisher.view();
    assert_eq!((view.generation, view.snapshot.generation, view.snapshot.halted), (2, 2, true));
    assert_eq!(view.halt.unwrap().reason, NOBODY);
    let (publisher, _plane) = self::publisher("");
    take(&publisher, "ci", Now::read()).unwrap();
    let done = publisher.update(&by_anybody(), |draft| {
        draft.document.lease = Some(LeaseSpec { ttl: Some("10s".into()) });
        Ok(())
    });
    assert!(done.is_ok() && !publisher.stats().halted, "somebody holds one");
}

#[test]
fn a_lease_does_not_outlive_its_process() {
    let parent = tempfile::tempdir().unwrap();
    let with = |more: &str, path: &Path| publisher(&format!("{more}state_dir: {}\n", path.display()));
    let (first, _plane) = with("", parent.path());
    take(&first, "ci", Now::read()).unwrap();
    first.flush().unwrap();
    drop(first);
    let (second, _plane) = with("", parent.path());
    assert!(second.view().snapshot.halted);
    assert_eq!(reason(&second).as_deref(), Some("the lease of ci ended with the process before"));
    assert!(second.lease().is_none());
    resume(&second).unwrap();
    take(&second, "ci", Now::read()).unwrap();
    second.release_lease(&by_anybody(), None, Now::read()).unwrap();
    second.flush().unwrap();
    drop(second);
    let (third, _plane) = with("", parent.path());
    assert_eq!(reason(&third), None, "it was given back");
    third.halt(Actor::Squall(Part::Signal), "SIGUSR1");
    take(&third, "ci", Now::read()).unwrap();
    third.flush().unwrap();
    drop(third);
    let (fourth, _plane) = with("lease: {ttl: 30s}\n", parent.path());
    assert_eq!(reason(&fourth).as_deref(), Some("SIGUSR1"), "the first reason counts");
}

proptest! {
    /// However the wall clock is set, a lease ends no later than its time after the last renewal, and faults with it.
    #[test]
    fn no_step_of_a_clock_prolongs_a_lease(
        steps in proptest::collection::vec((0_u64..40_000, -100_000_i64..100_000, any::<bool>()), 1..12),
    ) {
        let (publisher, _plane) = publisher("");
        let mut now = Now::read();
        take(&publisher, "ci", now).unwrap();
        let mut renewed = now.monotonic;
        for (pause_ms, set_by, renews) in steps {
            now = now.later(Duration::from_millis(pause_ms)).set_by(set_by);
            if renews && publisher.lease().is_some_and(|lease| !lease.expiry.is_over(now)) {
                take(&publisher, "ci", now).unwrap();
                renewed = now.monotonic;
            }
            publisher.expire_lease(now);
            let is_due = now.monotonic.saturating_duration_since(renewed) >= TTL;
            prop_assert!(!is_due || publisher.stats().halted);
            prop_assert_eq!(publisher.lease().is_none(), publisher.stats().halted);
        }
    }
}
