//! What the API server knows and what its connections share.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::admission::Webhook;
use super::store::Store;
use super::tokens::Token;

/// What goes wrong until it does no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Every request is answered with this status.
    Answers(u16),
    /// Connections are closed as soon as they are there.
    Down,
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) store: Store,
    pub(super) tokens: BTreeMap<String, Token>,
    /// Who decides about custom resources, where a configuration says that somebody does.
    pub(super) webhook: Option<Webhook>,
    pub(super) trouble: Option<Trouble>,
    /// Watches of an older number end.
    pub(super) cut: u64,
    /// So many patches are answered with 409.
    pub(super) conflicts: usize,
    /// Patches are answered so late.
    pub(super) lateness: Duration,
    /// Calls by method and path, without their queries.
    pub(super) calls: BTreeMap<String, usize>,
    pub(super) connections: Vec<TcpStream>,
    pub(super) is_over: bool,
}
