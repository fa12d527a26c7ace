//! What each request does to the objects.

use serde_json::{Value, json};

use super::admission;
use super::answer::{Answered, failure};
use super::call::Call;
use super::cluster;
use super::discovery;
use super::kinds;
use super::place::{Key, Place};
use super::selector::Selector;
use super::state::State;
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
        ("PUT" | "PATCH", Some(key)) => admitted(call, &place, state, Some(&key)),
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
    let kind = store.kind(&place.resource).map_or_else(String::new, |kind| kind.kind);
    let version = json!({ "resourceVersion": store.version().to_string() });
    let api_version = place.resource.api_version();
    (200, json!({ "kind": format!("{kind}List"), "apiVersion": api_version, "metadata": version, "items": items }))
}

/// Writes, and takes it back where that is not admitted.
fn admitted(call: &Call, place: &Place, state: &mut State, key: Option<&Key>) -> Answered {
    if !state.store.has_namespace(place.namespace.as_deref()) {
        let name = place.namespace.as_deref().unwrap_or_default();
        return failure(404, "NotFound", &format!("namespaces \"{name}\" not found"));
    }
    let is_looked_at = call.query.contains_key("dryRun") || state.store.definition(&place.resource).is_some();
    if place.part.is_some() || !is_looked_at {
        return write(call, place, &mut state.store, key);
    }
    let before = state.store.clone();
    let answered = write(call, place, &mut state.store, key);
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

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = "application/json";
    const MERGE: &str = "application/merge-patch+json";

    /// An API server without sockets.
    #[derive(Default)]
    struct Server(State);

    impl Server {
        fn call(&mut self, method: &str, path: &str, content_type: &str, body: Value) -> Answered {
            let (path, query) = path.split_once('?').unwrap_or((path, ""));
            let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
            let query = query.split('&').filter_map(pair).collect();
            let (method, path, content_type) = (method.to_owned(), path.to_owned(), content_type.to_owned());
            let accept = "application/json;as=Table".to_owned();
            answer(&Call { method, path, query, content_type, accept, body }, &mut self.0)
        }

        fn post(&mut self, path: &str, body: Value) -> u16 {
            self.call("POST", path, JSON, body).0
        }

        fn get(&mut self, path: &str) -> Value {
            self.call("GET", path, "", Value::Null).1
        }
    }

    #[test]
    fn what_a_definition_defines_fits_to_it_is_shown_as_it_says_and_goes_with_it() {
        let (mut server, kind) = (Server::default(), "/apis/squall.dev/v1/rules");
        let names = json!({ "kind": "Rule", "plural": "rules" });
        let properties = json!({ "spec": { "type": "object", "properties": { "a": { "type": "integer" } } } });
        let version = json!({
            "name": "v1", "served": true, "schema": { "openAPIV3Schema": { "properties": properties } },
            "additionalPrinterColumns": [{ "name": "A", "type": "integer", "jsonPath": ".spec.a" }],
        });
        let spec = json!({ "group": "squall.dev", "scope": "Cluster", "names": names, "versions": [version] });
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        assert_eq!(server.post(definitions, json!({ "metadata": { "name": "rules.squall.dev" }, "spec": spec })), 201);
        assert_eq!(server.get("/apis/squall.dev/v1")["resources"][0]["kind"], "Rule");
        assert!(server.get("/apis")["groups"].to_string().contains("squall.dev/v1"));

        let rule = |name: &str, spec: Value| json!({ "kind": "Rule", "metadata": { "name": name }, "spec": spec });
        for wrong in [json!({ "a": "text" }), json!({ "b": 1 })] {
            assert_eq!(server.post(kind, rule("wrong", wrong)), 422);
        }
        assert_eq!(server.post(&format!("{kind}?dryRun=All"), rule("dry", json!({ "a": 1 }))), 201);
        assert_eq!(server.post(kind, rule("good", json!({ "a": 1 }))), 201);
        assert_eq!(server.call("PATCH", &format!("{kind}/good"), MERGE, json!({ "spec": { "a": {} } })).0, 422);
        let table = server.get(kind);
        assert_eq!(
            (&table["columnDefinitions"][1]["name"], &table["rows"][0]["cells"]),
            (&json!("A"), &json!(["good", 1]))
        );
        assert_eq!(table["rows"].as_array().map(Vec::len), Some(1));
        assert_eq!(server.call("DELETE", &format!("{definitions}/rules.squall.dev"), "", Value::Null).0, 200);
        assert_eq!(server.get(&format!("{kind}/good"))["reason"], "NotFound");
    }

    #[test]
    fn a_deployment_is_rolled_out_and_scaled_and_goes_with_its_namespace() {
        let (mut server, all) = (Server::default(), "/apis/apps/v1/namespaces/shop/deployments");
        assert_eq!(server.post("/api/v1/namespaces", json!({ "metadata": { "name": "shop" } })), 201);
        assert_eq!(server.post(&all.replace("shop", "other"), json!({ "metadata": {} })), 404);
        let apply = "application/apply-patch+yaml";
        let body = json!({ "metadata": { "name": "a", "labels": { "app": "a" } }, "spec": { "replicas": 2 } });
        assert_eq!(server.call("PATCH", &format!("{all}/a?fieldManager=me"), apply, body).0, 201);
        assert_eq!(server.get(&format!("{all}/a"))["status"]["availableReplicas"], 2);
        let scaled = server.call("PATCH", &format!("{all}/a/scale"), MERGE, json!({ "spec": { "replicas": 0 } }));
        assert_eq!((scaled.0, &scaled.1["kind"]), (200, &json!("Scale")));
        assert_eq!(server.get(&format!("{all}/a/scale"))["spec"]["replicas"], 0);
        let found = |list: &Value| list["items"].as_array().map(Vec::len);
        assert_eq!(found(&server.get(&format!("{all}?labelSelector=app=b"))), Some(0));
        assert_eq!(found(&server.get("/apis/apps/v1/deployments?fieldSelector=metadata.name=a")), Some(1));
        assert_eq!(server.post("/api/v1/namespaces/shop/pods", json!({ "metadata": { "name": "p" } })), 201);
        assert_eq!(server.call("DELETE", "/api/v1/namespaces/shop/pods", "", Value::Null).0, 200);
        assert_eq!(found(&server.get("/api/v1/pods")), Some(0));
        assert_eq!(server.call("DELETE", "/api/v1/namespaces/shop", "", Value::Null).0, 200);
        assert_eq!(found(&server.get(all)), Some(0));
    }
}
