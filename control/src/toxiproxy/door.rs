//! The door of the API: which programs may call, and the number of each call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::refusal::{Refusal, plain};
use crate::access::peer::Peer;
use crate::access::{Refused, gate};
use crate::actor::{Caller, Identity};
use crate::app::App;
use crate::error::ApiError;
use crate::guard;
use crate::role::Role;

/// Of the request, in its answer.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-toxiproxy-request-id");

/// Middleware: lets a call through with its [`Caller`]. Browsers are turned away as Toxiproxy does it. Where the API is not
/// open, web pages are too, and callers show a token where the control API wants one.
pub(super) async fn admit(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    static CALLS: AtomicU64 = AtomicU64::new(1);
    let mut response = if is_browser(request.headers()) {
        app.access.count(Refused::WebPage);
        plain(StatusCode::FORBIDDEN, "User agent not allowed")
    } else {
        match caller(&app, &request) {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                next.run(request).await
            }
            Err(refusal) => refusal.into_response(),
        }
    };
    if let Ok(id) = HeaderValue::try_from(format!("{:020x}", CALLS.fetch_add(1, Ordering::Relaxed))) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn caller(app: &App, request: &Request) -> Result<Caller, Refusal> {
    let peer = request.extensions().get::<Peer>();
    let peer = peer.ok_or_else(|| ApiError::internal("the server does not know who calls"))?;
    if app.publisher.config().toxiproxy.is_some_and(|api| api.is_open) {
        return Ok(Caller { identity: Identity::Unknown, role: Role::Inject, from: peer.from() });
    }
    guard::admit(app, request)?;
    let (caller, _) = gate::admit(app, peer, request)?;
    let needed = if request.method() == Method::GET { Role::Read } else { Role::Inject };
    if caller.role < needed {
        app.access.count(Refused::Forbidden);
        return Err(Refusal::new(
            403,
            format!("the role of this token is {}, and the call needs {needed}", caller.role),
        ));
    }
    Ok(caller)
}

fn is_browser(headers: &HeaderMap) -> bool {
    headers.get(header::USER_AGENT).is_some_and(|agent| agent.as_bytes().starts_with(b"Mozilla/"))
}
