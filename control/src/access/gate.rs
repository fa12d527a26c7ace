//! The door of the control API: who calls, and whether they may.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};

use super::peer::{End, Peer};
use super::{Access, Refused, Role};
use crate::actor::{Caller, Identity};
use crate::api::App;
use crate::error::ApiError;

/// The call that no guesser may lock anybody out of.
const KILL_SWITCH: &str = "/v1/halt";

/// Middleware: lets a call through with its [`Caller`], or turns it away with 401 or 429.
pub(crate) async fn authenticate(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let access = app.publisher.access();
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        return ApiError::internal("the server does not know who calls").into_response();
    };
    match access.admit(&peer, request.headers(), request.uri().path() == KILL_SWITCH) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err((reason, refusal)) => {
            access.count(reason);
            refusal.into_response()
        }
    }
}

/// Middleware of one call: 403 for a caller whose role is too small.
pub(crate) async fn require(role: Role, State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(caller) = request.extensions().get::<Caller>() else {
        return ApiError::internal("the server does not know who calls").into_response();
    };
    if caller.role >= role {
        return next.run(request).await;
    }
    app.publisher.access().count(Refused::Forbidden);
    tracing::warn!(%caller, method = %request.method(), path = request.uri().path(), needs = %role, "refused a call");
    let detail = format!("the role of this token is {}, and the call needs {role}", caller.role);
    ApiError::new(StatusCode::FORBIDDEN, "Authorization", detail, format!("use a token whose role is {role}"))
        .into_response()
}

impl Access {
    /// Who calls, if they may.
    fn admit(&self, peer: &Peer, headers: &HeaderMap, is_halt: bool) -> Result<Caller, (Refused, ApiError)> {
        let caller = |identity, role| Caller { identity, role, from: peer.from() };
        let Some(tokens) = &self.tokens else {
            let identity = match (&peer.certificate, peer.end) {
                (Some(name), _) => Identity::Certificate(name.clone()),
                (None, End::User(uid)) => Identity::User(uid),
                (None, End::Address(_)) => Identity::Unknown,
            };
            return Ok(caller(identity, Role::Admin));
        };
        let token = bearer(headers);
        let holder = token.and_then(|token| tokens.find(token));
        // A right token always reaches the kill switch: whoever shares an address with a guesser must not lose it.
        if let Some(wait) = self.wait_of(peer.source())
            && !(is_halt && holder.is_some())
        {
            return Err((Refused::RateLimited, ApiError::too_many_tries(wait)));
        }
        if let Some(holder) = holder {
            return Ok(caller(Identity::Token(holder.name), holder.role));
        }
        // A call without a token guesses nothing.
        if token.is_some() {
            self.note_wrong(peer.source());
            // As often as somebody may try; of calls that bear none, and of those beyond, only the count tells.
            tracing::warn!(from = peer.from(), "a call of the control API bears a token that nobody has");
        }
        Err((Refused::Unauthenticated, ApiError::unauthenticated()))
    }
}

/// The token of a call (RFC 6750 §2.1). Two of them are none.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_what_follows_bearer() {
        for (values, expected) in [
            (&["Bearer abc"][..], Some("abc")),
            (&["bearer   abc "], Some("abc")),
            (&["Basic abc"], None),
            (&["Bearer"], None),
            (&["Bearerabc"], None),
            (&["Bearer abc", "Bearer abc"], None),
            (&[], None),
        ] {
            let headers = values.iter().map(|value| (header::AUTHORIZATION, http::HeaderValue::from_static(value)));
            assert_eq!(bearer(&headers.collect()), expected, "{values:?}");
        }
    }
}
