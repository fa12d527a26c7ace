//! The end of every exchange, whatever happened: counted once, logged once, its trace ended once.

use std::rc::Rc;
use std::time::{Duration, Instant};

use http::{HeaderMap, request, response};
use squall_config::model::Cluster;
use squall_fault::grpc::is_grpc;
use squall_fault::meta::RequestMeta;
use squall_fault::plan::RuleIndex;

use super::fault::duplicate::Copy;
use super::fault::{self, Decided, Faults, OfExperiment, Place};
use super::hop_by_hop::Present;
use super::noted::{self, Noted};
use super::request_body::{RequestBody, Upload};
use crate::downstream::Downstream;
use crate::error::{ErrorKind, ProxyError};
use crate::telemetry::notes::{Finished, Notes};
use crate::telemetry::outcome::noting::End;
use crate::telemetry::shard::Origin;
use crate::upstream::cluster::{Assignment, EndpointState};
use crate::upstream::shared::Fared;
use crate::view::ListenerView;

/// Follows one exchange from its head to its end. Dropping it is the end.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) downstream: Rc<Downstream>,
    pub(crate) listener: Rc<ListenerView>,
    pub(crate) started: Instant,
    /// Decided faults; held here so that they are active until the end.
    pub(crate) faults: Option<Box<Faults>>,
    pub(crate) upload: Option<Rc<Upload>>,
    /// What the request has of what a proxy looks at.
    pub(crate) present: Present,
    /// Whether it came from a caller of gRPC.
    pub(crate) is_grpc: bool,
    /// The endpoint, which has this exchange until the end.
    assignment: Option<Assignment>,
    status: Option<u16>,
    origin: Origin,
    error: Option<&'static str>,
    response_bytes: u64,
    noted: Option<Box<Noted>>,
}

impl Record {
    /// Of a request with this head, unless it is none.
    pub(crate) fn begin(downstream: &Rc<Downstream>, head: Option<&request::Parts>) -> Self {
        downstream.wire.begin();
        let listener = downstream.listener_of(head);
        listener.shard.begun.add(1);
        let present = head.map(|head| Present::among(&head.headers)).unwrap_or_default();
        Self {
            downstream: Rc::clone(downstream),
            listener,
            started: Instant::now(),
            faults: None,
            upload: None,
            present,
            is_grpc: present.content_type && head.is_some_and(|head| is_grpc(&head.headers)),
            assignment: None,
            status: None,
            origin: Origin::Proxy,
            error: None,
            response_bytes: 0,
            noted: None,
        }
    }

    /// Gives the request to an endpoint, unless that has too many.
    pub(crate) fn assign(&mut self, parts: &request::Parts, endpoint: &Rc<EndpointState>) -> Result<(), ProxyError> {
        let worker = &self.downstream.worker;
        if worker.takes_notes() {
            self.noted = Noted::begin(worker, &self.listener.key, self.started, parts, &endpoint.shared);
        }
        self.assignment = Some(Assignment::of_exchange(Rc::clone(endpoint))?);
        Ok(())
    }

    /// Has faults alter a request that goes upstream next; whether it goes there twice.
    pub(crate) fn alter_request(
        &mut self,
        place: Place<'_>,
        head: &mut request::Parts,
        body: &mut RequestBody,
    ) -> Option<Copy> {
        let copy = self.faults.as_mut()?.alter_request(place, head, body);
        self.present = Present::among(&head.headers);
        copy
    }

    /// Decides what faults the exchange gets, once.
    pub(crate) fn decide(&mut self, request: &RequestMeta<'_>) {
        let Decided { faults, shadows, experiment } =
            fault::decide(&self.listener, request, self.downstream.worker.budget());
        self.faults = faults;
        if !shadows.is_empty() || experiment.is_some() {
            self.note_decision(&shadows, experiment);
        }
    }

    /// Notes rules in shadow mode that would have injected something, and what an experiment has to do with the exchange.
    #[cold]
    fn note_decision(&mut self, shadows: &[RuleIndex], experiment: Option<OfExperiment>) {
        let Some(noted) = &mut self.noted else { return };
        let rule = |index: RuleIndex| &self.listener.snapshot.rule(index).rule;
        if let Some(notes) = &mut noted.notes {
            notes.shadows.extend(shadows.iter().map(|shadow| rule(*shadow).name.clone()));
        }
        if let (Some(outcome), Some(of)) = (&mut noted.outcome, experiment)
            && let Some(experiment) = &rule(of.rule).experiment
        {
            outcome.matched(experiment, of.is_picked);
        }
    }

    /// The request is about to leave for a cluster; its trace, if it has one, goes on in its head, and so do ids that an
    /// experiment gives it.
    pub(crate) fn send(&mut self, headers: &mut HeaderMap, cluster: &Cluster) {
        if let Some(noted) = &mut self.noted {
            noted.send(&self.downstream.worker, headers, cluster);
        }
    }

