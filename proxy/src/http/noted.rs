//! Who wants to know of an exchange, and what is noted for them.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, StatusCode, request, response};
use squall_config::model::Cluster;

use crate::telemetry::notes::{Finished, Notes};
use crate::telemetry::outcome::ids::NewIds;
use crate::telemetry::outcome::noting::{Noting, Seen};
use crate::telemetry::shard::ListenerKey;
use crate::telemetry::trace::span::spans;
use crate::upstream::shared::SharedEndpoint;
use crate::worker::Worker;

/// At least one of the three. Each of its functions stands apart from the path of an exchange that nobody wants to know of; none
/// is cold, because then it would be made small and slow, and while an experiment runs each exchange pays for it.
#[derive(Debug)]
pub(crate) struct Noted {
    /// For the access log, the trace and those who watch.
    pub(super) notes: Option<Box<Notes>>,
    /// For an experiment.
    pub(super) outcome: Option<Box<Noting>>,
    /// The request gets them when it leaves for A, whether or not its exchange is noted.
    new_ids: Option<NewIds>,
}

impl Noted {
    /// Notes the request as it came; `None` when nobody wants to know of this exchange.
    #[inline(never)]
    pub(super) fn begin(
        worker: &Worker,
        key: &ListenerKey,
        started: Instant,
        parts: &request::Parts,
        endpoint: &Arc<SharedEndpoint>,
    ) -> Option<Box<Self>> {
        let notes = if worker.notes_more_than_outcomes() { notes(worker, parts, endpoint) } else { None };
        let Some(observing) = worker.observing() else {
            return notes.map(|notes| Box::new(Self { notes: Some(notes), outcome: None, new_ids: None }));
        };
        let seen = Seen::of(&observing, key, parts, notes.as_ref().and_then(|notes| notes.traced()));
        let new_ids = seen.new_ids;
        let outcome = Noting::begin(observing, key, parts, started, &seen);
        let is_needed = notes.is_some() || outcome.is_some() || new_ids.is_some();
        is_needed.then(|| Box::new(Self { notes, outcome, new_ids }))
    }

    /// The request is about to leave for a cluster.
    #[inline(never)]
    pub(super) fn send(&mut self, worker: &Worker, headers: &mut HeaderMap, cluster: &Cluster) {
        if let Some(ids) = self.new_ids.take() {
            ids.add(headers);
            if let Some(outcome) = &mut self.outcome {
                outcome.got_ids(ids);
            }
        }
        if let Some(notes) = &mut self.notes {
            notes.send(worker.traces(), headers, cluster);
        }
    }

    /// The status of the upstream's answer, as it came.
    #[inline(never)]
    pub(super) fn answered(&mut self, status: StatusCode) {
        if let Some(outcome) = &mut self.outcome {
            outcome.answered(status);
        }
        if let Some(notes) = &mut self.notes {
            notes.answered(status);
        }
    }

    /// The head of the answer as downstream gets it, but for what tells of faults.
    #[inline(never)]
    pub(super) fn head(&mut self, head: &response::Parts) {
        if let Some(outcome) = &mut self.outcome {
            outcome.head(head);
        }
        if let Some(notes) = &mut self.notes {
            notes.note_grpc_status(&head.headers);
        }
    }

    /// What comes behind the body of the answer.
    #[inline(never)]
    pub(super) fn trailers(&mut self, fields: &HeaderMap) {
        if let Some(outcome) = &mut self.outcome {
            outcome.trailers(fields);
        }
        if let Some(notes) = &mut self.notes {
            notes.note_grpc_status(fields);
        }
    }
}

/// Decides about the trace, and notes what log and trace need; `None` when this exchange has neither.
#[cold]
fn notes(worker: &Worker, parts: &request::Parts, endpoint: &Arc<SharedEndpoint>) -> Option<Box<Notes>> {
    let trace = worker.traces().and_then(|traces| traces.begin(&parts.headers));
    let is_wanted = trace.is_some() || worker.has_access_log() || worker.taps().is_some();
    is_wanted.then(|| Notes::of(parts, endpoint, trace))
}

/// Tells of an exchange that is over: the access log, those who watch, and whoever exports spans.
pub(super) fn tell(worker: &Worker, finished: &Finished<'_>) {
    if worker.has_access_log() {
        worker.write_access_log(&finished.line());
    }
    if let Some(taps) = worker.taps() {
        taps.show(finished);
    }
    if let (Some(traces), Some(trace)) = (worker.traces(), &finished.notes.trace) {
        spans(finished, trace).for_each(|span| traces.queue.push(span));
    }
}
