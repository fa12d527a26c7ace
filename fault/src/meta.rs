//! Borrowed facts that a rule may look at.

use std::net::IpAddr;

use http::{HeaderMap, Method};

use squall_config::model::Endpoint;

/// One request, as downstream sent it. The listener's own facts (name, direction, cluster) are not here: the
/// snapshot has sorted the rules by listener already.
#[derive(Clone, Copy, Debug)]
pub struct RequestMeta<'a> {
    /// Address of downstream.
    pub source: IpAddr,
    /// The endpoint that would get the request.
    pub endpoint: &'a Endpoint,
    /// Method.
    pub method: &'a Method,
    /// Path without query.
    pub path: &'a str,
    /// What follows `?`, if there is one.
    pub query: Option<&'a str>,
    /// Host and port as the client named them; empty when it named none.
    pub authority: &'a str,
    /// Header fields.
    pub headers: &'a HeaderMap,
}

/// One TCP connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionMeta<'a> {
    /// Address of downstream.
    pub source: IpAddr,
    /// The endpoint that would get the connection.
    pub endpoint: &'a Endpoint,
}

/// One tunnel: the request that opened it, and what is spoken in it.
#[derive(Clone, Copy, Debug)]
pub struct TunnelMeta<'a> {
    /// The request.
    pub request: RequestMeta<'a>,
    /// What the upstream switched to, in lower case.
    pub protocol: &'a str,
}
