//! What each request does to the objects.

use serde_json::{Value, json};

use super::admission;
use super::answer::{Answered, failure};
use super::cluster;
use super::discovery;
use super::kinds;
use super::place::{Key, Place};
use super::selector::Selector;
use super::server::{Call, State};
use super::store::Store;
use super::table;
use super::tokens::review;

/// The answer to anything but a watch.
pub(super) fn answer(call: &Call, state: &mut State) -> Answered {
    if let Some(told) = discovery::answer(&call.path, &state.store) {
        return told;
    }
    let Some(place) = Place::of(&call.path) else { return failure(404, "NotFound", &call.path) };
    if place.resource.plural == "tokenreviews" {
        let token = call.body["spec"]["token"].as_str().and_then(|token| state.tokens.get(token));
        return (201, review(call.body.clone(), token));
    }
    match (call.method.as_str(), place.key()) {
        ("GET", key) => read(call, &place, key.as_ref(), &state.store),
        ("DELETE", Some(key)) => state.store.delete(&key),
        ("DELETE", None) => {
            let wanted = Selector::of(&call.query);
            let gone: Vec<Key> = state.store.keys(&place, &wanted).into_iter().map(|(key, _)| key.clone()).collect();
            for key in &gone {
                state.store.delete(key);
            }
            (200, json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" }))
        }
        ("PATCH", Some(_)) if state.conflicts > 0 => {
            state.conflicts -= 1;
            failure(409, "Conflict", "as the test wants it")
        }
        ("POST", None) => admitted(call, &place, state, None),
        ("PUT" | "PATCH", key @ Some(_)) => admitted(call, &place, state, key),
        _ => failure(405, "MethodNotAllowed", &call.method),
    }
}

fn read(call: &Call, place: &Place, key: Option<&Key>, store: &Store) -> Answered {
    let columns = if call.wants_table() { table::columns(store, &place.resource) } else { None };
    if let Some(key) = key {
        return match (store.get(key), columns) {
            (None, _) => failure(404, "NotFound", &format!("{} {:?} not found", key.resource.plural, key.name)),
            (Some(object), _) if place.part.as_deref() == Some("scale") => (200, cluster::scale(object)),
            (Some(object), Some(columns)) => (200, table::table(&columns, &[object], store.version())),
            (Some(object), None) => (200, object.clone()),
        };
    }
    let wanted = Selector::of(&call.query);
    let objects: Vec<&Value> = store.keys(place, &wanted).into_iter().map(|(_, object)| object).collect();
    if let Some(columns) = columns {
        return (200, table::table(&columns, &objects, store.version()));
    }
    let mut items: Vec<Value> = objects.into_iter().cloned().collect();
    if place.resource == kinds::resource("", "v1", "events") {
        let modern = Place { resource: kinds::resource("events.k8s.io", "v1", "events"), ..place.clone() };
        let events = store.keys(&modern, &Selector::default()).into_iter().map(|(_, event)| cluster::core_event(event));
        items.extend(events.filter(|event| wanted.takes(event)));
    }
    let kind = kinds::of(store, &place.resource).map_or_else(String::new, |kind| kind.kind);
    let version = json!({ "resourceVersion": store.version().to_string() });
    let api_version = place.resource.api_version();
    (200, json!({ "kind": format!("{kind}List"), "apiVersion": api_version, "metadata": version, "items": items }))
}

/// Writes, and takes it back where that is not admitted.
fn admitted(call: &Call, place: &Place, state: &mut State, key: Option<Key>) -> Answered {
    if !state.store.has_namespace(place.namespace.as_deref()) {
        let name = place.namespace.as_deref().unwrap_or_default();
        return failure(404, "NotFound", &format!("namespaces \"{name}\" not found"));
    }
    let is_looked_at = call.query.contains_key("dryRun") || kinds::is_defined(&state.store, &place.resource);
    if place.part.is_some() || !is_looked_at {
        return write(call, place, &mut state.store, key.as_ref());
    }
    let before = state.store.clone();
    let answered = write(call, place, &mut state.store, key.as_ref());
    if answered.0 >= 300 {
        return answered;
    }
    let name = answered.1["metadata"]["name"].as_str().map(str::to_owned);
    let Some(key) = (Place { name, ..place.clone() }).key() else { return answered };
    let refused = admission::refused(&state.store, state.webhook.as_ref(), &key, before.get(&key));
    if refused.is_some() || call.query.contains_key("dryRun") {
        state.store = before;
    }
    refused.unwrap_or(answered)
}

fn write(call: &Call, place: &Place, store: &mut Store, key: Option<&Key>) -> Answered {
    let part = place.part.as_deref();
    let Some(key) = key else { return store.create(place, call.body.clone()) };
    if part == Some("scale") {
        let replicas = json!({ "spec": { "replicas": call.body["spec"]["replicas"] } });
        let (code, object) = store.patch(key, None, ("application/merge-patch+json", "scale"), &replicas);
        return (code, if code == 200 { cluster::scale(&object) } else { object });
    }
    if call.method == "PUT" {
        return store.replace(key, part, &call.body);
    }
    let manager = call.query.get("fieldManager").map_or("unknown", String::as_str);
    store.patch(key, part, (&call.content_type, manager), &call.body)
}