    /// Notes the head of the upstream's answer, before faults have a hand in it.
    pub(crate) fn answered(&mut self, head: &response::Parts) {
        if let Some(noted) = &mut self.noted {
            noted.answered(head.status);
        }
    }

    /// Notes the head of the answer as downstream gets it, but for what tells of faults.
    pub(crate) fn note_head(&mut self, head: &response::Parts) {
        if let Some(noted) = &mut self.noted {
            noted.head(head);
        }
    }

    /// Notes what comes behind the body of the answer.
    pub(crate) fn note_trailers(&mut self, fields: &HeaderMap) {
        if let Some(noted) = &mut self.noted {
            noted.trailers(fields);
        }
    }

    /// Notes that downstream went away while the answer was on its way.
    #[cold]
    pub(crate) fn abandon(&mut self) {
        if let Some(outcome) = self.noted.as_mut().and_then(|noted| noted.outcome.as_mut()) {
            outcome.abandon();
        }
    }

    /// Notes the answer.
    pub(crate) fn answer(&mut self, head: &response::Parts, origin: Origin) {
        debug_assert!(self.status.is_none(), "an exchange has one answer");
        self.status = Some(head.status.as_u16());
        self.origin = origin;
        if let Some(assignment) = self.assignment.as_ref().filter(|_| origin != Origin::Proxy) {
            assignment.answered(head.status, &head.headers);
        }
    }

    /// Notes that a rule held the answer back until it was too late.
    pub(crate) fn withhold(&mut self) {
        if let Some(assignment) = &self.assignment {
            assignment.failed(ErrorKind::ResponseTimeout);
        }
    }

    /// Notes that a rule ended the exchange without an answer.
    pub(crate) fn interrupt_by_rule(&mut self) {
        self.origin = Origin::Injected;
        if let Some(assignment) = &self.assignment {
            assignment.judge(Fared::Badly);
        }
    }

    /// Notes a failure that nobody injected.
    pub(crate) fn fail(&mut self, kind: ErrorKind) {
        self.error = Some(kind.label());
        if let Some(assignment) = &self.assignment {
            assignment.failed(kind);
        }
    }

    /// Notes that the request was not one.
    pub(crate) fn refuse(&mut self, label: &'static str) {
        self.error = Some(label);
        if let Some(assignment) = &self.assignment {
            assignment.spare();
        }
    }

    pub(crate) fn count_response_bytes(&mut self, n: u64) {
        self.response_bytes += n;
    }

    /// Whose doing the end was. A caller who left without an answer while a rule had its hand in the exchange says nothing of the
    /// upstream.
    fn counted_origin(&self) -> Origin {
        if self.status.is_none() && self.faults.is_some() { Origin::Injected } else { self.origin }
    }

    fn request_bytes(&self) -> u64 {
        self.upload.as_ref().map_or(0, |upload| upload.bytes.get())
    }

    #[inline(never)]
    fn finish(&self, noted: &mut Noted, ended: Instant) {
        if let Some(notes) = &noted.notes {
            self.write(notes, ended);
        }
        if let Some(outcome) = noted.outcome.take() {
            outcome.finish(End {
                at: ended,
                status: self.status,
                is_own: self.origin == Origin::Proxy,
                is_injected: self.origin == Origin::Injected
                    || self.faults.as_ref().is_some_and(|faults| !faults.applied().is_empty()),
                // A rule that ends it without an answer is its origin.
                is_abandoned: self.status.is_none() && self.origin != Origin::Injected,
                response_bytes: self.response_bytes,
            });
        }
    }

    fn write(&self, notes: &Notes, ended: Instant) {
        let (faults, latency) = self.faults.as_ref().map_or((&[][..], Duration::ZERO), |f| (f.applied(), f.latency()));
        let finished = Finished {
            notes,
            key: &self.listener.key,
            source: self.downstream.ends.source,
            is_tls: self.listener.tls.is_some(),
            status: self.status,
            origin: self.counted_origin(),
            error: self.error,
            faults,
            latency,
            started: self.started,
            ended,
            request_bytes: self.request_bytes(),
            response_bytes: self.response_bytes,
        };
        noted::tell(&self.downstream.worker, &finished);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let now = Instant::now();
        let duration = now.saturating_duration_since(self.started);
        self.listener.shard.count_request(self.counted_origin(), self.status, duration);
        self.listener.shard.bytes_request.add(self.request_bytes());
        self.listener.shard.bytes_response.add(self.response_bytes);
        self.downstream.wire.end(now);
        if let Some(mut noted) = self.noted.take() {
            self.finish(&mut noted, now);
        }
    }
}
