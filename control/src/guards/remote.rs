//! What an answer over HTTP says about a condition: a number of Prometheus, a status.

use std::time::Instant;

use http::{Method, Uri};
use serde_json::Value;
use squall_config::model::{HttpTarget, ProbeCondition, QueryCondition};

use super::judge::{Finding, Holding, Unit};
use crate::web::{WebAnswer, WebConnection, WebRequest};

/// One number takes less.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// More of an answer of Prometheus is not shown.
const ERROR_LENGTH_MAX: usize = 200;

/// Judges a condition by answers, one after the other.
#[derive(Debug)]
pub(crate) enum RemoteJudge {
    /// By numbers.
    Query(QueryCondition, Holding),
    /// By statuses.
    Probe(ProbeCondition, Failures),
}

/// Failed probes in a row.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    count: u32,
    since: Option<Instant>,
}

impl RemoteJudge {
    /// Begins afresh.
    pub(crate) fn of_query(condition: QueryCondition) -> Self {
        Self::Query(condition, Holding::default())
    }

    /// Begins afresh.
    pub(crate) fn of_probe(condition: ProbeCondition) -> Self {
        Self::Probe(condition, Failures::default())
    }

    /// Whether it goes by failures in a row.
    pub(crate) fn is_probe(&self) -> bool {
        matches!(self, Self::Probe(..))
    }

    /// Whom it asks.
    pub(crate) fn target(&self) -> &HttpTarget {
        match self {
            Self::Query(query, _) => &query.target,
            Self::Probe(probe, _) => &probe.target,
        }
    }

    /// What it asks.
    pub(crate) fn request(&self) -> WebRequest {
        let target = self.target();
        let (url, body_bytes_max) = match self {
            Self::Query(query, _) => (url_of(&query.target, &query.query), ANSWER_BYTES_MAX),
            Self::Probe(probe, _) => (probe.target.url.clone(), 0),
        };
        WebRequest {
            method: Method::GET,
            url,
            token_file: target.token_file.clone(),
            ca: target.ca.clone(),
            body: Vec::new(),
            body_bytes_max,
            connection: WebConnection::Own,
        }
    }

    /// Takes in what came.
    pub(crate) fn step(&mut self, now: Instant, answer: Result<WebAnswer, String>) -> Finding {
        match self {
            Self::Query(query, holding) => match answer.and_then(|answer| number_in(&answer)) {
                Ok(value) => {
                    let since = holding.step(now, query.bound.is_broken_by(value));
                    let is_enough = since.is_some_and(|since| now.saturating_duration_since(since) >= query.held_for);
                    Finding { since, is_enough, value: Some(value), ..Finding::nothing(Unit::Number) }
                }
                // A bad time does not end because nobody sees it.
                Err(trouble) => Finding {
                    trouble: Some(format!("{}: {trouble}", query.target)),
                    is_blind: true,
                    ..Finding::nothing(Unit::Number)
                },
            },
            Self::Probe(probe, failures) => failures.step(now, probe, answer),
        }
    }
}

impl Failures {
    fn step(&mut self, now: Instant, probe: &ProbeCondition, answer: Result<WebAnswer, String>) -> Finding {
        let status = answer.as_ref().ok().map(|answer| answer.status);
        if status.is_some_and(|status| probe.accepts(status)) {
            *self = Self::default();
        } else {
            self.count = self.count.saturating_add(1);
            self.since.get_or_insert(now);
        }
        Finding {
            since: self.since,
            is_enough: self.count >= probe.failures,
            value: status.map(f64::from),
            trouble: answer.err(),
            ..Finding::nothing(Unit::Status)
        }
    }
}

/// The instant query of Prometheus's HTTP API.
fn url_of(target: &HttpTarget, query: &str) -> Uri {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    let query: String = query.bytes().map(encode).collect();
    let root = target.to_string();
    let url = format!("{}/api/v1/query?query={query}", root.trim_end_matches('/'));
    url.parse().unwrap_or_else(|_| target.url.clone())
}

/// The one number of an answer of Prometheus; else what is wrong with it.
fn number_in(answer: &WebAnswer) -> Result<f64, String> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    if answer.status != 200 || body["status"] != "success" {
        let said: String =
            body["error"].as_str().unwrap_or("no answer of Prometheus").chars().take(ERROR_LENGTH_MAX).collect();
        return Err(format!("status {}: {said}", answer.status));
    }
    let result = &body["data"]["result"];
    let sample = match body["data"]["resultType"].as_str() {
        Some("scalar") => result,
        Some("vector") => match result.as_array().map(Vec::as_slice) {
            Some([series]) => &series["value"],
            Some([]) | None => return Err("the query gives no series".to_owned()),
            Some(many) => return Err(format!("the query gives {} series; sum them up, or pick one", many.len())),
        },
        other => return Err(format!("the query gives a {}, not a number", other.unwrap_or("nothing"))),
    };
    let value: Option<f64> = sample[1].as_str().and_then(|text| text.parse().ok());
    match value {
        Some(value) if value.is_nan() => Err("the query gives no number (NaN)".to_owned()),
        Some(value) => Ok(value),
        None => Err("the answer has no number".to_owned()),
    }
}

#[cfg(test)]
#[path = "remote_tests.rs"]
mod tests;
