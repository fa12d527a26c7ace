//! The door of the control API: who calls, and whether they may.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};

use super::peer::{End, Peer};
use super::{Access, Pass, Refused};
use crate::actor::{Actor, Caller, Identity};
use crate::app::App;
use crate::audit::Note;
use crate::error::ApiError;
use crate::input::{Operation, dry_run, rule_in};
use crate::role::Role;

/// The call that no guesser may lock anybody out of.
const KILL_SWITCH: &str = "/v1/halt";

/// Middleware: lets a call through with its [`Caller`], or turns it away with 401 or 429.
pub(crate) async fn authenticate(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        return ApiError::internal("the server does not know who calls").into_response();
    };
    match admit(&app, &peer, &request) {
        Ok((caller, pass)) => {
            request.extensions_mut().insert(caller);
            request.extensions_mut().insert(pass);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// Who calls, if they may. Counts and notes those who may not.
///
/// # Errors
/// 401, or 429 for who tries too often.
pub(crate) fn admit(app: &App, peer: &Peer, request: &Request) -> Result<(Caller, Pass), ApiError> {
    let access = &app.access;
    match access.admit(peer, request.headers(), request.uri().path() == KILL_SWITCH) {
        Ok(admitted) => return Ok(admitted),
        Err(Turned::Guessed) => {
            access.count(Refused::Unauthenticated);
            // As often as somebody may try; of calls that bear no token, and of those beyond, only the count tells.
            tracing::warn!(from = peer.from(), "a call of the control API bears a token that nobody has");
            let who = Caller { identity: Identity::Unknown, role: Role::Read, from: peer.from() };
            let generation = app.publisher.generation();
            let note = Note::refused(&Actor::Caller(who), "authenticate", generation);
            app.note(note.with_status(StatusCode::UNAUTHORIZED.as_u16()));
        }
        Err(Turned::Unknown) => access.count(Refused::Unauthenticated),
        Err(Turned::Limited(wait)) => {
            access.count(Refused::RateLimited);
            return Err(ApiError::too_many_tries(wait));
        }
    }
    Err(ApiError::unauthenticated())
}

/// This role, and those that may more.
fn roles_from(role: Role) -> &'static str {
    match role {
        Role::Read => "read, inject or admin",
        Role::Inject => "inject or admin",
        Role::Admin => "admin",
    }
}

/// Middleware of one call: 403 for a caller whose role is too small. Notes every change that was refused, here or behind.
pub(crate) async fn require(
    (role, operation): (Role, Operation),
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return ApiError::internal("the server does not know who calls").into_response();
    };
    let is_change = role > Role::Read && !matches!(dry_run(request.uri()), Ok(true));
    let rule = rule_in(request.uri().path());
    let response = if caller.role >= role {
        request.extensions_mut().insert(operation);
        next.run(request).await
    } else {
        app.access.count(Refused::Forbidden);
        tracing::warn!(%caller, operation = operation.0, needs = %role, "refused a call");
        let detail = format!("the role of this token is {}, and the call needs {role}", caller.role);
        let hint = format!("use a token whose role is {}", roles_from(role));
        ApiError::new(StatusCode::FORBIDDEN, "Authorization", detail, hint).into_response()
    };
    if is_change && !response.status().is_success() {
        let generation = app.publisher.generation();
        let note = Note::refused(&Actor::Caller(caller), operation.0, generation).about(rule);
        app.note(note.with_status(response.status().as_u16()));
    }
    response
}

impl Access {
    /// Who calls, if they may.
    fn admit(&self, peer: &Peer, headers: &HeaderMap, is_halt: bool) -> Result<(Caller, Pass), Turned> {
        let caller = |identity, role| Caller { identity, role, from: peer.from() };
        let Some(tokens) = &self.tokens else {
            let identity = match (&peer.certificate, peer.end) {
                (Some(name), _) => Identity::Certificate(name.clone()),
                (None, End::User(uid)) => Identity::User(uid),
                (None, End::Address(_)) => Identity::Unknown,
            };
            return Ok((caller(identity, Role::Admin), Pass(None)));
        };
        let token = bearer(headers);
        let holder = token.and_then(|token| tokens.find(token));
        // A right token always reaches the kill switch: whoever shares an address with a guesser must not lose it.
        if let Some(wait) = self.wait_of(peer.source())
            && !(is_halt && holder.is_some())
        {
            return Err(Turned::Limited(wait));
        }
        match (token, holder) {
            (_, Some((digest, holder))) => Ok((caller(Identity::Token(holder.name), holder.role), Pass(Some(digest)))),
            (Some(_), None) => {
                self.note_wrong(peer.source());
                Err(Turned::Guessed)
            }
            (None, None) => Err(Turned::Unknown),
        }
    }
}

/// Why a call does not get in.
enum Turned {
    /// It bears no token.
    Unknown,
    /// It bears one that nobody has.
    Guessed,
    /// Its source has to wait for so long.
    Limited(Duration),
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
