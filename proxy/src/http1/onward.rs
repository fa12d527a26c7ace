//! An upstream connection on which HTTP has ended (RFC 9110 §7.8, §9.3.6).

use std::cell::RefCell;
use std::rc::Rc;

use super::input::Input;
use crate::net::stream::Stream;
use crate::upstream::caps::ConnectionPermit;

/// The upstream end of a tunnel, with what it sent behind its 101.
#[derive(Debug)]
pub(crate) struct Onward {
    pub(crate) io: Rc<RefCell<Stream>>,
    pub(crate) input: Input,
    /// Of the upstream's connection.
    pub(crate) permit: ConnectionPermit,
}
