//! `/v1/events`.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::StatusCode;
use tokio::sync::watch;

use crate::api::App;
use crate::error::ApiError;
use crate::events::{Received, SUBSCRIBERS_MAX, Subscription};

/// Below the 60 s after which common proxies close a silent connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `GET /v1/events`: everything from now on, until the client or Squall ends.
pub(crate) async fn events(State(app): State<App>) -> Result<Response, ApiError> {
    let subscription = app.publisher.events().subscribe().ok_or_else(|| {
        let detail = format!("there are {SUBSCRIBERS_MAX} subscribers already");
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "", detail, "close one of them, or poll GET /v1/status")
    })?;
    let hello = Event::default().comment(format!("generation {}", app.publisher.stats().generation));
    let first = Some((Some(hello), subscription, app.shutdown));
    let events = stream::unfold(first, |state| async move {
        let (hello, mut subscription, mut shutdown) = state?;
        let event = match hello {
            Some(hello) => hello,
            None => next(&mut subscription, &mut shutdown).await?,
        };
        Some((Ok::<_, Infallible>(event), Some((None, subscription, shutdown))))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

async fn next(subscription: &mut Subscription, shutdown: &mut watch::Receiver<bool>) -> Option<Event> {
    let received = tokio::select! {
        received = subscription.next() => received?,
        _ = shutdown.wait_for(|is_over| *is_over) => return None,
    };
    Some(match received {
        Received::Event(event) => {
            Event::default().id(event.id.to_string()).event(event.kind.as_str()).data(event.data.to_string())
        }
        Received::Lagged(n) => Event::default().event("lagged").data(format!("{{\"missed\":{n}}}")),
    })
}
