use std::sync::Arc;
use std::time::Instant;

use squall_config::model::{Direction, Name};

use super::buffer::{Buffer, OUTCOMES_MAX};
use super::observing::{Beginning, Observing};
use super::*;

fn outcome() -> Outcome {
    let now = Instant::now();
    Outcome {
        direction: Direction::Outbound,
        cluster: Name::new("b").unwrap(),
        trace: 1,
        request_id: 2,
        has_added_ids: false,
        place: 0,
        began: now,
        ended: now,
        status: Some(200),
        grpc_status: None,
        is_abandoned: false,
        is_injected: false,
        route: "".into(),
        operation: 3,
        is_repeatable: true,
        shape: 0,
        response_bytes: 0,
        fallbacks: 0,
        matched: None,
    }
}

#[test]
fn what_there_is_no_room_for_is_counted() {
    let (buffer, outcome, mut taken) = (Buffer::default(), outcome(), Vec::new());
    for _ in 0..OUTCOMES_MAX + 7 {
        buffer.push(1, outcome.clone());
    }
    assert_eq!((buffer.take(1, &mut taken), taken.len()), (7, OUTCOMES_MAX));
    buffer.push(1, outcome.clone());
    assert_eq!((buffer.take(1, &mut taken), taken.len()), (0, OUTCOMES_MAX + 1), "behind what was there");
    assert_eq!((buffer.take(1, &mut taken), taken.len()), (0, OUTCOMES_MAX + 1));
}

#[test]
fn observations_do_not_mix() {
    let (buffer, outcome, mut taken) = (Buffer::default(), outcome(), Vec::new());
    buffer.push(1, outcome.clone());
    buffer.push(1, outcome.clone());
    buffer.push(2, outcome.clone());
    assert_eq!((buffer.take(2, &mut taken), taken.len()), (0, 1));
    buffer.push(2, outcome.clone());
    assert_eq!((buffer.take(3, &mut taken), taken.len()), (0, 1), "what is left of another is forgotten");
}

#[test]
fn an_observation_that_is_over_notes_nothing() {
    let buffer = Arc::<Buffer>::default();
    let beginning = Beginning { number: 1, observation: Arc::default(), share: Arc::default() };
    let observing = Observing::new(beginning, Arc::clone(&buffer));
    observing.note(outcome());
    observing.end();
    observing.note(outcome());
    let mut taken = Vec::new();
    assert_eq!((buffer.take(1, &mut taken), taken.len()), (0, 1));
}
