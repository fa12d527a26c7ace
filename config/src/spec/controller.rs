//! The controller of a cluster, whose orders Squall follows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The controller of a cluster, whose orders Squall follows: rules, experiments and halts that it has as long as the controller
/// goes on giving them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {url: \"https://squall.squall-system.svc\", ca: ca.crt}")]
#[schemars(extend("required" = ["url"]))]
pub struct ControllerSpec {
    /// Where it is: an address that begins with https://, without a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A file of the authorities that vouch for it; read again when it changes. Default: those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// A file with the bearer token that says who asks; read again each time. Default: none is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
    /// A file with the labels of the pod, lines `key="value"`, as the downward API writes it; read again each time. Default: the
    /// controller learns of none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels_file: Option<String>,
}
