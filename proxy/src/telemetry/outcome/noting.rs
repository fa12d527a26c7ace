//! What is noted of one exchange while it lasts.

use std::rc::Rc;
use std::time::Instant;

use http::header::HeaderMap;
use http::{Method, request, response};
use squall_config::model::{Direction, Name};
use squall_fault::grpc;
use squall_fault::trace_context::w3c_trace_id;
use squall_fault::trace_share::{SharedId, TraceShare};
use squall_telemetry::ExperimentMatch;

use super::ids::{Fields, NewIds};
use super::observing::Observing;
use super::shape::{fallbacks, shape};
use super::{Outcome, hash};
use crate::telemetry::shard::ListenerKey;

/// An outcome in the making.
#[derive(Debug)]
pub(crate) struct Noting {
    observing: Rc<Observing>,
    outcome: Outcome,
    is_grpc: bool,
}

/// What a request says before it is known whether its exchange is noted.
pub(crate) struct Seen<'a> {
    noted: Option<Noted<'a>>,
    /// What it gets when it leaves for A, whether it is noted or not.
    pub(crate) new_ids: Option<NewIds>,
}

/// Of one whose exchange is.
struct Noted<'a> {
    fields: Fields<'a>,
    trace: u128,
    request_id: u128,
    place: u64,
}

impl<'a> Seen<'a> {
    /// Of a request as it came; `traced` is the trace that Squall gives it, if it does.
    pub(crate) fn of(
        observing: &Observing,
        key: &ListenerKey,
        request: &'a request::Parts,
        traced: Option<u128>,
    ) -> Self {
        let is_inbound = key.direction == Direction::Inbound;
        let own = traced.filter(|_| is_inbound);
        let share = observing.share();
        if share.own_id_alone().is_some() {
            return Self::of_own_ids(observing, share, is_inbound, request, own);
        }
        // For most, when there are many, the trace alone says that it is not noted.
        if share.halvings() > 0 && share.by() == SharedId::Trace {
            let trace = own.or_else(|| w3c_trace_id(&request.headers));
            if trace.and_then(|trace| share.place(trace, 0)).is_some_and(|place| !share.takes(place)) {
                return Self { noted: None, new_ids: None };
            }
        }
        let fields = Fields::among(&request.headers);
        let lacks_ids = is_inbound && !fields.has_ids && observing.observation.add_ids;
        let new_ids = if lacks_ids { new_ids(observing, share.sole_id(), traced) } else { None };
        // What A gets of a trace is what it may pass on; what it calls with may be no trace that it knows.
        let trace = own.unwrap_or_else(|| fields.trace());
        let request_id = fields.request_id();
        let (passed_trace, passed_id) = new_ids.map_or((trace, request_id), NewIds::numbers);
        let place = share.place(passed_trace, passed_id).unwrap_or_else(|| observing.draw());
        let place = share.takes(place).then_some(place);
        Self { noted: place.map(|place| Noted { fields, trace, request_id, place }), new_ids }
    }

    /// [`Self::of`], where only what has an id of Squall's own is noted. A request that has no id gets the one that is drawn for
    /// it, if that is in the share: as many do as of others, and for most nothing is added, and nothing noted. `own` is the trace
    /// of a request that Squall traces, which has that in any case.
    fn of_own_ids(
        observing: &Observing,
        share: TraceShare,
        is_inbound: bool,
        request: &'a request::Parts,
        own: Option<u128>,
    ) -> Self {
        let (by, fields) = (share.by(), Fields::among(&request.headers));
        let (mut trace, mut request_id, mut new_ids) = (0, 0, None);
        let id = if is_inbound && !fields.has_ids && own.is_none() && observing.observation.add_ids {
            let id = observing.draw_id();
            new_ids = Some(if by == SharedId::Request { NewIds::Request(id) } else { NewIds::Trace(id) });
            id
        } else {
            (trace, request_id) = (own.unwrap_or_else(|| fields.trace()), fields.request_id());
            if by == SharedId::Request { request_id } else { trace }
        };
        match share.place_of_own(id) {
            Some(place) => Self { noted: Some(Noted { fields, trace, request_id, place }), new_ids },
            None => Self { noted: None, new_ids: None },
        }
    }
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) at: Instant,
    /// When downstream got a head.
    pub(crate) status: Option<u16>,
    /// Squall itself answered, and what that means is in the status alone.
    pub(crate) is_own: bool,
    pub(crate) is_injected: bool,
    /// Without an answer, because downstream had gone.
    pub(crate) is_abandoned: bool,
    pub(crate) response_bytes: u64,
}

