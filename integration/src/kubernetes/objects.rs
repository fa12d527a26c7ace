//! What a test does with the API server, as people do with kubectl.

use std::time::Duration;

use serde_json::{Value, json};

use super::place::{Key, Place, Resource};
use super::server::ApiServer;
use super::tokens::Token;
use crate::wait::eventually;

/// The plural of a kind of ours.
fn plural(kind: &str) -> String {
    format!("{}s", kind.to_lowercase())
}

fn place(kind: &str, namespace: &str) -> Place {
    let path = match namespace {
        "" => format!("/apis/squall.dev/v1alpha1/{}", plural(kind)),
        namespace => format!("/apis/squall.dev/v1alpha1/namespaces/{namespace}/{}", plural(kind)),
    };
    Place::of(&path).expect("a path of an object")
}

fn key((kind, namespace, name): (&str, &str, &str)) -> Key {
    let place = Place { name: Some(name.to_owned()), ..place(kind, namespace) };
    place.key().expect("it has a name")
}

impl ApiServer {
    /// Makes a FaultRule, an Experiment or a ClusterHalt (which has no namespace).
    ///
    /// # Panics
    /// When there is one of that name.
    pub fn create(&self, (kind, namespace, name): (&str, &str, &str), spec: &Value) -> Value {
        let object = json!({
            "apiVersion": "squall.dev/v1alpha1", "kind": kind, "metadata": { "name": name }, "spec": spec,
        });
        let (code, object) = self.shared.state().store.create(&place(kind, namespace), object);
        assert_eq!(code, 201, "{object}");
        self.shared.changed.notify_all();
        object
    }

    /// An object as it is now.
    ///
    /// # Panics
    /// When there is none.
    pub fn get(&self, place: (&str, &str, &str)) -> Value {
        let object = self.shared.state().store.get(&key(place)).cloned();
        object.unwrap_or_else(|| panic!("there is no {place:?}"))
    }

    /// Changes an object, by a merge patch.
    ///
    /// # Panics
    /// When there is none.
    pub fn edit(&self, place: (&str, &str, &str), patch: &Value) {
        let merge = "application/merge-patch+json";
        let (code, object) = self.shared.state().store.patch(&key(place), None, (merge, "test"), patch);
        assert_eq!(code, 200, "{object}");
        self.shared.changed.notify_all();
    }

    /// Deletes an object.
    ///
    /// # Panics
    /// When there is none.
    pub fn delete(&self, place: (&str, &str, &str)) {
        let (code, object) = self.shared.state().store.delete(&key(place));
        assert_eq!(code, 200, "{object}");
        self.shared.changed.notify_all();
    }

    /// Waits until an object is as it should be.
    ///
    /// # Panics
    /// When it does not become so, with what it is.
    pub fn until(&self, place: (&str, &str, &str), patience: Duration, is: impl Fn(&Value) -> bool) -> Value {
        let end = std::time::Instant::now() + patience;
        eventually(&format!("{place:?}"), patience * 2, || {
            let object = self.get(place);
            if is(&object) {
                return Some(object);
            }
            assert!(std::time::Instant::now() < end, "not within {patience:?}: {object:#}");
            None
        })
    }

    /// Waits until an object is in a phase.
    ///
    /// # Panics
    /// When it does not come into it.
    pub fn until_phase(&self, place: (&str, &str, &str), patience: Duration, phase: &str) -> Value {
        self.until(place, patience, |object| object["status"]["phase"] == phase)
    }

    /// All FaultRules, Experiments and ClusterHalts.
    pub fn custom(&self) -> Vec<Value> {
        let state = self.shared.state();
        let of = |kind: &str| state.store.all(&place(kind, "").resource);
        ["FaultRule", "Experiment", "ClusterHalt"].into_iter().flat_map(of).collect()
    }

    /// The events so far: reason, and what they are about.
    pub fn events(&self) -> Vec<(String, String)> {
        let resource = |group: &str, version: &str| Resource {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: "events".to_owned(),
        };
        let all = self.shared.state().store.all(&resource("events.k8s.io", "v1"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        all.iter().map(|event| (text(&event["reason"]), text(&event["regarding"]["name"]))).collect()
    }

    /// Lets the API server know a token.
    pub fn know(&self, text: &str, token: Token) {
        self.shared.state().tokens.insert(text.to_owned(), token);
    }

    /// How often it was called so: `POST /apis/…`.
    pub fn calls(&self, call: &str) -> usize {
        self.shared.state().calls.get(call).copied().unwrap_or_default()
    }
}

/// A condition of an object: its status and its reason.
///
/// # Panics
/// When it has none of that type.
pub fn condition(object: &Value, type_: &str) -> (String, String) {
    let conditions = object["status"]["conditions"].as_array();
    let condition = conditions.into_iter().flatten().find(|condition| condition["type"] == type_);
    let condition = condition.unwrap_or_else(|| panic!("no condition {type_} in {object:#}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&condition["status"]), text(&condition["reason"]))
}

/// Whether a condition of an object holds; false where it has none.
pub fn holds(object: &Value, type_: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|one| one["type"] == type_ && one["status"] == "True")
}
