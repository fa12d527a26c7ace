//! What a connection goes on as, after an answer that ended HTTP on it (RFC 9110 §7.8, §9.3.6).

use std::cell::RefCell;
use std::rc::Rc;

use squall_config::model::HostPort;

use super::input::Input;
use crate::http::opening::Opening;
use crate::net::stream::Stream;
use crate::upstream::caps::ConnectionPermit;

/// What follows an answer that ended HTTP.
#[derive(Debug)]
pub(crate) enum Tunnel {
    /// Bytes, to and from the upstream.
    Relayed(Onward),
    /// TLS that ends here, with requests for this destination in it.
    Intercepted(HostPort),
}

/// The upstream end of a tunnel, with what it sent behind its 101.
#[derive(Debug)]
pub(crate) struct Onward {
    pub(crate) io: Rc<RefCell<Stream>>,
    pub(crate) input: Input,
    /// Of the upstream's connection.
    pub(crate) permit: ConnectionPermit,
    /// Set by the exchange that opened it.
    pub(crate) opening: Option<Box<Opening>>,
}
