//! After a protocol switch: the upstream end of what flows then (RFC 9110 §7.8).

use std::cell::RefCell;
use std::rc::Rc;

use super::input::Input;
use crate::http::opening::Opening;
use crate::net::stream::Stream;
use crate::upstream::caps::ConnectionPermit;

/// The upstream end, with what it sent behind its 101.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pub(crate) io: Rc<RefCell<Stream>>,
    pub(crate) input: Input,
    /// Of the upstream's connection.
    pub(crate) permit: ConnectionPermit,
    /// Set by the exchange that opened it.
    pub(crate) opening: Option<Box<Opening>>,
}
