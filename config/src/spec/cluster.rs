//! Clusters and their endpoints.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use super::tls::ClusterTlsSpec;
use crate::shape;
use crate::written::{Full, OneOrMany, Scalar, Written, list};

/// A named upstream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object with name and endpoints")]
#[schemars(extend("required" = ["name"]))]
pub struct ClusterSpec {
    /// Unique among clusters: at most 63 of a-z, 0-9, '-', '_' and '.'.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where it is, at least one unless there are `destinations` or `original_dst`; they take turns.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1))]
    pub endpoints: Vec<Written<EndpointSpec>>,
    /// In place of endpoints: requests say themselves where they go, in their target (`HTTP_PROXY`) or by CONNECT
    /// (`HTTPS_PROXY`), and go there when it is listed, as in api.example.com, *.example.com:8443, 10.0.0.0/8:*. Without a
    /// port, 80 and 443. With `original_dst`: what the cluster stands for. No name is looked up to find out: one is compared
    /// with the name that is said, an address with the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destinations: Option<OneOrMany>,
    /// In place of endpoints: connections go where they were going before they were redirected to the listener. Those whose
    /// original destination is among `destinations` (addresses; names where one is said in Host, `:authority` or SNI, as other
    /// bytes say none) belong to this cluster on every listener of such a cluster, the first one in the file that lists it; it
    /// speaks what the client speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_dst: Option<bool>,
    /// What the endpoints speak: `http1` (the default) or `http2` (with prior knowledge, or ALPN under TLS).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::cluster_protocol")]
    pub protocol: Option<String>,
    /// TLS to the endpoints. Default: none; `tls: {}` is TLS with the authorities of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClusterTlsSpec>,
    /// `v1` or `v2`: each connection begins with a PROXY protocol header that tells the endpoint whose it is, and is kept
    /// for that client alone. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::sent_proxy_protocol")]
    pub proxy_protocol: Option<String>,
    /// The longest time to a connection, TLS handshake and all. Default 5s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub connect_timeout: Option<Scalar>,
    /// An idle upstream connection is closed after this long. Default 4s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub idle_timeout: Option<Scalar>,
    /// The longest time from the first byte of a response head to its last (HTTP/1). Default 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub header_timeout: Option<Scalar>,
    /// The longest time from a request to the head of its response, with whatever rules add to it. Default: none, the
    /// application decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub response_timeout: Option<Scalar>,
    /// The most idle connections that one worker keeps to one endpoint. Default 256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_connections_max: Option<u64>,
    /// Which endpoint is next: `round_robin` (the default), in turn, or `least_request`, the one of two that has less
    /// going on (as each worker sees it).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::load_balancing")]
    pub load_balancing: Option<String>,
    /// Leaves an endpoint alone for a while when it fails; off unless written, `{}` is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ejection: Option<EjectionSpec>,
    /// Asks endpoints whether they are well; off unless written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheckSpec>,
    /// The most connections to all endpoints at once, over all workers. An HTTP/2 upstream needs one for each worker and
    /// endpoint; who finds none is answered with 503. Default: no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub connections_max: Option<u64>,
    /// The most exchanges at once, over all workers; what is beyond is answered with 503. Default: no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub requests_max: Option<u64>,
    /// The most exchanges that wait for one of `connections_max` connections, at most for `connect_timeout`; what is
    /// beyond is answered with 503. Default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_max: Option<u64>,
}

/// When an endpoint that fails is left alone for a while. Failures are: no connection, a connection that ended before an
/// answer, no answer within `response_timeout` or until the client gave up, and answers from 500 on; injected ones count
/// like real ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {consecutive_failures: 5, base_time: 30s}")]
pub struct EjectionSpec {
    /// So many failures in a row. Default 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub consecutive_failures: Option<u64>,
    /// How long the first ejection lasts; each that follows soon after another one lasts as much longer, up to ten times.
    /// Default 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub base_time: Option<Scalar>,
    /// The most endpoints that are out at once, in percent of all, but at least one. Default 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_percentage: Option<u64>,
    /// Whether answers from 500 on are failures, and gRPC answers whose head has one of the statuses UNKNOWN,
    /// DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE and DATA_LOSS. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_errors: Option<bool>,
}

/// How endpoints are asked whether they are well: by a path or by a connection. Rules do not touch these checks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {path: /healthz} or {tcp: true}")]
pub struct HealthCheckSpec {
    /// A GET of this path must be answered with a status from 200 to 399.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// A connection is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<bool>,
    /// Time between two checks. Default 5s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub interval: Option<Scalar>,
    /// A check that takes longer has failed. Default 1s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub timeout: Option<Scalar>,
    /// So many failed checks in a row take an endpoint out. Default 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub unhealthy_threshold: Option<u64>,
    /// So many good ones bring it back. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub healthy_threshold: Option<u64>,
}

/// One address of a cluster, or as many as its name has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["address"]))]
pub struct EndpointSpec {
    /// `host:port`, `http://host:port`, or `https://host:port` when the cluster has tls. A name stands for all addresses
    /// that it has, and is resolved again whenever the answer's time is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::socket_address")]
    pub address: Option<Scalar>,
    /// Free labels that rules may match on.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Scalar>,
    /// Share of the traffic relative to the other endpoints. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub weight: Option<u32>,
}

impl Full for EndpointSpec {
    const EXPECTED: &'static str =
        "an address such as \"127.0.0.1:9000\", or an object with address, labels and weight";

    fn short_schema() -> Schema {
        json_schema!({ "type": "string", "examples": ["127.0.0.1:9000"] })
    }
}
