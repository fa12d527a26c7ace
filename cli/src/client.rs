//! A small client of the control API: one call, one connection.

mod base;
mod connect;
mod credentials;
pub(crate) mod events;
mod hint;
mod shell;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use serde_json::Value;
use squall_config::{Chain, Problem, Problems};

use crate::exit::{Exit, Failure};

pub(crate) use base::{Base, CONTROL_DEFAULT};
pub(crate) use credentials::Credentials;
use credentials::Token;

/// A control API on this machine answers within milliseconds; one that is silent for so long is not there.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// No answer is larger: 10,000 rules with their status are below 16 MiB.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// One call of the API.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: Method,
    path: String,
    if_match: Option<u64>,
    body: Option<Value>,
}

impl Call {
    /// A call without a body; `path` begins with `/` and is encoded already.
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), if_match: None, body: None }
    }

    /// With a JSON body.
    pub(crate) fn with_body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Only if this is still the generation.
    pub(crate) fn with_if_match(mut self, generation: Option<u64>) -> Self {
        self.if_match = generation;
        self
    }

    /// This call as a line for a shell.
    pub(crate) fn curl(&self, base: &Base, credentials: &Credentials) -> String {
        self.curl_with(base, &credentials.curl(matches!(base, Base::Https(_)), false))
    }

    /// This call as a line for the shell of somebody whose token is in `SQUALL_TOKEN` if one is needed.
    pub(crate) fn curl_of_environment(&self, base: &Base, needs_token: bool) -> String {
        self.curl_with(base, &Credentials::of_environment().curl(false, needs_token))
    }

    fn curl_with(&self, base: &Base, credentials: &str) -> String {
        let mut line = "curl".to_owned();
        if let Some(socket) = base.socket() {
            line.push_str(&format!(" --unix-socket {}", shell::quoted(&socket.display().to_string())));
        }
        line.push_str(credentials);
        if self.method != Method::GET && !(self.method == Method::POST && self.body.is_some()) {
            line.push_str(&format!(" -X {}", self.method));
        }
        line.push_str(&format!(" {}", shell::quoted(&base.url(&self.path))));
        if let Some(generation) = self.if_match {
            line.push_str(&format!(" -H 'If-Match: \"{generation}\"'"));
        }
        if let Some(body) = &self.body {
            line.push_str(&format!(" -d {}", shell::quoted(&body.to_string())));
        }
        line
    }

    fn request(&self, base: &Base, token: Option<&Token>) -> Result<Request<Full<Bytes>>, http::Error> {
        let body = self.body.as_ref().map(Value::to_string).unwrap_or_default();
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(&self.path)
            .header(header::HOST, base.host())
            .header(header::USER_AGENT, concat!("squall/", env!("CARGO_PKG_VERSION")));
        if self.body.is_some() {
            let kind = if self.method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
            request = request.header(header::CONTENT_TYPE, kind);
        }
        if let Some(generation) = self.if_match {
            request = request.header(header::IF_MATCH, format!("\"{generation}\""));
        }
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, token.field());
        }
        request.body(Full::new(Bytes::from(body)))
    }
}

/// What the API answered.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// HTTP status.
    pub(crate) status: StatusCode,
    /// The body, whole.
    pub(crate) body: Bytes,
}

impl Reply {
    /// The body as JSON; `Null` when there is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The JSON body of a success, or the failure that the API reported.
    pub(crate) fn into_value(self) -> Result<Value, Failure> {
        if self.status.is_success() { Ok(self.json()) } else { Err(self.failure()) }
    }

    /// All that is wrong with the body of the call, when it was refused for that.
    pub(crate) fn problems(&self) -> Option<Problems> {
        if self.status != StatusCode::UNPROCESSABLE_ENTITY {
            return None;
        }
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let problem = |error: &Value| {
            let hint = Some(text(error, "hint")).filter(|hint| !hint.is_empty());
            Problem { path: text(error, "path"), detail: text(error, "detail"), hint, ..Problem::default() }
        };
        let all: Vec<Problem> = self.json()["errors"].as_array()?.iter().map(problem).collect();
        (!all.is_empty()).then_some(Problems(all))
    }

    fn failure(&self) -> Failure {
        let exit = match self.status.as_u16() {
            409 | 412 => Exit::Conflict,
            400 | 422 => Exit::InvalidConfig,
            _ => Exit::Failure,
        };
        let problem = self.json();
        let text = |value: &Value, key: &str| value[key].as_str().filter(|t| !t.is_empty()).map(str::to_owned);
        let Some(head) = text(&problem, "title") else { return self.failure_of_another(exit) };
        let mut message = format!("the control API says {}: {head}", self.status.as_u16());
        let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        // One problem alone is often the detail, too; once is enough.
        let is_repeated = errors.iter().any(|error| error["detail"] == problem["detail"]);
        if let Some(detail) = text(&problem, "detail").filter(|_| !is_repeated) {
            message.push_str(&format!(": {detail}"));
        }
        for error in errors {
            let place = text(error, "path").map_or_else(String::new, |path| format!("{path}: "));
            message.push_str(&format!("\n  {place}{}", text(error, "detail").unwrap_or_default()));
            if let Some(hint) = text(error, "hint") {
                message.push_str(&format!("; {}", hint::in_verbs(&hint)));
            }
        }
        if self.status == StatusCode::UNAUTHORIZED {
            message.push_str("\n  squall takes it from --token-file, SQUALL_TOKEN_FILE or SQUALL_TOKEN");
        }
        Failure::new(exit, message)
    }

