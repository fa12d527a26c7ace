//! `/v1/events`, and when a stream of events is over.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use http::StatusCode;

use crate::access::Pass;
use crate::app::App;
use crate::error::ApiError;
use crate::events::{Received, SUBSCRIBERS_MAX, Subscription};

/// Below the 60 s after which common proxies close a silent connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `GET /v1/events`: everything from now on, until the client or Squall ends, or the client's token is no more.
pub(crate) async fn events(
    State(app): State<Arc<App>>,
    Extension(pass): Extension<Pass>,
) -> Result<Response, ApiError> {
    let subscription = app.publisher.events().subscribe().ok_or_else(|| {
        let detail = format!("there are {SUBSCRIBERS_MAX} subscribers already");
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "", detail, "close one of them, or poll GET /v1/status")
    })?;
    let hello = Event::default().comment(format!("generation {}", app.publisher.generation()));
    let events = stream::unfold(subscription, |mut subscription| async {
        let event = next(&mut subscription).await?;
        Some((event, subscription))
    });
    let events = stream::iter([hello]).chain(events).take_until(Box::pin(is_over(app, pass))).map(Ok::<_, Infallible>);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

/// Ready when a stream has to end although its client reads on: Squall ends, or whoever called may not call any more.
pub(super) async fn is_over(app: Arc<App>, pass: Pass) {
    let mut shutdown = app.shutdown.subscribe();
    tokio::select! {
        _ = shutdown.wait_for(|is_over| *is_over) => {}
        () = app.access.revoked(pass) => tracing::info!("a stream of events ends, because its token is no more"),
    }
}

async fn next(subscription: &mut Subscription) -> Option<Event> {
    Some(match subscription.next().await? {
        Received::Event(event) => {
            Event::default().id(event.id.to_string()).event(event.kind.as_str()).data(event.data.to_string())
        }
        Received::Lagged(n) => Event::default().event("lagged").data(format!("{{\"missed\":{n}}}")),
    })
}
