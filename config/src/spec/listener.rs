//! Listeners.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tls::{InterceptSpec, ListenerTlsSpec};
use crate::shape;
use crate::toxiproxy::ProxyOf;
use crate::written::{Scalar, Written};

/// A socket that accepts traffic and the cluster that gets it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object with name, address and cluster")]
#[schemars(extend("required" = ["name", "address", "cluster"]))]
pub struct ListenerSpec {
    /// Unique among listeners: at most 63 of a-z, 0-9, '-', '_' and '.'.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// An IP address and a port; port 0 lets the system choose.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::socket_address")]
    pub address: Option<Scalar>,
    /// One that is not enabled accepts nothing. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Which side of the application: `outbound` (calls that it makes, the default) or `inbound` (calls to it).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::direction")]
    pub direction: Option<String>,
    /// What is spoken here: `http` (1.1 and HTTP/2, the default), `tcp`, or `auto` (told from the first bytes; the default
    /// where connections go on to their original destination).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::listener_protocol")]
    pub protocol: Option<String>,
    /// The name of the cluster that gets the traffic; `original_dst`, without a cluster of that name, sends connections where
    /// they were going before they were redirected here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// TLS that ends here: clients speak it, and rules see what is inside. Or `passthrough`, with `protocol: tcp`: it is
    /// passed on untouched. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Written<ListenerTlsSpec>>,
    /// With tls, the clusters for some of the names that clients ask for, such as `a.example` or `*.b.example`; those
    /// that are not listed, and clients that ask for none, go to `cluster`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub server_names: BTreeMap<String, String>,
    /// Where the cluster has destinations: HTTPS by CONNECT that is opened here, for the names in its list. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intercept: Option<InterceptSpec>,
    /// `accept`: each connection begins with a PROXY protocol header (version 1 or 2), which says whose it really is.
    /// Whoever reaches the listener can claim any address. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::accepted_proxy_protocol")]
    pub proxy_protocol: Option<String>,
    /// The longest time from the first byte of a request head to its last, of a TLS handshake, and from there to the beginning of
    /// HTTP/2. Default 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub header_timeout: Option<Scalar>,
    /// A connection without traffic for this long is closed. Default 1h; 0s never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub idle_timeout: Option<Scalar>,
    /// A client that is waited for within a request, and moves nothing for this long, is cut: it sends no more of a body that
    /// is not answered yet, or takes no more of an answer. A stream of gRPC may wait for its next message. Default 5m; 0s never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub stall_timeout: Option<Scalar>,
    /// How long `protocol: auto` waits for the first byte before it takes the connection for TCP. Default 1s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub detect_timeout: Option<Scalar>,
    /// Where connections go on to their original destination, with `auto`: ports whose servers speak first, or whose clients
    /// speak no HTTP; connections to them are taken for TCP at once. Default 25, 587, 3306, 4444, 5432, 6379, 9300, 11211.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(range(min = 1)))]
    pub opaque_ports: Option<Vec<u16>>,
    /// Where connections go on to their original destination: they come by TPROXY and not by REDIRECT. Needs the capability
    /// NET_ADMIN. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transparent: Option<bool>,
    /// Counts the starts of a listener that was made at run time and whose connections end with it. Nobody can write it.
    #[serde(skip)]
    #[schemars(skip)]
    pub start: Option<u64>,
    /// The proxy that it is, for Toxiproxy's API to show. Only Squall says so: nobody can write it.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub proxy: Option<ProxyOf>,
}
