//! TLS of listeners, clusters and the control API. Files are named here, and read by the proxy.

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use crate::written::{Full, OneOrMany};

/// TLS on a listener: the certificate that it shows, and whose clients it serves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["cert", "key"]))]
pub struct ListenerTlsSpec {
    /// A PEM file with the certificate, then those of the authorities between it and the root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<String>,
    /// A PEM file with the private key of the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// A PEM file with the authorities of client certificates; with it, clients without one are refused. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<String>,
}

impl Full for ListenerTlsSpec {
    const EXPECTED: &'static str = "an object with cert and key, or \"passthrough\"";

    fn short_schema() -> Schema {
        json_schema!({ "type": "string", "enum": ["passthrough"] })
    }
}

/// HTTPS to third parties that is opened here, so that rules see what is inside: for the names in the list, and no other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object with names, cert and key")]
#[schemars(extend("required" = ["names", "cert", "key"]))]
pub struct InterceptSpec {
    /// Whose connections are opened: names and addresses that clients CONNECT to, such as `api.example`, `*.b.example` or
    /// `10.0.0.0/8`. Others pass through untouched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<OneOrMany>,
    /// A PEM file with the certificate of an authority that the clients trust (`squall certs init` makes one). Clients are
    /// shown certificates for those names that it vouches for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<String>,
    /// A PEM file with the authority's private key. Whoever has it can pose as any server to those clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// TLS of the control API: the certificate that it shows, and whose clients it serves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object with cert, key and perhaps client_ca")]
#[schemars(extend("required" = ["cert", "key"]))]
pub struct ControlTlsSpec {
    /// A PEM file with the certificate, then those of the authorities between it and the root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<String>,
    /// A PEM file with the private key of the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// A PEM file with the authorities of client certificates; with it, clients without one are refused. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<String>,
}

/// TLS to a cluster: who its endpoints have to be, and who Squall is to them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object with ca, server_name, cert and key, all of them optional")]
pub struct ClusterTlsSpec {
    /// A PEM file with the authorities that vouch for the endpoints. Default: those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// The name (or IP address) that the endpoints' certificates must have. Default: the host of the endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// A PEM file with the certificate that Squall shows when it is asked for one; with key. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<String>,
    /// A PEM file with the private key of cert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}
