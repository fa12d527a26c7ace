use squall_config::model::Name;

use super::*;
use crate::data_plane::TrafficTotals;
use crate::experiment::tests::{call, inbound};

fn traffic(begun: u64) -> Traffic {
    let name = Name::new("a").unwrap();
    let totals = TrafficTotals {
        listener: name.clone(),
        cluster: name,
        direction: Direction::Inbound,
        connections: 0,
        bytes_request: 0,
        bytes_response: 0,
        begun,
        ended: begun,
        injected: 0,
        failed: 0,
        durations: Vec::new(),
    };
    Traffic { duration_bounds: &[], totals: vec![totals] }
}

/// Shares that it says at a load of so many exchanges in each tenth of a second, with when.
fn shares(load: impl Fn(u64) -> u64, tenths: u64, wanted: u64) -> Vec<(u64, u8)> {
    let t = Instant::now();
    let (mut sampler, mut begun, mut said) = (Sampler::new(t), 0, Vec::new());
    for tenth in 0..tenths {
        begun += load(tenth);
        let now = t + Duration::from_millis(100 * tenth);
        said.extend(sampler.step(now, &traffic(begun), &[], wanted).map(|share| (tenth, share.halvings())));
    }
    said
}

#[test]
fn as_long_as_no_more_come_than_are_wanted_all_are_joined() {
    assert_eq!(shares(|_| 400, 600, 4_000), []);
    assert_eq!(shares(|_| 0, 600, 4_000), []);
}

#[test]
fn of_more_a_share_that_is_no_more_than_wanted_and_more_than_half_of_that() {
    for (load, halvings) in [(401, 1), (800, 1), (801, 2), (3_700, 4), (100_000, 8)] {
        assert_eq!(shares(|_| load, 600, 4_000), [(10, halvings)], "{load}");
    }
}

#[test]
fn a_burst_lowers_the_share_at_once_and_calm_raises_it_after_a_while() {
    let said = shares(|tenth| if (100..200).contains(&tenth) { 3_200 } else { 100 }, 600, 4_000);
    assert_eq!(said[..3], [(100, 1), (102, 2), (104, 3)]);
    let (last, halvings) = *said.last().unwrap();
    assert!((300..=420).contains(&last) && halvings == 0 && said.len() <= 6, "{said:?}");
    // Between what is wanted and the room below it nothing changes.
    let near = |tenth| if tenth < 50 { 410 } else { 390 };
    assert_eq!(shares(near, 600, 4_000), [(10, 1)]);
}

/// Trace and request id of the n-th request, and of its call.
type Ids = fn(u128) -> [[u128; 2]; 2];

/// Of 400 requests, each with a call.
fn learnt(ids: Ids) -> (SharedId, bool) {
    let t = Instant::now();
    let outcomes: Vec<ExchangeOutcome> = (1..=400)
        .flat_map(|n| {
            let [[trace, request_id], [call_trace, call_request_id]] = ids(n);
            let made = ExchangeOutcome { trace: call_trace, request_id: call_request_id, ..call(t, 0, 1) };
            [ExchangeOutcome { trace, request_id, ..inbound(t, 0, 1) }, made]
        })
        .collect();
    let mut sampler = Sampler::new(t);
    let at = |tenth: u64| t + Duration::from_millis(100 * tenth);
    assert_eq!(sampler.step(at(0), &traffic(0), &outcomes, 100), None);
    assert_eq!(sampler.step(at(1), &traffic(400), &[], 100), None, "in no time there is no rate");
    let share = sampler.step(at(2), &traffic(800), &[], 100).unwrap();
    assert_eq!(share.halvings(), 6, "{share:?}");
    assert!(share.sole_id().is_none_or(|sole| sole == share.by()));
    (share.by(), share.sole_id().is_some())
}

#[test]
fn the_id_that_is_passed_on_decides() {
    use SharedId::{None, Request, Trace};
    const OTHER: u128 = 1 << 100;
    let each: [(&str, Ids, _); 11] = [
        ("a trace", |n| [[n, 0], [n, 0]], (Trace, true)),
        ("either would do", |n| [[n, OTHER + n], [n, OTHER + n]], (Trace, true)),
        ("a trace of A's own", |n| [[n, OTHER + n], [2 * OTHER + n, OTHER + n]], (Request, true)),
        ("the same without one before", |n| [[0, n], [OTHER + n, n]], (Request, true)),
        ("a request id of A's own", |n| [[n, 0], [n, OTHER + n]], (Trace, true)),
        ("Squall's ids, and the request id is passed on", |n| [[n, n], [0, n]], (Request, true)),
        ("now the one, now the other", |n| [[n, n], if n < 300 { [n, 0] } else { [0, n] }], (Trace, false)),
        ("nothing is passed on", |n| [[n, 0], [0, 0]], (Trace, false)),
        ("a trace that is the same for all", |n| [[7, n], [7, n]], (Request, true)),
        ("and nothing else", |_| [[7, 0], [7, 0]], (None, false)),
        ("no ids: places are drawn", |_| [[0, 0], [0, 0]], (Trace, false)),
    ];
    for (what, ids, expected) in each {
        assert_eq!(learnt(ids), expected, "{what}");
    }
}
