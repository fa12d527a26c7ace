//! The request that opened a tunnel, as rules see it for as long as the tunnel lives.

use std::net::IpAddr;
use std::rc::Rc;

use http::header::UPGRADE;
use http::request;
use squall_config::model::Endpoint;
use squall_fault::meta::{RequestMeta, TunnelMeta};

use super::request::authority;
use crate::upstream::cluster::EndpointState;
use crate::view::ListenerView;

/// What is kept of an upgraded exchange.
#[derive(Debug)]
pub(crate) struct Opening {
    /// As downstream sent it.
    pub(crate) head: Box<request::Parts>,
    /// What the upstream switched to, in lower case.
    pub(crate) protocol: String,
    /// As of the exchange.
    pub(crate) listener: Rc<ListenerView>,
    /// Where the tunnel leads.
    pub(crate) endpoint: Rc<EndpointState>,
}

impl Opening {
    /// Of a request that offered exactly one protocol.
    pub(crate) fn new(head: Box<request::Parts>, listener: &Rc<ListenerView>, endpoint: Rc<EndpointState>) -> Self {
        let offered = head.headers.get(UPGRADE).and_then(|protocol| protocol.to_str().ok());
        let protocol = offered.unwrap_or_default().trim().to_ascii_lowercase();
        Self { head, protocol, listener: Rc::clone(listener), endpoint }
    }

    /// Of a CONNECT.
    pub(crate) fn of_connect(
        head: Box<request::Parts>,
        listener: &Rc<ListenerView>,
        endpoint: Rc<EndpointState>,
    ) -> Self {
        Self { head, protocol: "connect".to_owned(), listener: Rc::clone(listener), endpoint }
    }

    /// Whom the request was for.
    pub(crate) fn authority(&self) -> &str {
        authority(&self.head)
    }

    /// What rules may look at.
    pub(crate) fn meta<'a>(&'a self, source: IpAddr, endpoint: &'a Endpoint) -> TunnelMeta<'a> {
        TunnelMeta { request: request_meta(&self.head, source, endpoint), protocol: &self.protocol }
    }
}

/// What rules may look at of a request.
pub(crate) fn request_meta<'a>(head: &'a request::Parts, source: IpAddr, endpoint: &'a Endpoint) -> RequestMeta<'a> {
    RequestMeta {
        source,
        endpoint,
        method: &head.method,
        path: head.uri.path(),
        query: head.uri.query(),
        authority: authority(head),
        headers: &head.headers,
    }
}
