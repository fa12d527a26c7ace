//! What a TCP connection tells: counted while it runs, logged once at its end.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use squall_config::model::{Name, Phase};

use super::end::{RelayEnd, RelayOutcome};
use crate::error::ProxyError;
use crate::telemetry::access_log::{InjectedFault, Line};
use crate::telemetry::shard::{FaultKey, Origin};
use crate::upstream::shared::SharedEndpoint;
use crate::view::ListenerView;
use crate::worker::Worker;

/// What a relay tells while it runs. Called on the worker, from within polls: it must not block.
pub(crate) trait RelayRecord {
    /// A fault of this rule began to be applied; once per connection, rule and kind.
    fn on_injected(&self, rule: &Name, kind: &'static str);
    /// A rule in shadow mode would have injected something; once per connection and rule.
    fn on_shadow(&self, rule: &Name);
    /// A chunk of the stream was held for so long, measured. Under several delays the first of the rules gets it all.
    fn on_latency(&self, rule: &Name, latency: Duration);
    /// Bytes were written: `Request` towards upstream, `Response` towards downstream.
    fn on_bytes(&self, direction: Phase, bytes: u64);
}

/// Follows one connection.
#[derive(Debug)]
pub(crate) struct ConnectionRecord {
    pub(super) worker: Rc<Worker>,
    listener: Rc<ListenerView>,
    source: SocketAddr,
    started: Instant,
    injected: RefCell<Vec<InjectedFault>>,
    /// Rules in shadow mode that would have injected something; a connection without any does not carry the list.
    shadows: OnceCell<Box<RefCell<Vec<Name>>>>,
    latency: Cell<Duration>,
}

impl ConnectionRecord {
    pub(crate) fn begin(worker: &Rc<Worker>, listener: &Rc<ListenerView>, source: SocketAddr) -> Rc<Self> {
        Rc::new(Self {
            worker: Rc::clone(worker),
            listener: Rc::clone(listener),
            source,
            started: Instant::now(),
            injected: RefCell::default(),
            shadows: OnceCell::new(),
            latency: Cell::default(),
        })
    }

    /// Logs the end.
    pub(crate) fn finish(&self, endpoint: &SharedEndpoint, outcome: &RelayOutcome<ProxyError>) {
        tracing::debug!(listener = %self.listener.key.listener, source = %self.source, end = ?outcome.end, "connection ended");
        if !self.worker.has_access_log() {
            return;
        }
        let (origin, error) = match &outcome.end {
            RelayEnd::Injected { .. } => (Origin::Injected, None),
            RelayEnd::ConnectFailed(error) => (Origin::Proxy, Some(error.kind.label())),
            _ => (Origin::Upstream, None),
        };
        let shadows = self.shadows.get().map(|shadows| shadows.borrow());
        self.worker.write_access_log(&Line {
            endpoint: Some(endpoint.label()),
            origin: origin.as_str(),
            error,
            duration_seconds: self.started.elapsed().as_secs_f64(),
            injected_latency_seconds: self.latency.get().as_secs_f64(),
            request_bytes: outcome.passed.request,
            response_bytes: outcome.passed.response,
            faults: &self.injected.borrow(),
            shadows: shadows.as_deref().map_or(&[], Vec::as_slice),
            ..Line::of(&self.listener.key, self.source)
        });
    }

    fn key(&self, rule: &Name, kind: &'static str) -> FaultKey {
        FaultKey { rule: rule.clone(), kind, listener: self.listener.key.clone() }
    }
}

impl RelayRecord for ConnectionRecord {
    fn on_injected(&self, rule: &Name, kind: &'static str) {
        self.worker.shard().fault(&self.key(rule, kind)).injected.add(1);
        self.injected.borrow_mut().push(InjectedFault::new(rule, kind));
    }

    fn on_shadow(&self, rule: &Name) {
        self.shadows.get_or_init(Box::default).borrow_mut().push(rule.clone());
    }

    fn on_latency(&self, rule: &Name, latency: Duration) {
        self.worker.shard().fault(&self.key(rule, "delay")).latency.observe(latency);
        self.latency.set(self.latency.get() + latency);
    }

    fn on_bytes(&self, direction: Phase, bytes: u64) {
        match direction {
            Phase::Request => self.listener.shard.bytes_request.add(bytes),
            Phase::Response => self.listener.shard.bytes_response.add(bytes),
        }
    }
}
