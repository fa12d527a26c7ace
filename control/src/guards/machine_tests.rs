use proptest::prelude::*;
use squall_config::load_text;

use super::*;
use crate::guards::judge::{Holding, Unit};

const STEP: Duration = Duration::from_millis(250);

fn guard() -> Guard {
    let text = "version: 1\nguards: [{name: queue, condition: {metric: in_flight, above: 200, for: 5s}}]\n";
    load_text(text).unwrap().1.guards.remove(0)
}

/// A finding as of a condition that has to hold for five seconds.
fn found(now: Instant, since: Option<Instant>) -> Finding {
    let is_enough = since.is_some_and(|since| now.saturating_duration_since(since) >= Duration::from_secs(5));
    Finding { since, is_enough, value: Some(250.0), ..Finding::nothing(Unit::Requests) }
}

#[test]
fn a_trip_says_why_and_stays() {
    let (mut machine, begin) = (Machine::new(guard()), Instant::now());
    assert_eq!(machine.step(begin, &found(begin, None)), Step::Same);
    assert_eq!(machine.step(begin, &found(begin, Some(begin))), Step::Changed);
    assert_eq!(machine.state(), State::Breaching { since: begin });
    assert_eq!(machine.step(begin + STEP, &found(begin + STEP, Some(begin))), Step::Same);
    assert_eq!(machine.step(begin + STEP, &found(begin + STEP, None)), Step::Changed);
    assert_eq!(machine.state(), State::Ok);
    let end = begin + Duration::from_millis(5100);
    let reason = "guard queue: in_flight above 200 for 5s; 250 requests in 5.1 s";
    assert_eq!(machine.step(end, &found(end, Some(begin))), Step::Trip(reason.to_owned()));
    assert_eq!(machine.step(end, &found(end, None)), Step::Same);
    assert_eq!(machine.state(), State::Tripped { since: end });
}

proptest! {
    /// It trips exactly when the condition has held at every look for five seconds, and then never again.
    #[test]
    fn it_trips_when_the_condition_held_without_a_break(holds in proptest::collection::vec(prop::bool::weighted(0.97), 1..200)) {
        let (mut machine, mut holding, begin) = (Machine::new(guard()), Holding::default(), Instant::now());
        let mut streak = 0_u32;
        let mut tripped = false;
        for (index, holds) in holds.into_iter().enumerate() {
            let now = begin + STEP * u32::try_from(index).unwrap();
            streak = if holds { streak + 1 } else { 0 };
            let since = holding.step(now, holds);
            let step = machine.step(now, &found(now, since));
            // Twenty steps of a quarter of a second lie between twenty-one looks.
            let is_due = streak >= 21 && !tripped;
            prop_assert_eq!(matches!(step, Step::Trip(_)), is_due);
            tripped |= is_due;
            prop_assert_eq!(matches!(machine.state(), State::Tripped { .. }), tripped);
        }
    }
}
