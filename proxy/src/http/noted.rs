//! Who wants to know of an exchange, and what is noted for them.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, StatusCode, request, response};
use squall_config::model::Cluster;

use super::notes::Notes;
use crate::telemetry::outcome::noting::Noting;
use crate::telemetry::shard::ListenerKey;
use crate::upstream::shared::SharedEndpoint;
use crate::worker::Worker;

/// At least one of the two. Each of its functions stands apart from the path of an exchange that nobody wants to know of; none
/// is cold, because then it would be made small and slow, and while an experiment runs each exchange pays for it.
#[derive(Debug)]
pub(crate) struct Noted {
    /// For the access log, the trace and those who watch.
    pub(super) notes: Option<Box<Notes>>,
    /// For an experiment.
    pub(super) outcome: Option<Noting>,
}

impl Noted {
    /// Notes the request as it came; `None` when nobody wants to know of this exchange.
    #[inline(never)]
    pub(super) fn begin(
        worker: &Worker,
        (key, started): (&ListenerKey, Instant),
        parts: &request::Parts,
        endpoint: &Arc<SharedEndpoint>,
    ) -> Option<Box<Self>> {
        let notes = Notes::begin(worker, parts, endpoint);
        let traced = notes.as_ref().and_then(|notes| notes.traced());
        let outcome = worker.observing().map(|observing| Noting::begin(observing, key, parts, started, traced));
        (notes.is_some() || outcome.is_some()).then(|| Box::new(Self { notes, outcome }))
    }

    /// The request is about to leave for a cluster.
    #[inline(never)]
    pub(super) fn send(&mut self, worker: &Worker, headers: &mut HeaderMap, cluster: &Cluster) {
        let traced = self.notes.as_ref().and_then(|notes| notes.traced());
        if let Some(outcome) = &mut self.outcome {
            outcome.send(headers, traced);
        }
        if let Some(notes) = &mut self.notes {
            notes.send(worker, headers, cluster);
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
