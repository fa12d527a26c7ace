use squall_config::model::Name;
use squall_telemetry::ExperimentMatch;

use super::*;
use crate::experiment::tests::{call, inbound};

/// Joins, with everything seen a moment after it ended, and all waited for.
fn joined(mut outcomes: Vec<Outcome>, begin: Instant) -> Vec<(u128, usize)> {
    outcomes.sort_by_key(|o| o.ended);
    let mut join = Join::new();
    let mut roots = Vec::new();
    let mut keep = |joined| {
        if let Joined::Root(root) = joined {
            roots.push((root.inbound.request_id, root.calls.len()));
        }
    };
    for outcome in outcomes {
        join.settle(outcome.ended, Some(begin), &mut keep);
        join.insert(outcome.ended, outcome);
    }
    for at in [600, 700] {
        join.settle(begin + Duration::from_secs(at), Some(begin), &mut keep);
    }
    roots.sort_unstable();
    roots
}

fn ids(outcome: Outcome, trace: u128, request_id: u128) -> Outcome {
    Outcome { trace, request_id, ..outcome }
}

#[test]
fn either_id_joins_in_whatever_order() {
    let t = Instant::now();
    let root = ids(inbound(t, 0, 50), 1, 2);
    let calls = [ids(call(t, 5, 10), 1, 0), ids(call(t, 5, 10), 0, 2), ids(call(t, 60, 900), 1, 2)];
    let stranger = ids(call(t, 5, 10), 3, 4);
    let nameless = ids(call(t, 5, 10), 0, 0);
    let mut all: Vec<_> = calls.into_iter().chain([root, stranger, nameless]).collect();
    assert_eq!(joined(all.clone(), t), [(2, 3)]);
    all.reverse();
    assert_eq!(joined(all, t), [(2, 3)]);
}

#[test]
fn what_began_before_is_not_made_for_it() {
    let t = Instant::now();
    let root = ids(inbound(t, 100, 50), 1, 2);
    assert_eq!(joined(vec![root, ids(call(t, 50, 100), 1, 2)], t), [(2, 0)]);
}

#[test]
fn tries_of_a_trace_are_told_apart_by_time() {
    let t = Instant::now();
    let all = vec![
        ids(inbound(t, 0, 100), 1, 10),
        ids(call(t, 10, 80), 1, 0),
        ids(inbound(t, 200, 100), 1, 11),
        ids(call(t, 210, 20), 1, 0),
        ids(call(t, 240, 20), 1, 0),
        // Between the two: the nearest before.
        ids(call(t, 150, 20), 1, 0),
    ];
    assert_eq!(joined(all, t), [(10, 2), (11, 2)]);
}

#[test]
fn a_call_that_is_called_back_from_belongs_to_the_inner_one() {
    let t = Instant::now();
    let outer = ids(inbound(t, 0, 1000), 1, 20);
    let inner = ids(inbound(t, 300, 100), 1, 21);
    let all = vec![
        outer,
        ids(call(t, 100, 800), 1, 20),
        inner,
        ids(call(t, 310, 50), 1, 21),
        // Fewer ids are the same, but it was under way, and began last.
        ids(call(t, 320, 50), 1, 0),
    ];
    assert_eq!(joined(all, t), [(20, 1), (21, 2)]);
}

#[test]
fn a_call_that_goes_on_after_the_answer_is_waited_for_and_a_known_one_is_not() {
    let t = Instant::now();
    let after = |ms| t + Duration::from_millis(ms);
    let by = ExperimentMatch { experiment: Name::new("e").unwrap(), is_picked: true };
    let matched = |outcome| Outcome { matched: Some(by.clone()), ..outcome };
    let mut join = Join::new();
    let judged = |join: &mut Join, ms| {
        let mut ids = Vec::new();
        join.settle(after(ms), Some(after(50)), |joined| match joined {
            Joined::Root(root) => ids.push((root.inbound.trace, root.calls.len())),
            Joined::Orphan(call) => ids.push((call.trace, 99)),
        });
        ids
    };
    join.insert(after(100), ids(inbound(t, 0, 100), 1, 0));
    join.insert(after(100), matched(ids(call(t, 10, 20), 1, 0)));
    join.insert(after(100), ids(inbound(t, 0, 100), 2, 0));
    assert_eq!(judged(&mut join, 1_000), []);
    assert_eq!(judged(&mut join, 1_100), [(1, 1)]);
    join.insert(after(3_000), matched(ids(call(t, 10, 2_990), 2, 0)));
    join.insert(after(3_000), matched(ids(call(t, 10, 2_990), 1, 0)));
    assert_eq!(judged(&mut join, 4_900), []);
    assert_eq!(judged(&mut join, 5_100), [(2, 1)]);
    assert_eq!(judged(&mut join, 33_000), [(1, 99)], "nobody waits for it any more");
}

#[test]
fn what_ended_before_rules_were_in_force_is_known_before_what_they_met() {
    let t = Instant::now();
    let after = |ms| t + Duration::from_millis(ms);
    let mut join = Join::new();
    join.insert(after(100), ids(inbound(t, 0, 100), 1, 0));
    join.insert(after(300), ids(inbound(t, 0, 300), 2, 0));
    let mut known = Vec::new();
    join.settle(after(1_300), Some(after(200)), |joined| {
        known.extend(matches!(joined, Joined::Root(_)).then_some(joined));
    });
    let Some(Joined::Root(root)) = known.pop() else { panic!("{known:?}") };
    assert_eq!((root.inbound.trace, known.len()), (1, 0), "the other may have a call that is held");
}

#[test]
fn one_id_for_all_joins_by_the_other_alone() {
    let t = Instant::now();
    let each = (0..400_u64).flat_map(|n| {
        let request = 1_000 + u128::from(n);
        [ids(inbound(t, n, 30), 7, request), ids(call(t, n + 1, 20), 7, request)]
    });
    let roots = joined(each.collect(), t);
    let ones = roots.iter().filter(|(_, calls)| *calls == 1).count();
    assert!(roots.len() == 400 && ones >= 392, "{ones}");
}

#[test]
fn there_is_a_bound_and_what_is_beyond_is_counted() {
    let t = Instant::now();
    let mut join = Join::new();
    for n in 0..WAITING_MAX + 10 {
        join.insert(t, ids(call(t, 0, 1), 1 + n as u128, 0));
        join.insert(t, ids(inbound(t, 0, 1), 1_000_000 + n as u128, 0));
    }
    assert_eq!(join.lost(), 20);
    let mut left = 0;
    join.finish(|_| left += 1);
    assert_eq!(left, 2 * WAITING_MAX);
}
