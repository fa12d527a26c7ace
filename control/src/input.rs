//! What a call says: its conditions, its body, the name in its path.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use futures_util::StreamExt;
use http::request::Parts;
use http::{HeaderMap, StatusCode, Uri, header};
use serde_json::Value;
use squall_config::model::Name;
use squall_config::{Chain, Problem, Problems};

use crate::actor::{Actor, Caller};
use crate::app::App;
use crate::error::ApiError;
use crate::write::{Precondition, Write};

/// Room for ten thousand rules of 400 bytes.
pub(crate) const BODY_BYTES_MAX: usize = 4 << 20;

/// More of a body is not waited for.
const BODY_BYTES_DROPPED_MAX: usize = 64 << 20;

/// A body that takes longer does not come from somebody who waits for the answer.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A call that changes something: conditions and body.
pub(crate) struct Change {
    pub(crate) write: Write,
    /// `None` when there was no body.
    pub(crate) body: Option<Value>,
}

impl FromRequest<Arc<App>> for Change {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, ApiError> {
        let extensions = request.extensions();
        let by = extensions.get::<Caller>().cloned().map_or_else(Actor::default, Actor::Caller);
        let write = Write {
            operation: extensions.get::<Operation>().map_or("change", |operation| operation.0),
            rule: rule_in(request.uri().path()),
            precondition: precondition(request.headers())?,
            dry_run: dry_run(request.uri())?,
            ..Write::by(by)
        };
        Ok(Self { write, body: read_json(request).await? })
    }
}

/// The name of a call in the API's description, put into each request by its route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation(pub(crate) &'static str);

/// The rule that a path names.
pub(crate) fn rule_in(path: &str) -> Option<String> {
    let name = path.strip_prefix("/v1/rules/")?;
    Name::new(name).is_ok().then(|| name.to_owned())
}

impl Change {
    /// The body, which must be there.
    pub(crate) fn take_body(&mut self) -> Result<Value, ApiError> {
        self.body.take().ok_or_else(|| {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                "",
                "the body is empty",
                "send JSON, as in: curl -X PUT -d '{…}' URL",
            )
        })
    }
}

/// The last part of the path.
pub(crate) struct RuleName(pub(crate) String);

impl FromRequestParts<Arc<App>> for RuleName {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let name = Path::<String>::from_request_parts(parts, app).await;
        name.map(|Path(name)| Self(name)).map_err(|rejection| {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                "name",
                rejection.body_text(),
                "names are made of a-z, 0-9, '-', '_', '.'",
            )
        })
    }
}

/// `If-Match`: `*`, or generations, with or without quotes.
fn precondition(headers: &HeaderMap) -> Result<Precondition, ApiError> {
    let mut generations = Vec::new();
    for value in headers.get_all(header::IF_MATCH) {
        let text = value.to_str().unwrap_or("?");
        for tag in text.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
            if tag == "*" {
                return Ok(Precondition::None);
            }
            let number = tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"').parse();
            generations.push(number.map_err(|_| {
                let detail = format!("{tag} is not a generation");
                ApiError::new(
                    StatusCode::BAD_REQUEST,
                    "If-Match",
                    detail,
                    "send the ETag of an answer, as in: If-Match: \"7\"",
                )
            })?);
        }
    }
    let is_sent = headers.contains_key(header::IF_MATCH);
    Ok(if is_sent { Precondition::Generation(generations) } else { Precondition::None })
}

/// `?dry_run=true`. Other parameters are refused: a misspelt `dry_run` must not change anything.
pub(crate) fn dry_run(uri: &Uri) -> Result<bool, ApiError> {
    let mut dry_run = false;
    for parameter in uri.query().unwrap_or_default().split('&').filter(|parameter| !parameter.is_empty()) {
        dry_run = match parameter {
            "dry_run" | "dry_run=true" | "dry_run=1" => true,
            "dry_run=false" | "dry_run=0" => false,
            other => {
                let detail = format!("{other:?} is not a query parameter of this call");
                return Err(ApiError::new(StatusCode::BAD_REQUEST, "query", detail, "the only one is dry_run=true"));
            }
        };
    }
    Ok(dry_run)
}

