//! The admission webhooks: `/inject` gives pods the sidecar, `/validate` refuses rules and experiments that cannot be used.
//!
//! Both decide by pure functions; here they get their bytes. Whatever comes gets an answer: a review wherever the request
//! says which one it is about, else a text of JSON and 4xx.

mod args;
mod body;
mod inject;
mod refused;
mod review;
mod validate;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use squall_inject::Options;

pub(crate) use args::WebhookArgs;
pub(crate) use validate::Check;

use crate::serve::metrics::{Admissions, InjectionOutcome, ValidationOutcome};
use crate::serve::rest::read_on;
use body::Bodies;
use refused::Refused;
use review::{Answer, Review};

/// What the handlers share.
pub(crate) struct Webhook {
    /// Asked for each pod: the authority that sidecars are told of changes with time.
    pub(crate) options: Box<dyn Fn() -> Options + Send + Sync>,
    /// What makes a rule or an experiment unusable.
    pub(crate) check: Box<Check>,
    pub(crate) admissions: Admissions,
}

#[derive(Clone)]
struct Shared(Arc<Webhook>, Arc<Bodies>);

impl Shared {
    /// Reads a review, or answers what is none.
    async fn review(&self, request: Request) -> Result<Review, Response> {
        self.1.review(request).await.map_err(|refused| {
            self.0.admissions.unreadable();
            refused.answer()
        })
    }
}

/// The routes `/inject` and `/validate`.
pub(crate) fn router(webhook: Webhook) -> Router {
    Router::new()
        .route("/inject", post(injected).fallback(only_post))
        .route("/validate", post(validated).fallback(only_post))
        .with_state(Shared(Arc::new(webhook), Arc::default()))
}

async fn injected(State(shared): State<Shared>, request: Request) -> Response {
    let began = Instant::now();
    let review = match shared.review(request).await {
        Ok(review) => review,
        Err(response) => return response,
    };
    let webhook = &shared.0;
    let options = (webhook.options)();
    let decided = catch_unwind(AssertUnwindSafe(|| inject::answer(&review, &options)));
    let (answer, outcome) = decided.unwrap_or_else(|_panic| {
        tracing::error!(pod = review.title(), "injection failed; this is an error of Squall");
        (review.allow().with_warning("not injected, by an error of Squall itself"), InjectionOutcome::Invalid)
    });
    let (pod, dry_run) = (review.title(), review.is_dry_run());
    match outcome {
        InjectionOutcome::Injected => tracing::info!(pod, dry_run, "injected"),
        InjectionOutcome::Invalid => tracing::warn!(pod, dry_run, why = answer.told(), "not injected"),
        InjectionOutcome::Skipped => tracing::info!(pod, dry_run, why = answer.told(), "not injected"),
        InjectionOutcome::Ignored => tracing::debug!(pod, "not a new pod; left alone"),
    }
    webhook.admissions.injected(outcome, began);
    document(&answer)
}

async fn validated(State(shared): State<Shared>, request: Request) -> Response {
    let began = Instant::now();
    let review = match shared.review(request).await {
        Ok(review) => review,
        Err(response) => return response,
    };
    let webhook = &shared.0;
    let decided = catch_unwind(AssertUnwindSafe(|| validate::answer(&review, &*webhook.check)));
    let (answer, outcome) = decided.unwrap_or_else(|_panic| {
        tracing::error!(object = review.title(), "validation failed; this is an error of Squall");
        let message = "it cannot be checked, by an error of Squall itself; see the log of the operator".to_owned();
        (review.deny(422, "Invalid", message), ValidationOutcome::Denied)
    });
    if outcome == ValidationOutcome::Denied {
        tracing::info!(object = review.title(), why = answer.told(), "refused");
    }
    webhook.admissions.validated(outcome, began);
    document(&answer)
}

fn document(answer: &Answer) -> Response {
    axum::Json(answer.document()).into_response()
}

async fn only_post(request: Request) -> Response {
    read_on(request.into_body().into_data_stream()).await;
    let mut response = Refused(StatusCode::METHOD_NOT_ALLOWED, "POST an AdmissionReview".to_owned()).answer();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

#[cfg(test)]
mod tests;
