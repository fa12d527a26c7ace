//! An API server that has Secrets and webhook configurations, and nothing else.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// Objects by their paths.
#[derive(Clone, Default)]
pub(crate) struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
pub(crate) struct State {
    pub(crate) objects: BTreeMap<String, Value>,
    /// What was asked, but for reading.
    pub(crate) writes: Vec<String>,
    n_versions: u64,
    /// Before the next write of an object this is there in its place.
    pub(crate) rival: Option<(String, Value)>,
    /// Says no to everything.
    pub(crate) is_down: bool,
}

impl Fake {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn client(&self) -> Client {
        let fake = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let fake = fake.clone();
            async move {
                let (head, body) = request.into_parts();
                let bytes = body.collect_bytes().await.unwrap_or_default();
                let (status, document) = fake.state().answer(&head.method, head.uri.path(), &bytes);
                let response = Response::builder().status(status).body(Body::from(document.to_string().into_bytes()));
                Ok::<_, Infallible>(response.expect("a status that there is"))
            }
        });
        Client::new(service, "default")
    }
}

impl State {
    pub(crate) fn put(&mut self, path: &str, mut object: Value) -> Value {
        self.n_versions += 1;
        object["metadata"]["resourceVersion"] = self.n_versions.to_string().into();
        self.objects.insert(path.to_owned(), object.clone());
        object
    }

    fn answer(&mut self, method: &Method, path: &str, body: &[u8]) -> (u16, Value) {
        if self.is_down {
            return failure(503, "ServiceUnavailable");
        }
        if method == Method::GET {
            return self.objects.get(path).map_or_else(|| failure(404, "NotFound"), |object| (200, object.clone()));
        }
        self.writes.push(format!("{method} {path}"));
        if let Some((path, object)) = self.rival.take() {
            self.put(&path, object);
        }
        let given: Value = serde_json::from_slice(body).unwrap_or_default();
        match *method {
            Method::POST => {
                let path = format!("{path}/{}", given["metadata"]["name"].as_str().unwrap_or_default());
                if self.objects.contains_key(&path) {
                    return failure(409, "AlreadyExists");
                }
                (201, self.put(&path, given))
            }
            Method::PUT => match self.objects.get(path) {
                None => failure(404, "NotFound"),
                Some(old) if old["metadata"]["resourceVersion"] != given["metadata"]["resourceVersion"] => {
                    failure(409, "Conflict")
                }
                Some(_) => (200, self.put(path, given)),
            },
            Method::PATCH => {
                let Some(mut object) = self.objects.get(path).cloned() else { return failure(404, "NotFound") };
                let patched = serde_json::from_value(given)
                    .map(|patch: json_patch::Patch| json_patch::patch(&mut object, &patch).is_ok());
                if patched.unwrap_or(false) { (200, self.put(path, object)) } else { failure(422, "Invalid") }
            }
            _ => failure(405, "MethodNotAllowed"),
        }
    }
}

fn failure(code: u16, reason: &str) -> (u16, Value) {
    (
        code,
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": reason, "reason": reason, "code": code }),
    )
}
