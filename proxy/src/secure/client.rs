//! The client of a handshake.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::view::ListenerView;
use crate::worker::Worker;

/// Who has connected, and where.
#[derive(Clone, Copy)]
pub(crate) struct Client<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) listener: &'a Rc<ListenerView>,
    pub(crate) source: IpAddr,
}

impl Client<'_> {
    /// How long a handshake may take, and each of its two parts where a fault may come between them.
    pub(super) fn time_limit(self) -> Duration {
        self.listener.compiled.listener.header_timeout
    }
}
