//! What a connection goes on as, after an answer that ended HTTP on it (RFC 9110 §7.8, §9.3.6), and the request that was answered
//! so, as rules see it for as long as the tunnel lives.

use std::net::IpAddr;
use std::rc::Rc;

use http::header::UPGRADE;
use http::request::Parts;
use squall_config::model::{Endpoint, HostPort};
use squall_fault::meta::TunnelMeta;

use super::request::{self, authority};
use crate::http1::onward::Onward;
use crate::upstream::cluster::EndpointState;
use crate::view::ListenerView;

/// What follows an answer that ended HTTP.
#[derive(Debug)]
pub(crate) enum Tunnel {
    /// Bytes, to and from the upstream.
    Relayed(Onward, Box<Opening>),
    /// TLS that ends here, with requests for this destination in it.
    Intercepted(HostPort),
}

/// What is kept of an upgraded exchange.
#[derive(Debug)]
pub(crate) struct Opening {
    /// As downstream sent it.
    pub(crate) head: Box<Parts>,
    /// What the upstream switched to, in lower case.
    pub(crate) protocol: String,
    /// As of the exchange.
    pub(crate) listener: Rc<ListenerView>,
    /// Where the tunnel leads.
    pub(crate) endpoint: Rc<EndpointState>,
}

impl Opening {
    /// Of a request that offered exactly one protocol.
    pub(crate) fn new(head: Box<Parts>, listener: &Rc<ListenerView>, endpoint: Rc<EndpointState>) -> Self {
        let offered = head.headers.get(UPGRADE).and_then(|protocol| protocol.to_str().ok());
        let protocol = offered.unwrap_or_default().trim().to_ascii_lowercase();
        Self { head, protocol, listener: Rc::clone(listener), endpoint }
    }

    /// Of a CONNECT.
    pub(crate) fn of_connect(head: Box<Parts>, listener: &Rc<ListenerView>, endpoint: Rc<EndpointState>) -> Self {
        Self { head, protocol: "connect".to_owned(), listener: Rc::clone(listener), endpoint }
    }

    /// Whom the request was for.
    pub(crate) fn authority(&self) -> &str {
        authority(&self.head)
    }

    /// What rules may look at.
    pub(crate) fn meta<'a>(&'a self, source: IpAddr, endpoint: &'a Endpoint) -> TunnelMeta<'a> {
        TunnelMeta { request: request::meta(&self.head, source, endpoint), protocol: &self.protocol }
    }
}
