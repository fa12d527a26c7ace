//! Refusals as problem details (RFC 9457).

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use squall_config::{Chain, Problem, Problems};

use crate::write::UpdateError;

/// Media type of every refusal.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// Why a call was refused; nothing changed.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    detail: String,
    errors: Vec<Problem>,
    /// A field that the status asks for.
    field: Option<(HeaderName, String)>,
}

/// A refusal (RFC 9457).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct ProblemOut<'a> {
    /// Always `about:blank`: the status says what kind of problem it is.
    r#type: &'static str,
    /// The name of the status.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What is wrong.
    detail: &'a str,
    /// Everything that is wrong, at least one.
    errors: Vec<ErrorOut<'a>>,
}

/// One thing that is wrong.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ProblemError")]
pub(crate) struct ErrorOut<'a> {
    /// The field, as in `fault.delay`; empty for the whole.
    path: &'a str,
    /// Line of the body, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    /// Column of the body, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    /// What is wrong.
    detail: &'a str,
    /// How to fix it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl<'a> From<&'a Problem> for ErrorOut<'a> {
    fn from(problem: &'a Problem) -> Self {
        Self {
            path: &problem.path,
            line: problem.line,
            column: problem.column,
            detail: &problem.detail,
            hint: problem.hint.as_deref(),
        }
    }
}

impl ApiError {
    /// A refusal with one problem.
    pub(crate) fn new(status: StatusCode, path: &str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::with_problem(status, Problem::new(path, detail).with_hint(hint))
    }

    /// A refusal with this problem, which may have a position.
    pub(crate) fn with_problem(status: StatusCode, problem: Problem) -> Self {
        Self { status, detail: problem.detail.clone(), errors: vec![problem], field: None }
    }

    /// 422: understood, but not valid.
    pub(crate) fn invalid(problems: Problems) -> Self {
        Self::many(
            StatusCode::UNPROCESSABLE_ENTITY,
            "nothing was changed, because the result would not be valid",
            problems,
        )
    }

    /// 404 for a rule, with the nearest thing to a fix.
    pub(crate) fn no_rule(name: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "name",
            format!("there is no rule {name:?}"),
            "GET /v1/rules lists them; rules made through the API end with their ttl",
        )
    }

    /// 405.
    pub(crate) fn method_not_allowed(method: &http::Method, path: &str, allow: &str) -> Self {
        let hint = match path {
            "/v1/rules" | "/v1/experiments" if *method == http::Method::POST => format!("PUT {path}/NAME makes one"),
            _ if allow.contains(',') => format!("use one of {allow}; GET never changes anything"),
            _ => format!("use {allow}; GET never changes anything"),
        };
        let mut error =
            Self::new(StatusCode::METHOD_NOT_ALLOWED, "", format!("{method} is not a method of {path}"), hint);
        error.field = Some((header::ALLOW, allow.to_owned()));
        error
    }

    /// 401, the same for a call without a token and for one whose token is wrong.
    pub(crate) fn unauthenticated() -> Self {
        let hint = "send Authorization: Bearer TOKEN, with a token of control.token_file";
        let mut error = Self::new(
            StatusCode::UNAUTHORIZED,
            "Authorization",
            "the call bears no token, or one that nobody has",
            hint,
        );
        error.field = Some((header::WWW_AUTHENTICATE, "Bearer".to_owned()));
        error
    }

    /// 429.
    pub(crate) fn too_many_tries(wait: std::time::Duration) -> Self {
        let detail = "too many wrong tokens came from here";
        let hint =
            "wait, then use the right one; POST /v1/halt with the right one works at any time, and so does SIGUSR1";
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "Authorization", detail, hint);
        error.field = Some((header::RETRY_AFTER, (wait.as_secs() + 1).to_string()));
        error
    }

    /// 500: our failure.
    pub(crate) fn internal(detail: &str) -> Self {
        let hint = "nothing of the call was applied unless a newer generation says so; see Squall's log";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "", detail, hint)
    }

    fn many(status: StatusCode, detail: &str, Problems(errors): Problems) -> Self {
        Self { status, detail: detail.to_owned(), errors, field: None }
    }

    /// The status that it answers with.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong, in one line.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// Strips a prefix such as `rules[3].` from the places of the problems, for calls whose body is that rule alone.
    pub(crate) fn relative_to(mut self, prefix: &str) -> Self {
        for problem in &mut self.errors {
            if let Some(rest) = problem.path.strip_prefix(prefix) {
                problem.path = rest.trim_start_matches('.').to_owned();
            }
        }
        self
    }
}

impl From<UpdateError> for ApiError {
    fn from(error: UpdateError) -> Self {
        match error {
            UpdateError::Precondition { .. } => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "If-Match",
                error.to_string(),
                "somebody else changed the configuration; or leave If-Match out to change it whatever it is",
            ),
            UpdateError::Invalid(problems) => Self::invalid(problems),
            UpdateError::Conflict(problems) => {
                Self::many(StatusCode::CONFLICT, "nothing was changed, because the result cannot be had now", problems)
            }
            UpdateError::NotKept(_) => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "",
                Chain(&error).to_string(),
                "make room in state_dir, or repair it; removing rules and halt work all the same",
            ),
            UpdateError::NoLease => {
                let hint = "take it first: PUT /v1/lease with {\"holder\": …, \"ttl\": \"30s\"}";
                Self::new(StatusCode::CONFLICT, "", error.to_string(), hint)
            }
            UpdateError::Leased { .. } => {
                let hint = "wait until it runs out, or DELETE /v1/lease, which ends it for them";
                Self::new(StatusCode::CONFLICT, "holder", error.to_string(), hint)
            }
            UpdateError::OfExperiment { ref experiment, .. } => {
                let hint = format!(
                    "POST /v1/experiments/{experiment}/stop ends all of its rules; POST /v1/halt ends all faults"
                );
                Self::new(StatusCode::CONFLICT, "name", error.to_string(), hint)
            }
            UpdateError::OfController(_) => {
                let hint =
                    "change or delete it in the cluster (kubectl get faultrules); POST /v1/halt ends all faults here";
                Self::new(StatusCode::CONFLICT, "name", error.to_string(), hint)
            }
            UpdateError::HaltedByController => {
                let hint = "delete what halts them in the cluster (kubectl get clusterhalts); faults flow again then";
                Self::new(StatusCode::CONFLICT, "", error.to_string(), hint)
            }
            UpdateError::Toxic { .. } => {
                let hint = "change it through Toxiproxy's API; DELETE removes it here, too";
                Self::new(StatusCode::CONFLICT, "name", error.to_string(), hint)
            }
            UpdateError::NoRule(name) => Self::no_rule(&name),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = ProblemOut {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            errors: self.errors.iter().map(ErrorOut::from).collect(),
        };
        let mut response = (self.status, crate::text::pretty(&problem)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some((name, value)) = self.field
            && let Ok(value) = HeaderValue::try_from(value)
        {
            response.headers_mut().insert(name, value);
        }
        if self.status == StatusCode::PAYLOAD_TOO_LARGE || self.status == StatusCode::REQUEST_TIMEOUT {
            // The rest of the body is still to come; nobody will read it.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