/// What a request without ids gets; nothing when Squall traces it, and that is enough.
fn new_ids(observing: &Observing, sole: Option<SharedId>, traced: Option<u128>) -> Option<NewIds> {
    let id = || observing.draw_id();
    match (traced, sole) {
        (Some(_), Some(SharedId::Trace)) => None,
        (Some(trace), _) => Some(NewIds::OfTrace(trace)),
        (None, Some(SharedId::Trace)) => Some(NewIds::Trace(id())),
        (None, Some(SharedId::Request)) => Some(NewIds::Request(id())),
        (None, Some(SharedId::None) | None) => Some(NewIds::Both(id())),
    }
}

impl Noting {
    /// Notes the request as it came; `None` when its exchange is not among those that are noted.
    pub(crate) fn begin(
        observing: Rc<Observing>,
        key: &ListenerKey,
        request: &request::Parts,
        began: Instant,
        seen: &Seen<'_>,
    ) -> Option<Box<Self>> {
        let Seen { noted: Some(Noted { fields, trace, request_id, place }), .. } = seen else { return None };
        let is_inbound = key.direction == Direction::Inbound;
        let is_grpc = fields.content_type.is_some_and(grpc::is_grpc_type);
        let route = {
            let mut routes = observing.routes.borrow_mut();
            if is_inbound { routes.of(&request.method, request.uri.path(), is_grpc) } else { routes.none.clone() }
        };
        let outcome = Outcome {
            direction: key.direction,
            cluster: key.cluster.clone(),
            trace: *trace,
            request_id: *request_id,
            has_added_ids: false,
            place: *place,
            began,
            ended: began,
            status: None,
            grpc_status: None,
            is_abandoned: false,
            is_injected: false,
            route,
            operation: operation(request, fields),
            is_repeatable: is_repeatable(&request.method) || fields.has_idempotency_key,
            shape: 0,
            response_bytes: 0,
            fallbacks: 0,
            matched: None,
        };
        Some(Box::new(Self { observing, outcome, is_grpc }))
    }

    /// Notes that rules of an experiment matched, and whether one was picked.
    pub(crate) fn matched(&mut self, experiment: &Name, is_picked: bool) {
        self.outcome.matched = Some(ExperimentMatch { experiment: experiment.clone(), is_picked });
    }

    /// The request left for A with these ids.
    pub(crate) fn got_ids(&mut self, ids: NewIds) {
        (self.outcome.trace, self.outcome.request_id) = ids.numbers();
        self.outcome.has_added_ids = true;
    }

    /// The status of the upstream's answer, as it came.
    pub(crate) fn answered(&mut self, status: http::StatusCode) {
        self.outcome.status = Some(status.as_u16());
    }

    /// The head of the answer as downstream gets it.
    pub(crate) fn head(&mut self, head: &response::Parts) {
        self.trailers(&head.headers);
        if self.outcome.direction == Direction::Inbound {
            self.outcome.shape = shape(head);
            self.outcome.fallbacks = fallbacks(head, &self.observing.observation.fallbacks);
        }
    }

    /// The gRPC status, when this is a gRPC call: behind the body of an answer, or in the head of one that has none.
    pub(crate) fn trailers(&mut self, fields: &HeaderMap) {
        if self.is_grpc
            && let Some(status) = grpc::status(fields)
        {
            self.outcome.grpc_status = Some(status);
        }
    }

    /// Downstream went away while the answer was on its way.
    pub(crate) fn abandon(&mut self) {
        self.outcome.is_abandoned = true;
    }

    /// The exchange is over.
    pub(crate) fn finish(self, end: End) {
        let Self { observing, mut outcome, .. } = self;
        outcome.ended = end.at;
        outcome.status = end.status.or(outcome.status);
        outcome.grpc_status = outcome.grpc_status.filter(|_| !end.is_own);
        outcome.is_injected = end.is_injected;
        outcome.is_abandoned |= end.is_abandoned;
        outcome.response_bytes = end.response_bytes;
        observing.note(outcome);
    }
}

/// Two calls with the same one are tries of the same call.
fn operation(request: &request::Parts, fields: &Fields<'_>) -> u64 {
    let authority = match (request.uri.authority(), fields.host) {
        (Some(authority), _) => authority.as_str().as_bytes(),
        (None, host) => host.map_or(&b""[..], |host| host.as_bytes()),
    };
    let target = request.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    hash(0, [request.method.as_str().as_bytes(), authority, target.as_bytes()])
}

/// RFC 9110 §9.2.2: the safe methods, PUT and DELETE.
fn is_repeatable(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE)
}
