//! Whether an object may be written: custom resources have to fit their definition, and the validating webhook has to let them in.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::{Answered, failure};
use super::kinds::{Kind, resource};
use super::place::Key;
use super::store::Store;
use crate::certs::{Authority, TlsClient};

/// Who is asked, whatever Service the configuration of a webhook names.
#[derive(Clone, Debug)]
pub(super) struct Webhook {
    pub(super) address: SocketAddr,
    pub(super) authority: Arc<Authority>,
}

/// Why an object may not be as it is now, if so; `old` is what it was before.
pub(super) fn refused(store: &Store, webhook: Option<&Webhook>, key: &Key, old: Option<&Value>) -> Option<Answered> {
    let object = store.get(key)?;
    let kind = store.kind(&key.resource)?;
    if let Some(schema) = schema(store, &kind) {
        let validator = jsonschema::validator_for(&schema).expect("a definition has a valid schema");
        let wrong = validator.iter_errors(object).map(|error| format!("{}: {error}", error.instance_path()));
        let wrong: Vec<String> = wrong.chain(unknown(&schema, object, "")).collect();
        if !wrong.is_empty() {
            return Some(failure(422, "Invalid", &wrong.join("; ")));
        }
    }
    let (webhook, path) = (webhook?, path(store, &kind)?);
    // A webhook that does not answer lets everything in, as `failurePolicy: Ignore` says.
    let response = ask(webhook, &path, &review(&kind, key, object, old)).ok()?["response"].take();
    let message = response["status"]["message"].as_str().unwrap_or("denied");
    let code = response["status"]["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(400);
    let reason = response["status"]["reason"].as_str().unwrap_or("BadRequest");
    (response["allowed"] == false).then(|| failure(code, reason, message))
}

/// What the definition of a kind says of its objects.
fn schema(store: &Store, kind: &Kind) -> Option<Value> {
    let versions = store.definition(&kind.resource)?["spec"]["versions"].as_array()?;
    let version = versions.iter().find(|version| version["name"] == kind.resource.version.as_str())?;
    let mut schema = version["schema"]["openAPIV3Schema"].clone();
    for own in ["apiVersion", "kind", "metadata"] {
        schema["properties"][own] = json!({ "x-kubernetes-preserve-unknown-fields": true });
    }
    Some(schema)
}

/// Fields that a schema does not name. An API server takes them out, or refuses them when kubectl asks it to.
fn unknown(schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let Some(properties) = schema["properties"].as_object() else {
        let items = value.as_array().into_iter().flatten();
        return items.flat_map(|item| unknown(&schema["items"], item, path)).collect();
    };
    let fields = value.as_object().into_iter().flatten();
    let of = |(name, value): (&String, &Value)| match properties.get(name) {
        Some(known) => unknown(known, value, &format!("{path}.{name}")),
        None if schema["x-kubernetes-preserve-unknown-fields"] == true => Vec::new(),
        None => vec![format!("unknown field \"{path}.{name}\"")],
    };
    fields.flat_map(of).collect()
}

/// Where the webhook for a kind is, if there is one.
fn path(store: &Store, kind: &Kind) -> Option<String> {
    let all = store.all(&resource("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations"));
    let mut webhooks = all.iter().filter_map(|one| one["webhooks"].as_array()).flatten();
    let has = |list: &Value, word: &str| list.as_array().is_some_and(|all| all.iter().any(|one| one == word));
    let is_about =
        |rule: &Value| has(&rule["apiGroups"], &kind.resource.group) && has(&rule["resources"], &kind.resource.plural);
    let webhook =
        webhooks.find(|webhook| webhook["rules"].as_array().is_some_and(|rules| rules.iter().any(is_about)))?;
    webhook["clientConfig"]["service"]["path"].as_str().map(str::to_owned)
}

fn review(kind: &Kind, key: &Key, object: &Value, old: Option<&Value>) -> Value {
    let of = &kind.resource;
    json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "00000000-0000-4000-8000-000000000000",
        "kind": { "group": of.group, "version": of.version, "kind": kind.kind },
        "resource": { "group": of.group, "version": of.version, "resource": of.plural },
        "name": key.name, "namespace": key.namespace, "operation": if old.is_some() { "UPDATE" } else { "CREATE" },
        "userInfo": { "username": "kubernetes-admin" }, "object": object, "oldObject": old,
    } })
}

fn ask(webhook: &Webhook, path: &str, review: &Value) -> std::io::Result<Value> {
    let body = review.to_string();
    let mut client = TlsClient::try_connect(webhook.address, &webhook.authority)?;
    let fields = "Host: squall\r\nContent-Type: application/json\r\nConnection: close";
    client.try_send(format!("POST {path} HTTP/1.1\r\n{fields}\r\nContent-Length: {}\r\n\r\n{body}", body.len()))?;
    serde_json::from_slice(&client.answer()?.body).map_err(std::io::Error::other)
}