    /// Of an answer that the API does not give: often that of a listener, or of a service.
    fn failure_of_another(&self, exit: Exit) -> Failure {
        let body = String::from_utf8_lossy(&self.body);
        let line = body.trim().lines().next().unwrap_or_default();
        let fix = "name the address of the control API with --control or SQUALL_CONTROL";
        let status = self.status.as_u16();
        Failure::new(exit, format!("this is not how the control API answers; {fix}; the answer was {status}: {line}"))
    }
}

/// That nobody answered, and what can be done.
fn unreachable(base: &Base, why: impl fmt::Display) -> Failure {
    let fix = "is squall running there? name another place with --control or SQUALL_CONTROL";
    Failure::new(Exit::Unreachable, format!("cannot reach the control API at {base}: {why}; {fix}"))
}

/// Calls the API and waits for the whole answer, at most 10 s. A failure means that there was none.
pub(crate) async fn send(base: &Base, credentials: &Credentials, call: &Call) -> Result<Reply, Failure> {
    // What is wrong on this side is no fault of the other one.
    let request = call.request(base, credentials.token()?.as_ref()).map_err(anyhow::Error::from)?;
    let tls = matches!(base, Base::Https(_)).then(|| credentials.tls()).transpose()?;
    match tokio::time::timeout(CALL_TIMEOUT, exchange(base, tls, request)).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(error)) => Err(unreachable(base, format_args!("{error:#}"))),
        Err(_) => Err(unreachable(base, format_args!("no answer within {} s", CALL_TIMEOUT.as_secs()))),
    }
}

async fn exchange(base: &Base, tls: Option<Arc<ClientConfig>>, request: Request<Full<Bytes>>) -> anyhow::Result<Reply> {
    let socket = connect::connect(base, tls).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
    let answer = async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("the answer broke off: {}", Chain(error.as_ref())))?.to_bytes();
        Ok(Reply { status, body })
    };
    // The connection makes progress while the answer is awaited, and ends with it.
    tokio::pin!(connection);
    tokio::pin!(answer);
    tokio::select! {
        reply = &mut answer => reply,
        ended = &mut connection => {
            ended?;
            answer.await
        }
    }
}

/// [`send`] for verbs that have nothing else to do meanwhile.
pub(crate) fn send_blocking(base: &Base, credentials: &Credentials, call: &Call) -> Result<Reply, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(send(base, credentials, call))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn curl_lines_survive_the_shell() {
        let base = Base::parse("127.0.0.1:9470").unwrap();
        assert_eq!(
            Call::new(Method::GET, "/v1/rules").curl(&base, &Credentials::default()),
            "curl http://127.0.0.1:9470/v1/rules"
        );
        let call =
            Call::new(Method::PUT, "/v1/rules/a?dry_run=true").with_body(json!({"it's": 1})).with_if_match(Some(7));
        assert_eq!(
            call.curl(&base, &Credentials::default()),
            r#"curl -X PUT 'http://127.0.0.1:9470/v1/rules/a?dry_run=true' -H 'If-Match: "7"' -d '{"it'\''s":1}'"#
        );
        assert_eq!(
            Call::new(Method::POST, "/v1/halt").curl(&base, &Credentials::default()),
            "curl -X POST http://127.0.0.1:9470/v1/halt"
        );
        let halt = Call::new(Method::POST, "/v1/halt");
        let socket = Base::parse("unix:/run/my squall.sock").unwrap();
        assert_eq!(
            halt.curl_of_environment(&socket, true),
            r#"curl --unix-socket '/run/my squall.sock' -H "Authorization: Bearer $SQUALL_TOKEN" -X POST http://localhost/v1/halt"#
        );
    }

    #[test]
    fn statuses_become_exit_codes_and_problems_become_lines() {
        let problem = json!({"title": "Invalid rule", "errors": [{"path": "fault.delay", "detail": "too long", "hint": "shorten it"}]});
        let cases = [(400, 3), (422, 3), (409, 5), (412, 5), (404, 1), (500, 1)];
        for (status, exit) in cases {
            let status = StatusCode::from_u16(status).unwrap();
            let failure = Reply { status, body: problem.to_string().into() }.into_value().unwrap_err();
            assert_eq!(failure.exit as u8, exit, "{status}");
            assert!(
                failure.text().ends_with("Invalid rule\n  fault.delay: too long; shorten it"),
                "{}",
                failure.text()
            );
        }
        let plain =
            Reply { status: StatusCode::BAD_GATEWAY, body: "not squall\nat all".into() }.into_value().unwrap_err();
        assert!(plain.text().ends_with("502: not squall"), "{}", plain.text());
    }
}
