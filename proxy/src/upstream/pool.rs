//! Idle HTTP/1 connections to one endpoint, kept by one worker.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::http1::client::Connection;

/// A connection that waits for its next request.
#[derive(Debug)]
struct Idle {
    connection: Connection,
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
    #[inline(always)]
    pub(crate) fn take(&self, now: Instant) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        while let Some(candidate) = idle.pop() {
            let age = now.saturating_duration_since(candidate.since);
            if age < self.idle_timeout && candidate.connection.is_quiet() {
                return Some(candidate.connection);
            }
        }
        None
    }

    /// Keeps a connection for later; drops (closes) it when the pool is full.
    #[inline(always)]
    pub(crate) fn put(&self, connection: Connection, now: Instant) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.idle_max {
            idle.push(Idle { connection, since: now });
        }
        self.check_invariants(&idle);
    }

    /// What holds of the connections that are kept; looked at in debug builds alone.
    #[inline(always)]
    fn check_invariants(&self, idle: &[Idle]) {
        debug_assert!(idle.len() <= self.idle_max, "no more are kept than may be");
        debug_assert!(idle.is_sorted_by_key(|idle| idle.since), "those that idle for longest are at the bottom");
        debug_assert!(
            idle.iter().all(|idle| idle.connection.is_between_exchanges()),
            "nothing of an answer is left where the next one is expected"
        );
    }

    /// Closes all of them.
    pub(crate) fn clear(&self) {
        self.idle.take();
    }

    fn len(&self) -> usize {
        self.idle.borrow().len()
    }

    /// Closes what was idle for too long or was closed by the upstream.
    pub(crate) fn sweep(&self, now: Instant) {
        let is_fresh = |i: &Idle| now.saturating_duration_since(i.since) < self.idle_timeout && i.connection.is_quiet();
        let mut idle = self.idle.borrow_mut();
        idle.retain(is_fresh);
        self.check_invariants(&idle);
    }
}

/// Idle connections that each belong to one client, because the endpoint was told whose they are.
#[derive(Debug)]
pub(crate) struct IdleOfSources {
    pools: RefCell<HashMap<SocketAddr, IdlePool>>,
    idle_timeout: Duration,
    idle_max: usize,
}

impl IdleOfSources {
    pub(crate) fn new(idle_timeout: Duration, idle_max: usize) -> Self {
        Self { pools: RefCell::default(), idle_timeout, idle_max }
    }

    /// A connection of this client that can take a request now.
    pub(crate) fn take(&self, source: SocketAddr, now: Instant) -> Option<Connection> {
        self.pools.borrow().get(&source)?.take(now)
    }

    /// Closes all of them.
    pub(crate) fn clear(&self) {
        self.pools.take();
    }

    /// Keeps a connection for later; drops (closes) it when there are too many, of whomever.
    pub(crate) fn put(&self, source: SocketAddr, connection: Connection, now: Instant) {
        let mut pools = self.pools.borrow_mut();
        if pools.values().map(IdlePool::len).sum::<usize>() < self.idle_max {
            let pool = pools.entry(source).or_insert_with(|| IdlePool::new(self.idle_timeout, self.idle_max));
            pool.put(connection, now);
        }
        debug_assert!(
            pools.values().map(IdlePool::len).sum::<usize>() <= self.idle_max,
            "the bound is one for all clients"
        );
    }

    /// Closes what was idle for too long or was closed by the upstream.
    pub(crate) fn sweep(&self, now: Instant) {
        self.pools.borrow_mut().retain(|_, pool| {
            pool.sweep(now);
            pool.len() > 0
        });
    }
}
