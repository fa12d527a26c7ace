//! What the API shows.

use std::sync::atomic::Ordering;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use squall_config::model::{Config, Fault, Listener, ListenerProtocol, Rule};
use squall_config::spec::RuleSpec;
use squall_fault::snapshot::Snapshot;

use crate::document::Written;
use crate::error::ErrorOut;
use crate::reload::Reload;
use crate::text::{pretty, rfc3339};

/// An answer in JSON with the generation as its ETag.
pub(crate) fn answer(status: StatusCode, generation: u64, body: &impl Serialize) -> Response {
    let mut response = (status, pretty(body)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    tag(&mut response, generation);
    response
}

/// Sets the ETag.
pub(crate) fn tag(response: &mut Response, generation: u64) {
    if let Ok(value) = HeaderValue::try_from(format!("\"{generation}\"")) {
        response.headers_mut().insert(header::ETAG, value);
    }
}

/// What a percentage is a percentage of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) enum Unit {
    #[serde(rename = "request")]
    Request,
    #[serde(rename = "connection")]
    Connection,
    #[serde(rename = "tunnel")]
    Tunnel,
    #[serde(rename = "request and connection")]
    Both,
}

impl Unit {
    /// From the listeners that the rule can meet, its conditions and its faults; whether it is enabled does not matter.
    pub(crate) fn of(rule: &Rule, config: &Config) -> Self {
        let is_met = |listener: &&Listener| {
            let m = &rule.matches;
            m.listener.as_ref().is_none_or(|name| *name == listener.name)
                && m.direction.is_none_or(|direction| direction == listener.direction)
                && m.cluster.as_ref().is_none_or(|name| listener.leads_to(name))
        };
        let protocols: Vec<_> = config.listeners.iter().filter(is_met).map(|listener| listener.protocol).collect();
        let speaks = |protocol| {
            protocols.is_empty() || protocols.contains(&protocol) || protocols.contains(&ListenerProtocol::Auto)
        };
        if rule.matches.upgrade.is_some() {
            return Self::Tunnel;
        }
        let http = speaks(ListenerProtocol::Http) && rule.faults.iter().any(Fault::applies_to_http);
        let tcp = speaks(ListenerProtocol::Tcp)
            && !rule.matches.needs_http()
            && rule.faults.iter().any(Fault::applies_to_tcp);
        let is_of_handshakes = rule.faults.iter().any(|fault| matches!(fault, Fault::Tls(_)));
        match (http, tcp || is_of_handshakes) {
            (true, true) => Self::Both,
            (false, true) => Self::Connection,
            _ => Self::Request,
        }
    }

    /// One sentence about connections that are open when the rule comes.
    fn open_connections(self, rule: &Rule) -> &'static str {
        let refuses_only = rule.faults.iter().all(|fault| matches!(fault, Fault::Refuse));
        match self {
            _ if refuses_only => "Connections that are already open are left alone; new ones are refused.",
            Self::Request => "The next request on a connection that is already open is decided by this rule.",
            Self::Tunnel => {
                "A tunnel that is already open is decided once, when this rule first appears, and keeps that decision until it \
                 closes or the rule ends."
            }
            Self::Connection => {
                "A connection that is already open is decided once, when this rule first appears, and keeps that decision \
                 until it closes or the rule ends."
            }
            Self::Both => {
                "On HTTP, the next request on a connection that is already open is decided by this rule; a TCP connection \
                 that is already open is decided once, when this rule first appears, and keeps that decision until it \
                 closes or the rule ends."
            }
        }
    }
}

/// What a rule does, next to what was written.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RuleStatus")]
pub(crate) struct RuleStatus {
    /// What the percentage is a percentage of.
    unit: Unit,
    /// How many matched since the rule was made.
    matched: u64,
    /// How many of them were given a fault of the rule.
    injected: u64,
    /// How many would have been, while the rule was in shadow mode.
    would_have_injected: u64,
    /// How many in progress it was decided to hold or alter.
    active: u64,
    /// `injected` of `matched`, in percent; null when nothing matched yet.
    observed_percentage: Option<f64>,
    /// When the rule ends (RFC 3339); null when it does not.
    expires_at: Option<String>,
    /// `file`, `api`, `experiment` or `controller`.
    origin: &'static str,
    /// What the rule means for connections that are already open.
    open_connections: &'static str,
}

/// A rule as written, with its status.
#[derive(Debug, Serialize)]
pub(crate) struct RuleOut<'a> {
    #[serde(flatten)]
    spec: &'a RuleSpec,
    status: RuleStatus,
}

impl<'a> RuleOut<'a> {
    /// The rule at `place`; counts are those of the snapshot's rule of that name, if it is there yet.
    pub(crate) fn new(written: &'a Written, place: usize, snapshot: &Snapshot) -> Self {
        let spec = &written.document.rules[place];
        let rule = &written.config.rules[place];
        let meta = written.metas[&spec.name];
        let unit = Unit::of(rule, &written.config);
        let compiled = snapshot.rules.get(place).filter(|compiled| compiled.rule.name == rule.name);
        let compiled = compiled.or_else(|| snapshot.rules.iter().find(|compiled| compiled.rule.name == rule.name));
        let count = |read: fn(&squall_fault::snapshot::RuleState) -> u64| compiled.map_or(0, |rule| read(&rule.state));
        let (matched, injected) = (
            count(|state| state.matched.load(Ordering::Relaxed)),
            count(|state| state.injected.load(Ordering::Relaxed)),
        );
        let status = RuleStatus {
            unit,
            matched,
            injected,
            would_have_injected: count(|state| state.skipped_shadow.load(Ordering::Relaxed)),
            active: count(|state| u64::try_from(state.active.load(Ordering::Relaxed)).unwrap_or(0)),
            observed_percentage: percentage(injected, matched),
            expires_at: meta.expiry.map(|expiry| rfc3339(expiry.at)),
            origin: meta.origin.as_str(),
            open_connections: unit.open_connections(rule),
        };
        Self { spec, status }
    }

    /// All rules, in order.
    pub(crate) fn all(written: &'a Written, snapshot: &Snapshot) -> Vec<Self> {
        (0..written.document.rules.len()).map(|place| Self::new(written, place, snapshot)).collect()
    }
}

/// With four decimals, as percentages are written. Counts stay far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "2^53 requests take a hundred years at a million per second")]
pub(crate) fn percentage(injected: u64, matched: u64) -> Option<f64> {
    (matched > 0).then(|| (injected as f64 / matched as f64 * 1e6).round() / 1e4)
}

/// All rules.
#[derive(Debug, Serialize)]
pub(crate) struct RulesOut<'a> {
    pub(crate) generation: u64,
    pub(crate) rules: Vec<RuleOut<'a>>,
}

/// The result of a reload.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Reload")]
pub(crate) struct ReloadOut<'a> {
    /// `ok`, or `error`: then the old configuration is still in force.
    result: &'static str,
    /// When (RFC 3339).
    at: String,
    /// What is wrong with the file.
    problems: Vec<ErrorOut<'a>>,
    /// What does not take effect yet, and why.
    warnings: &'a [String],
}

impl<'a> From<&'a Reload> for ReloadOut<'a> {
    fn from(reload: &'a Reload) -> Self {
        Self {
            result: if reload.is_ok() { "ok" } else { "error" },
            at: rfc3339(reload.at),
            problems: reload.problems.iter().map(ErrorOut::from).collect(),
            warnings: &reload.warnings,
        }
    }
}