async fn read_json(request: Request) -> Result<Option<Value>, ApiError> {
    let too_slow = |_| {
        let detail = format!("the body did not arrive within {} s", BODY_TIMEOUT.as_secs());
        ApiError::new(StatusCode::REQUEST_TIMEOUT, "", detail, "check Content-Length, or send it again")
    };
    let bytes = tokio::time::timeout(BODY_TIMEOUT, read_body(request.into_body())).await.map_err(too_slow)??;
    if bytes.trim_ascii().is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| not_json(&error, &bytes))
}

/// Reads the body to its end. One that is too long is read and dropped up to [`BODY_BYTES_DROPPED_MAX`]: a client that is
/// still sending when the connection closes would not see the answer (RFC 9112 §9.6).
async fn read_body(body: axum::body::Body) -> Result<Vec<u8>, ApiError> {
    let (mut chunks, mut bytes, mut n_bytes) = (body.into_data_stream(), Vec::new(), 0);
    while n_bytes <= BODY_BYTES_DROPPED_MAX
        && let Some(chunk) = chunks.next().await
    {
        let chunk = chunk.map_err(|error| {
            let detail = format!("the body is broken: {}", Chain(&error));
            ApiError::new(StatusCode::BAD_REQUEST, "", detail, "check Content-Length, or send it again")
        })?;
        n_bytes += chunk.len();
        if n_bytes <= BODY_BYTES_MAX {
            bytes.extend_from_slice(&chunk);
        }
    }
    if n_bytes <= BODY_BYTES_MAX {
        return Ok(bytes);
    }
    let detail = format!("the body is longer than {BODY_BYTES_MAX} bytes");
    Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "", detail, "send fewer rules at once"))
}

fn not_json(error: &serde_json::Error, bytes: &[u8]) -> ApiError {
    let hint = match bytes.trim_ascii().first() {
        Some(b'{' | b'[') => "check quotes and commas; in a shell, put the JSON into single quotes",
        _ => "the API takes JSON; YAML is for the configuration file",
    };
    let position = |number: usize| u32::try_from(number).ok().filter(|number| *number > 0);
    let problem = Problem {
        path: String::new(),
        line: position(error.line()),
        column: position(error.column()),
        detail: format!("the body is not JSON: {error}"),
        hint: Some(hint.to_owned()),
    };
    ApiError::with_problem(StatusCode::BAD_REQUEST, problem)
}

/// Removes what the API itself adds to a rule, so that what was got can be put back.
pub(crate) fn strip_status(rule: &mut Value) {
    if let Value::Object(members) = rule {
        members.remove("status");
    }
}

/// The body of `PUT /v1/rules`: `{"rules": […]}` or the array alone; `generation`, each `status`, the rules of experiments and
/// of a controller, and toxics are what GET adds.
pub(crate) fn rules_document(body: Value) -> Value {
    let mut document = match body {
        Value::Array(rules) => serde_json::json!({ "rules": rules }),
        other => other,
    };
    if let Value::Object(members) = &mut document {
        members.remove("generation");
        if let Some(Value::Array(rules)) = members.get_mut("rules") {
            let adds = ["experiment", "controller", "toxic"];
            rules.retain(|rule| adds.iter().all(|field| rule.get(field).is_none()));
            rules.iter_mut().for_each(strip_status);
        }
    }
    document
}

/// The `reason` of halt and resume; without a body there is none.
pub(crate) fn reason(body: Option<Value>) -> Result<String, ApiError> {
    const LENGTH_MAX: usize = 500;
    let hint = "send {\"reason\": \"why\"} or nothing";
    let refuse =
        |path: &str, detail: String| Err(ApiError::invalid(Problems(vec![Problem::new(path, detail).with_hint(hint)])));
    let members = match body {
        None => return Ok(String::new()),
        Some(Value::Object(members)) => members,
        Some(_) => return refuse("", "the body is not an object".to_owned()),
    };
    if let Some(name) = members.keys().find(|name| *name != "reason") {
        return refuse(name, format!("unknown field {name:?}"));
    }
    match members.get("reason") {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(reason)) if reason.len() <= LENGTH_MAX => Ok(reason.clone()),
        Some(Value::String(_)) => refuse("reason", format!("longer than {LENGTH_MAX} bytes")),
        Some(_) => refuse("reason", "not a text".to_owned()),
    }
}
