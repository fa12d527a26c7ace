//! `POST /v1/sidecars`: sidecars say how they are, and get their orders.
//!
//! Who asks is told by the API server: the token names the pod. A request waits until its orders change, or until its time is
//! over; it never gets orders that the controller cannot vouch for ([`crate::footing`]), nor "no rules" because it is ending.

mod answer;
mod token;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use futures_util::StreamExt;
use squall_orders::{ORDERS_BYTES_MAX, Orders, PATH, REPORT_BYTES_MAX, Report};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::dispatch::Dispatch;
use crate::fleet::{Plan, Pod};
use crate::footing::Footing;
use crate::serve::metrics::Answers;
use crate::serve::rest::read_on;

use answer::Refused;
pub(crate) use token::Tokens;

/// A report that takes longer to come does not come from a sidecar that works.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests at once, of which nearly all wait.
const REQUESTS_MAX: usize = 20_000;

/// What the handler works with.
pub(crate) struct Desk {
    /// The fleet.
    pub(crate) dispatch: Arc<Dispatch>,
    /// Whether orders can be given.
    pub(crate) footing: Footing,
    /// Who asks.
    pub(crate) tokens: Tokens,
    /// Answers by status.
    pub(crate) counts: Answers,
    /// True when the process is ending.
    pub(crate) stopped: watch::Receiver<bool>,
}

struct Shared {
    desk: Desk,
    places: Semaphore,
}

/// The route of sidecars.
pub(crate) fn router(desk: Desk) -> Router {
    let shared = Shared { desk, places: Semaphore::new(REQUESTS_MAX) };
    Router::new().route(PATH, post(ask)).with_state(Arc::new(shared))
}

async fn ask(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let answer = match shared.places.try_acquire() {
        Ok(_place) => shared.desk.serve(request).await,
        Err(_full) => Err(Refused::unavailable("too many sidecars ask at once")),
    };
    let response = answer.unwrap_or_else(|refused| {
        tracing::debug!(status = %refused.status, detail = refused.detail, "a sidecar was refused");
        refused.into_response()
    });
    shared.desk.counts.count(response.status());
    response
}

impl Desk {
    async fn serve(&self, request: Request) -> Result<Response, Refused> {
        let (parts, body) = request.into_parts();
        // The body of nobody is not even read.
        let pod = self.tokens.pod(&parts.headers).await?;
        let report = report(body).await?;
        let wait = Duration::from_millis(report.wait_ms).min(self.dispatch.settings.wait_max());
        let deadline = Instant::now() + wait;
        let following = report.following.clone();
        self.footing.asked(Instant::now().into_std());
        self.dispatch.report(pod.clone(), report);
        let orders = self.orders(&pod, following.as_deref(), deadline).await?;
        let text = serde_json::to_vec(&*orders).map_err(|error| Refused::failed(error.to_string()))?;
        if text.len() > ORDERS_BYTES_MAX {
            tracing::error!(pod = pod.name, namespace = pod.namespace, bytes = text.len(), "orders are too long");
            return Err(Refused::failed(format!("the orders have {} bytes", text.len())));
        }
        Ok(answer::json(text))
    }

    /// What a pod is to do: as soon as that is something else than it follows, and else when its time is over.
    async fn orders(&self, pod: &Pod, following: Option<&str>, deadline: Instant) -> Result<Arc<Orders>, Refused> {
        let (mut plans, mut stopped) = (self.dispatch.plans(), self.stopped.clone());
        loop {
            self.footing.check(Instant::now().into_std()).map_err(|unsure| Refused::unavailable(unsure.as_str()))?;
            let orders = of(&plans.borrow_and_update(), pod);
            let is_over = Instant::now() >= deadline || *stopped.borrow();
            match orders {
                Some(orders) if is_over || following != Some(orders.revision.as_str()) => return Ok(orders),
                None if is_over => return Err(Refused::unavailable("there are no orders for this pod yet")),
                _ => {}
            }
            tokio::select! {
                changed = plans.changed() => changed.map_err(|_| Refused::unavailable("the controller is ending"))?,
                () = tokio::time::sleep_until(deadline) => {}
                _ = stopped.changed() => {}
            }
        }
    }
}

fn of(plan: &Plan, pod: &Pod) -> Option<Arc<Orders>> {
    plan.orders.get(&pod.uid).cloned()
}

async fn report(body: Body) -> Result<Report, Refused> {
    let mut stream = body.into_data_stream();
    let read = tokio::time::timeout(BODY_TIMEOUT, bytes(&mut stream)).await;
    let bytes = match read {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_broken)) => return Err(Refused::bad("the report broke off".to_owned())),
        Err(_elapsed) => return Err(Refused::bad("the report does not come".to_owned())),
    };
    if bytes.len() > REPORT_BYTES_MAX {
        read_on(stream).await;
        return Err(Refused::bad(format!("the report has more than {REPORT_BYTES_MAX} bytes")));
    }
    serde_json::from_slice(&bytes).map_err(|error| Refused::bad(format!("this is no report: {error}")))
}

/// What a sidecar sends, until that is too much.
async fn bytes(stream: &mut BodyDataStream) -> Result<Vec<u8>, axum::Error> {
    let mut bytes = Vec::new();
    while let Some(part) = stream.next().await.transpose()? {
        bytes.extend_from_slice(&part);
        if bytes.len() > REPORT_BYTES_MAX {
            break;
        }
    }
    Ok(bytes)
}
