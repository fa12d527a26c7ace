use rand::RngExt;
use rand_pcg::Pcg32;
use squall_config::model::Name;
use squall_fault::trace_share::own_id;
use squall_telemetry::TrafficTotals;

use super::*;
use crate::experiment::tests::{call, inbound};

fn traffic(begun: u64) -> Traffic {
    traffic_of([[begun; 2], [0; 2]])
}

/// Of calls to A, and of those that it makes: how many had begun and ended.
pub(super) fn traffic_of(begun_and_ended: [[u64; 2]; 2]) -> Traffic {
    let name = Name::new("a").unwrap();
    let totals = |(direction, [begun, ended]): (Direction, [u64; 2])| TrafficTotals {
        listener: name.clone(),
        cluster: name.clone(),
        direction,
        connections: 0,
        bytes_request: 0,
        bytes_response: 0,
        begun,
        ended,
        injected: 0,
        failed: 0,
        durations: Vec::new(),
    };
    let totals = [Direction::Inbound, Direction::Outbound].into_iter().zip(begun_and_ended).map(totals).collect();
    Traffic { duration_bounds: &[], totals }
}

fn wanted(per_second: u64) -> Wanted {
    Wanted { per_second, all_ids: false }
}

/// Shares that it says at a load of so many exchanges in each tenth of a second, with when.
fn shares(load: impl Fn(u64) -> u64, tenths: u64, wanted: u64) -> Vec<(u64, u8)> {
    let t = Instant::now();
    let (mut sampler, mut begun, mut said) = (Sampler::new(t), 0, Vec::new());
    for tenth in 0..tenths {
        begun += load(tenth);
        let now = t + Duration::from_millis(100 * tenth);
        said.extend(
            sampler.step(now, &traffic(begun), &[], self::wanted(wanted)).map(|share| (tenth, share.halvings())),
        );
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

fn exchanges(t: Instant, ids: Ids) -> Vec<Outcome> {
    let of = |n| {
        let [[trace, request_id], [call_trace, call_request_id]] = ids(n);
        let made = Outcome { trace: call_trace, request_id: call_request_id, ..call(t, 0, 1) };
        [Outcome { trace, request_id, ..inbound(t, 0, 1) }, made]
    };
    (1..=400).flat_map(of).collect()
}

/// Of 400 requests, each with a call.
fn learnt(ids: Ids) -> (SharedId, bool) {
    let share = share_of(ids, wanted(100));
    (share.by(), share.sole_id().is_some())
}

fn share_of(ids: Ids, wanted: Wanted) -> TraceShare {
    let t = Instant::now();
    let outcomes = exchanges(t, ids);
    let mut sampler = Sampler::new(t);
    let at = |tenth: u64| t + Duration::from_millis(100 * tenth);
    assert_eq!(sampler.step(at(0), &traffic(0), &outcomes, wanted), None);
    assert_eq!(sampler.step(at(1), &traffic(400), &[], wanted), None, "in no time there is no rate");
    let share = sampler.step(at(2), &traffic(800), &[], wanted).unwrap();
    assert_eq!(share.halvings(), 6, "{share:?}");
    assert!([share.sole_id(), share.own_id_alone()].iter().flatten().all(|id| *id == share.by()));
    share
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

#[test]
fn ids_are_for_the_share_alone_when_all_are_squalls_and_nothing_else_needs_them() {
    use SharedId::{Request, Trace};
    /// As if drawn.
    fn own(n: u128) -> u128 {
        own_id(n.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
    }
    let each: [(&str, Ids, _); 9] = [
        ("both are passed on", |n| [[own(n); 2]; 2], Some(Trace)),
        ("the trace is", |n| [[own(n); 2], [own(n), 0]], Some(Trace)),
        ("the request id is, beside a trace of A's own", |n| [[own(n); 2], [n, own(n)]], Some(Request)),
        ("a few requests bring ids", |n| if n % 25 == 0 { [[n, 0]; 2] } else { [[own(n); 2]; 2] }, Some(Trace)),
        ("more do", |n| if n % 10 == 0 { [[n, 0]; 2] } else { [[own(n); 2]; 2] }, None),
        ("all do", |n| [[n, 0]; 2], None),
        ("now the one, now the other", |n| [[own(n); 2], if n < 300 { [own(n), 0] } else { [0, own(n)] }], None),
        ("most calls have none", |n| [[own(n); 2], if n % 3 == 0 { [own(n), 0] } else { [0, 0] }], None),
        ("most calls have A's", |n| [[own(n); 2], if n % 3 == 0 { [own(n), 0] } else { [n, 0] }], None),
    ];
    for (what, ids, expected) in each {
        let share = share_of(ids, wanted(100));
        assert_eq!(share.own_id_alone(), expected, "{what}");
        let all = share_of(ids, Wanted { all_ids: true, ..wanted(100) });
        assert_eq!((all.by(), all.sole_id()), (share.by(), None), "{what}: a rule hangs on ids");
    }
}

/// From the first second on: a sampler whose ids are for the share alone, with 1,000 requests a second and as many calls.
struct Going {
    sampler: Sampler,
    t: Instant,
    tenth: u64,
    totals: [[u64; 2]; 2],
    rng: Pcg32,
}

impl Going {
    fn new() -> Self {
        let t = Instant::now();
        let mut going = Self { sampler: Sampler::new(t), t, tenth: 0, totals: [[0; 2]; 2], rng: Pcg32::new(1, 2) };
        let first = exchanges(t, |n| [[own_id(n << 80 | n); 2]; 2]);
        assert_eq!(going.sampler.step(t, &traffic_of(going.totals), &first, wanted(260)), None);
        assert_eq!(going.steps(10, wanted(260), 0), [3]);
        going
    }

    /// So many tenths of a second, in which A makes as many calls for each request that have no id; how often the traces were
    /// halved whenever that changed, or ids became for others.
    fn steps(&mut self, n: u64, wanted: Wanted, more_calls: u64) -> Vec<u8> {
        let mut said = Vec::new();
        for _ in 0..n {
            self.tenth += 1;
            let (share, begin) = (self.sampler.share(), 100 * (self.tenth - 1));
            let mut outcomes = Vec::new();
            for _ in 0..100 {
                let place = self.rng.random();
                if share.takes(place) {
                    let [to_a, of_a] = [inbound(self.t, begin + 1, 9), call(self.t, begin + 2, 5)];
                    outcomes.extend([to_a, of_a].map(|outcome| Outcome { place, ..outcome }));
                }
            }
            for (totals, more) in self.totals.iter_mut().zip([100, 100 * (1 + more_calls)]) {
                *totals = totals.map(|count| count + more);
            }
            let now = self.t + Duration::from_millis(100 * self.tenth);
            let share = self.sampler.step(now, &traffic_of(self.totals), &outcomes, wanted);
            said.extend(share.map(|share| share.halvings()));
        }
        said
    }

    fn is_for_the_share_alone(&self) -> bool {
        self.sampler.share().own_id_alone().is_some()
    }
}

#[test]
fn ids_are_for_all_again_while_a_rule_hangs_on_them() {
    let mut going = Going::new();
    assert!(going.is_for_the_share_alone());
    assert!(going.steps(300, wanted(260), 0).is_empty(), "as long as nothing changes");
    assert_eq!(going.steps(2, Wanted { all_ids: true, ..wanted(260) }, 0), [3]);
    assert_eq!(going.sampler.share().sole_id(), None);
    assert_eq!(going.steps(2, wanted(260), 0), [3]);
    assert!(going.is_for_the_share_alone());
    assert_eq!(going.steps(2, wanted(100), 0), [5], "another share is one like this");
    assert!(going.is_for_the_share_alone());
    going.steps(120, wanted(100_000), 0);
    assert_eq!((going.sampler.share().halvings(), going.sampler.share().sole_id()), (0, None));
}

#[test]
fn when_calls_are_seen_to_belong_to_nothing_ids_are_for_all_and_stay_so() {
    let mut going = Going::new();
    let said = going.steps(60, wanted(700), 1);
    assert_eq!((said, going.sampler.share().sole_id()), (vec![3], None), "within seconds, once");
    assert_eq!(going.steps(300, wanted(700), 0), [2], "less load, but no more trust");
    assert_eq!(going.sampler.share().sole_id(), None);
}
