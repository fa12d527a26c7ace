//! Schemas of the scalars, so that an editor can complete and check them.

use schemars::{Schema, SchemaGenerator, json_schema};

/// `5`, `"5"`, `"5%"`.
pub(crate) fn percentage(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [
            { "type": "number", "minimum": 0, "maximum": 100 },
            { "type": "string", "pattern": "^\\s*[0-9]+(\\.[0-9]{1,4}0*)?\\s*%?\\s*$" }
        ]
    })
}

/// `200ms`, `1m 30s`.
pub(crate) fn duration(_: &mut SchemaGenerator) -> Schema {
    duration_text()
}

/// `200ms`, `1m 30s`.
pub(crate) fn duration_text() -> Schema {
    json_schema!({ "type": "string", "pattern": "^\\s*([0-9]+(\\.[0-9]+)?\\s*[a-zµ]+\\s*)+$|^0$", "examples": ["200ms", "2s", "1m 30s"] })
}

/// `64KiB` or a number of bytes.
pub(crate) fn bytes(_: &mut SchemaGenerator) -> Schema {
    bytes_any()
}

/// `64KiB` or a number of bytes.
pub(crate) fn bytes_any() -> Schema {
    json_schema!({
        "anyOf": [
            { "type": "integer", "minimum": 0 },
            { "type": "string", "pattern": "^\\s*[0-9]+\\s*([kKMGT]i?)?B?\\s*$" }
        ],
        "examples": ["64KiB", 65536]
    })
}

/// `64KiB/s`.
pub(crate) fn rate(_: &mut SchemaGenerator) -> Schema {
    rate_text()
}

/// `64KiB/s`.
pub(crate) fn rate_text() -> Schema {
    json_schema!({ "type": "string", "pattern": "^\\s*[0-9]+\\s*([kKMGT]i?)?B?/s\\s*$", "examples": ["64KiB/s"] })
}

/// An IP address and a port.
pub(crate) fn socket_address(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "examples": ["127.0.0.1:8080", "[::1]:8080"] })
}

/// Where the control API listens.
pub(crate) fn control_address(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "examples": ["127.0.0.1:9470", "unix:/run/squall.sock"] })
}

macro_rules! words {
    ($($name:ident: $($word:literal)|+;)+) => {$(
        pub(crate) fn $name(_: &mut SchemaGenerator) -> Schema {
            json_schema!({ "type": "string", "enum": [$($word),+] })
        }
    )+};
}

words! {
    direction: "inbound" | "outbound";
    listener_protocol: "http" | "tcp" | "auto";
    cluster_protocol: "http1" | "http2";
    load_balancing: "round_robin" | "least_request";
    wrong_certificate: "expired" | "wrong_name" | "untrusted";
    accepted_proxy_protocol: "accept";
    sent_proxy_protocol: "v1" | "v2";
    phase: "request" | "response";
    delay_point: "request" | "response" | "connect";
    guard_metric: "error_rate" | "p50" | "p90" | "p95" | "p99" | "p999" | "in_flight" | "request_rate";
    when_blind: "halt" | "ignore";
    sample_mode: "random" | "exact" | "sticky";
    rule_mode: "inject" | "shadow";
    label_operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
    experiment_version: "squall.dev/v1alpha1";
    experiment_kind: "Experiment";
}

/// A number above 0.
pub(crate) fn positive(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "number", "exclusiveMinimum": 0 })
}

/// `trace`, `source` or `header:NAME`.
pub(crate) fn sample_key(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^(trace|source|header:.+)$", "examples": ["trace", "header:x-user"] })
}
