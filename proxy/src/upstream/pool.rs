//! Idle HTTP/1 connections to one endpoint, kept by one worker.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use hyper::client::conn::http1::SendRequest;

use crate::http::body::RequestBody;

/// A connection that waits for its next request.
#[derive(Debug)]
struct Idle {
    sender: SendRequest<RequestBody>,
    since: Instant,
}

/// Last in, first out, so that the connections which are not needed grow old and leave.
#[derive(Debug)]
pub(crate) struct IdlePool {
    idle: RefCell<Vec<Idle>>,
    idle_timeout: Duration,
    idle_max: usize,
}

impl IdlePool {
    pub(crate) fn new(idle_timeout: Duration, idle_max: usize) -> Self {
        Self { idle: RefCell::default(), idle_timeout, idle_max }
    }

    /// A connection that can take a request now.
    pub(crate) fn take(&self, now: Instant) -> Option<SendRequest<RequestBody>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(candidate) = idle.pop() {
            let age = now.saturating_duration_since(candidate.since);
            if age < self.idle_timeout && candidate.sender.is_ready() {
                return Some(candidate.sender);
            }
        }
        None
    }

    /// Keeps a connection for later, if its last exchange is complete on both sides; drops (closes) it otherwise, or
    /// when the pool is full.
    pub(crate) fn put(&self, sender: SendRequest<RequestBody>, now: Instant) {
        let mut idle = self.idle.borrow_mut();
        if sender.is_ready() && idle.len() < self.idle_max {
            idle.push(Idle { sender, since: now });
        }
    }

    /// Closes what was idle for too long or was closed by the upstream.
    pub(crate) fn sweep(&self, now: Instant) {
        let is_fresh = |i: &Idle| now.saturating_duration_since(i.since) < self.idle_timeout && !i.sender.is_closed();
        self.idle.borrow_mut().retain(is_fresh);
    }
}
