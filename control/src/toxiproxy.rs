//! Toxiproxy's HTTP API (github.com/Shopify/toxiproxy, version 2.12), for the clients that speak it.
//!
//! A proxy is a listener and a cluster of the document, a toxic one of its rules ([`squall_config::toxiproxy`]), so that what
//! is done here is seen in `/v1`, in the metrics and in the audit, and the other way round. Routes, statuses, fields and
//! error bodies are those of Toxiproxy: its clients must not notice.

mod body;
mod calls;
mod change;
mod door;
mod listen;
mod refusal;
mod shown;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use tower::limit::GlobalConcurrencyLimitLayer;

use crate::app::App;
use crate::input::BODY_BYTES_MAX;

/// Calls that run at once; others wait.
const CALLS_MAX: usize = 64;

/// The API.
pub(crate) fn router(app: Arc<App>) -> Router {
    let call = |methods: MethodRouter<Arc<App>>| methods.fallback(refusal::method_not_allowed);
    Router::new()
        .route("/version", call(get(calls::version)))
        .route("/reset", call(post(calls::reset)))
        .route("/populate", call(post(calls::populate)))
        .route("/proxies", call(get(calls::proxies).post(calls::create_proxy)))
        .route(
            "/proxies/{proxy}",
            call(get(calls::proxy).post(calls::update_proxy).patch(calls::update_proxy).delete(calls::delete_proxy)),
        )
        .route("/proxies/{proxy}/toxics", call(get(calls::toxics).post(calls::create_toxic)))
        .route(
            "/proxies/{proxy}/toxics/{toxic}",
            call(get(calls::toxic).post(calls::update_toxic).patch(calls::update_toxic).delete(calls::delete_toxic)),
        )
        .fallback(refusal::not_found)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(GlobalConcurrencyLimitLayer::new(CALLS_MAX))
        .layer(from_fn_with_state(Arc::clone(&app), door::admit))
        .with_state(app)
}

#[cfg(test)]
mod tests;
