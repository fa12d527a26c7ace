//! The calls.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::json;
use squall_config::Problems;
use squall_config::spec::ConfigSpec;
use squall_config::toxiproxy::{Toxic, listener_of};

use super::body::{self, Body};
use super::change::{self, ProxyIn, ToxicIn};
use super::refusal::Refusal;
use super::shown::{self, ProxyOut};
use crate::actor::{Actor, Caller};
use crate::app::App;
use crate::audit::Note;
use crate::document::Draft;
use crate::events::EventKind;
use crate::write::{UpdateError, Write};

/// The version whose API this is; clients ask for it to see what they may use.
const VERSION: &str = "{\"version\": \"2.12.0\"}\n";

type Answer = Result<Response, Refusal>;

/// `GET /version`.
pub(super) async fn version() -> Response {
    let json = HeaderValue::from_static("application/json;charset=utf-8");
    ([(header::CONTENT_TYPE, json)], VERSION).into_response()
}

/// `GET /proxies`.
pub(super) async fn proxies(State(app): State<Arc<App>>) -> Answer {
    answer(StatusCode::OK, &shown::proxies(&app))
}

/// `POST /proxies`.
pub(super) async fn create_proxy(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Answer {
    let proxy = ProxyIn::read(&Body::read(&body)?)?;
    proxy.check("")?;
    let name = proxy.name.clone();
    changed(app, caller, "createProxy", move |app, write| {
        update(app, write, |draft| change::create(draft, proxy))?;
        answer(StatusCode::CREATED, &shown(app, &name)?)
    })
    .await
}

/// `GET /proxies/{proxy}`.
pub(super) async fn proxy(State(app): State<Arc<App>>, Path(name): Path<String>) -> Answer {
    answer(StatusCode::OK, &shown(&app, &name)?)
}

/// `POST` and `PATCH /proxies/{proxy}`.
pub(super) async fn update_proxy(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    body: Bytes,
) -> Answer {
    shown(&app, &name)?;
    let body = Body::read(&body)?;
    changed(app, caller, "updateProxy", move |app, write| {
        update(app, write, |draft| {
            let now = change::now(draft, &name, &*app.data_plane)?;
            change::update(draft, &now, &body)
        })?;
        answer(StatusCode::OK, &shown(app, &name)?)
    })
    .await
}

/// `DELETE /proxies/{proxy}`.
pub(super) async fn delete_proxy(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Answer {
    changed(app, caller, "deleteProxy", move |app, write| {
        update(app, write, |draft| change::remove(draft, &name))?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// `POST /populate`: one change for each proxy, so that those before one that cannot be had stay.
pub(super) async fn populate(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>, body: Bytes) -> Answer {
    let proxies = match body::value(&body).and_then(change::read_all) {
        Ok(proxies) => proxies,
        Err(refusal) => return Ok(populated(Some(refusal), &[])),
    };
    changed(app, caller, "populateProxies", move |app, write| {
        let mut done = Vec::new();
        for proxy in proxies {
            let name = proxy.name.clone();
            let put = update(app, write, |draft| {
                let now = shown::proxy(&draft.document, &proxy.name, &*app.data_plane);
                change::put(draft, proxy, now.as_ref())
            });
            match put.and_then(|()| shown(app, &name)) {
                Ok(proxy) => done.push(proxy),
                Err(refusal) => return Ok(populated(Some(refusal), &done)),
            }
        }
        Ok(populated(None, &done))
    })
    .await
}

/// `POST /reset`.
pub(super) async fn reset(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Answer {
    changed(app, caller, "resetProxies", |app, write| {
        update(app, write, change::reset)?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// `GET /proxies/{proxy}/toxics`.
pub(super) async fn toxics(State(app): State<Arc<App>>, Path(proxy): Path<String>) -> Answer {
    answer(StatusCode::OK, &shown(&app, &proxy)?.toxics)
}

/// `POST /proxies/{proxy}/toxics`.
pub(super) async fn create_toxic(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(proxy): Path<String>,
    body: Bytes,
) -> Answer {
    shown(&app, &proxy)?;
    let toxic = ToxicIn::read(&Body::read(&body)?, |name| exists(&app, &proxy, name))?;
    changed(app, caller, "createToxic", move |app, write| {
        let name = toxic.name().to_owned();
        update(app, write, |draft| change::add_toxic(draft, &proxy, toxic))?;
        answer(StatusCode::OK, &toxic_of(app, &proxy, &name)?)
    })
    .await
}

/// `GET /proxies/{proxy}/toxics/{toxic}`.
pub(super) async fn toxic(State(app): State<Arc<App>>, Path((proxy, toxic)): Path<(String, String)>) -> Answer {
    answer(StatusCode::OK, &toxic_of(&app, &proxy, &toxic)?)
}

/// `POST` and `PATCH /proxies/{proxy}/toxics/{toxic}`.
pub(super) async fn update_toxic(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((proxy, toxic)): Path<(String, String)>,
    body: Bytes,
) -> Answer {
    toxic_of(&app, &proxy, &toxic)?;
    let body = Body::read(&body)?;
    changed(app, caller, "updateToxic", move |app, write| {
        update(app, write, |draft| change::update_toxic(draft, &proxy, &toxic, &body))?;
        answer(StatusCode::OK, &toxic_of(app, &proxy, &toxic)?)
    })
    .await
}

/// `DELETE /proxies/{proxy}/toxics/{toxic}`.
pub(super) async fn delete_toxic(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((proxy, toxic)): Path<(String, String)>,
) -> Answer {
    changed(app, caller, "deleteToxic", move |app, write| {
        update(app, write, |draft| {
            listener_of(&draft.document, &proxy).ok_or_else(Refusal::no_proxy)?;
            change::remove_toxic(draft, &proxy, &toxic)
        })?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// Makes a change where blocking does no harm, and notes one that is refused.
async fn changed(
    app: Arc<App>,
    caller: Caller,
    operation: &'static str,
    work: impl FnOnce(&App, &Write) -> Answer + Send + 'static,
) -> Answer {
    let write = Write { operation, ..Write::by(Actor::Caller(caller)) };
    let generation = app.publisher.generation();
    let note = Note::refused(&write.by, operation, generation);
    let answer = app.blocking(move |app| work(app, &write)).await?;
    if let Err(refusal) = &answer {
        app.note(note.with_status(refusal.status));
    }
    answer
}

fn update(app: &App, write: &Write, change: impl FnOnce(&mut Draft) -> Result<(), Refusal>) -> Result<(), Refusal> {
    let mut refusal = None;
    let outcome = app.publisher.update(write, |draft| {
        change(draft).map_err(|refused| {
            refusal = Some(refused);
            UpdateError::Invalid(Problems::default())
        })
    });
    let outcome = outcome.map_err(|error| refusal.unwrap_or_else(|| error.into()))?;
    if outcome.changed {
        let generation = outcome.generation;
        tracing::info!(by = %write.by, operation = write.operation, generation, "proxies changed");
        app.publisher.tell(EventKind::Proxy, generation, json!({ "operation": write.operation }));
    }
    Ok(())
}

fn shown(app: &App, name: &str) -> Result<ProxyOut, Refusal> {
    let view = app.publisher.view();
    shown::proxy(&view.written.document, name, &*app.data_plane).ok_or_else(Refusal::no_proxy)
}

fn toxic_of(app: &App, proxy: &str, name: &str) -> Result<Toxic, Refusal> {
    let view = app.publisher.view();
    let document: &ConfigSpec = &view.written.document;
    listener_of(document, proxy).ok_or_else(Refusal::no_proxy)?;
    change::find(document, proxy, name).map(|(_, toxic)| toxic.clone())
}

fn exists(app: &App, proxy: &str, toxic: &str) -> bool {
    change::find(&app.publisher.view().written.document, proxy, toxic).is_ok()
}

/// Compact, as Go writes it.
fn answer(status: StatusCode, body: &impl Serialize) -> Answer {
    let text = serde_json::to_string(body).map_err(|error| Refusal::new(500, error.to_string()))?;
    Ok((status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response())
}

/// What `populate` says, also when something went wrong: an empty list is null in Go.
#[derive(Serialize)]
struct Populated<'a> {
    #[serde(flatten)]
    refusal: Option<Refusal>,
    proxies: Option<&'a [ProxyOut]>,
}

fn populated(refusal: Option<Refusal>, done: &[ProxyOut]) -> Response {
    let status = refusal.as_ref().map_or(StatusCode::CREATED, Refusal::code);
    let body = Populated { refusal, proxies: Some(done).filter(|done| !done.is_empty()) };
    answer(status, &body).unwrap_or_else(IntoResponse::into_response)
}
