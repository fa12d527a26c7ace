//! Exchanges and an experiment that tests make up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use squall_config::model::{Direction, Expect, Experiment, Name};
use squall_config::units::Percentage;
use squall_telemetry::Outcome;

/// A call to A that began so many milliseconds after `from`, took so many, and went well.
pub(super) fn inbound(from: Instant, began: u64, took: u64) -> Outcome {
    exchange(Direction::Inbound, from, began, took)
}

/// A call that A made, which began so many milliseconds after `from`, took so many, and went well.
pub(super) fn call(from: Instant, began: u64, took: u64) -> Outcome {
    exchange(Direction::Outbound, from, began, took)
}

fn exchange(direction: Direction, from: Instant, began: u64, took: u64) -> Outcome {
    thread_local! {
        static NAMES: (Arc<str>, Name, Name) = (Arc::from("GET /"), Name::new("a").unwrap(), Name::new("b").unwrap());
    }
    let (route, a, b) = NAMES.with(Clone::clone);
    let began = from + Duration::from_millis(began);
    Outcome {
        direction,
        trace: 0,
        request_id: 0,
        has_added_ids: false,
        place: 0,
        began,
        ended: began + Duration::from_millis(took),
        status: Some(200),
        grpc_status: None,
        is_abandoned: false,
        is_injected: false,
        route,
        cluster: if direction == Direction::Inbound { a } else { b },
        operation: 1,
        is_repeatable: true,
        shape: 1,
        response_bytes: 100,
        fallbacks: 0,
        matched: None,
    }
}

/// An experiment that tolerates no harm, and wants a hundred requests in each phase.
pub(super) fn experiment() -> Experiment {
    Experiment {
        name: Name::new("e").unwrap(),
        title: "A slow B".to_owned(),
        hypothesis: "A answers without B".to_owned(),
        steady_state: Vec::new(),
        baseline: Duration::from_secs(30),
        method: Vec::new(),
        recovery: Duration::from_secs(30),
        rollback: Duration::ZERO,
        expect: Expect { harmed: Percentage::NEVER, stop_on_harm: true, amplification: None, unsafe_retries: false },
        fallback: None,
        guards: Vec::new(),
        duration: Duration::from_secs(300),
        schedule: None,
        minimum_requests: 100,
        add_ids: true,
        joined_per_second: 4_000,
        pods: squall_config::model::Pods::default(),
    }
}
