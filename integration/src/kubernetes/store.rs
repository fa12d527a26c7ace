//! The objects, and what has happened to them: versions, generations, the history that watches begin in.

use std::collections::BTreeMap;

use serde_json::Value;

use super::answer::{Answered, failure};
use super::cluster::{goes_with, settle};
use super::kinds::{self, Kind};
use super::patch;
use super::place::{Key, Place, Resource};
use super::selector::Selector;
use super::strategic;

/// A change that watches tell.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) version: u64,
    /// `ADDED`, `MODIFIED` or `DELETED`.
    pub(super) type_: &'static str,
    pub(super) key: Key,
    pub(super) object: Value,
}

/// Objects by their place.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    version: u64,
    objects: BTreeMap<Key, Value>,
    pub(super) history: Vec<Change>,
    /// What happened up to here is forgotten.
    pub(super) forgotten: u64,
    /// What each manager applied last, to an object or a part of it.
    applied: BTreeMap<(Key, String), Value>,
    n_made: u64,
}

impl Store {
    /// The version of the newest change.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Forgets what has happened: watches that want to begin in it have to list again.
    pub(super) fn forget(&mut self) {
        self.forgotten = self.version;
        self.history.clear();
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    /// The objects at a place that are wanted.
    pub(super) fn keys(&self, place: &Place, wanted: &Selector) -> Vec<(&Key, &Value)> {
        self.objects.iter().filter(|(key, object)| place.has(key) && wanted.takes(object)).collect()
    }

    /// Whether objects can be in this namespace. Where nobody has made one, tests are about something else.
    pub(super) fn has_namespace(&self, name: Option<&str>) -> bool {
        let mut namespaces = self.objects.keys().filter(|key| key.resource.plural == "namespaces").peekable();
        let is_asked = namespaces.peek().is_some() && name.is_some_and(|name| name != "default");
        !is_asked || namespaces.any(|key| name == Some(&key.name))
    }

    pub(super) fn create(&mut self, place: &Place, mut object: Value) -> Answered {
        self.n_made += 1;
        if !object.is_object() || !object["metadata"].is_object() {
            return failure(400, "BadRequest", "an object with metadata is awaited");
        }
        let metadata = &mut object["metadata"];
        if metadata["name"].as_str().unwrap_or_default().is_empty() {
            metadata["name"] =
                format!("{}{}", metadata["generateName"].as_str().unwrap_or_default(), self.n_made).into();
        }
        if let Some(namespace) = &place.namespace {
            metadata["namespace"] = namespace.clone().into();
        }
        metadata["uid"] = format!("00000000-0000-4000-8000-{:012}", self.n_made).into();
        metadata["generation"] = 1.into();
        metadata["creationTimestamp"] = now().into();
        let name = metadata["name"].as_str().unwrap_or_default().to_owned();
        let namespace = place.namespace.clone().unwrap_or_default();
        let key = Key { resource: place.resource.clone(), namespace, name };
        if self.objects.contains_key(&key) {
            return failure(409, "AlreadyExists", "there is an object of this name");
        }
        if let Some(fields) = object.as_object_mut() {
            fields.remove("status");
        }
        (201, self.put("ADDED", key, object))
    }

    /// Replaces an object, or its status.
    pub(super) fn replace(&mut self, key: &Key, part: Option<&str>, object: &Value) -> Answered {
        let version = object["metadata"]["resourceVersion"].as_str();
        let Some(before) = self.objects.get(key) else { return not_found(key) };
        if version.is_some_and(|version| before["metadata"]["resourceVersion"] != version) {
            return failure(409, "Conflict", "the object has been modified");
        }
        self.change(key, part, |target| *target = object.clone())
    }

    /// Patches an object, or its status.
    pub(super) fn patch(
        &mut self,
        key: &Key,
        part: Option<&str>,
        (kind, manager): (&str, &str),
        patch: &Value,
    ) -> Answered {
        let is_apply = kind == "application/apply-patch+yaml";
        let by = (key.clone(), format!("{manager} {}", part.unwrap_or_default()));
        if is_apply && part.is_none() && !self.objects.contains_key(key) {
            self.applied.insert(by, patch.clone());
            return self.create(&key.list(), patch.clone());
        }
        let Some(before) = self.objects.get(key) else { return not_found(key) };
        let uid = patch["metadata"]["uid"].as_str();
        if uid.is_some_and(|uid| before["metadata"]["uid"] != uid) {
            return failure(409, "Conflict", "the uid is that of another object");
        }
        match kind {
            _ if is_apply => {
                let last = self.applied.insert(by, patch.clone());
                self.change(key, part, |target| patch::apply(target, last.as_ref(), patch))
            }
            "application/json-patch+json" => {
                let operations: Result<json_patch::Patch, _> = serde_json::from_value(patch.clone());
                let Ok(operations) = operations else { return failure(400, "BadRequest", "this is no JSON Patch") };
                let mut patched = before.clone();
                match json_patch::patch(&mut patched, &operations) {
                    Ok(()) => self.change(key, part, |target| *target = patched),
                    Err(error) => failure(422, "Invalid", &error.to_string()),
                }
            }
            "application/strategic-merge-patch+json" => {
                self.change(key, part, |target| strategic::merge(target, patch))
            }
            _ => self.change(key, part, |target| patch::merge(target, patch)),
        }
    }

    /// Removes an object with all that goes with it; one that has finalizers waits for them to go.
    pub(super) fn delete(&mut self, key: &Key) -> Answered {
        let Some(object) = self.objects.get(key).cloned() else { return not_found(key) };
        if object["metadata"]["finalizers"].as_array().is_some_and(|all| !all.is_empty()) {
            return self.change(key, None, |target| target["metadata"]["deletionTimestamp"] = now().into());
        }
        let with_it: Vec<Key> = self.objects.keys().filter(|other| goes_with(key, &object, other)).cloned().collect();
        for other in &with_it {
            self.delete(other);
        }
        let object = self.put("DELETED", key.clone(), object);
        self.objects.remove(key);
        self.applied.retain(|(applied, _), _| applied != key);
        (200, object)
    }

    /// Only the status changes by the way of the status, and all but the status by the other. A spec that changes begins a
    /// generation.
    fn change(&mut self, key: &Key, part: Option<&str>, change: impl FnOnce(&mut Value)) -> Answered {
        let Some(before) = self.objects.get(key).cloned() else { return not_found(key) };
        let mut changed = before.clone();
        change(&mut changed);
        let mut after = before.clone();
        if part == Some("status") {
            after["status"] = changed["status"].take();
        } else {
            let status = before.get("status").cloned();
            after = changed;
            for field in ["uid", "creationTimestamp", "generation", "name", "namespace"] {
                after["metadata"][field] = before["metadata"][field].clone();
            }
            if let Some(fields) = after.as_object_mut() {
                fields.remove("status");
                fields.extend(status.map(|status| ("status".to_owned(), status)));
            }
            if after["spec"] != before["spec"] {
                after["metadata"]["generation"] = (before["metadata"]["generation"].as_i64().unwrap_or(0) + 1).into();
            }
        }
        if let Some(metadata) = after["metadata"].as_object_mut() {
            metadata.retain(|_, value| !value.is_null());
        }
        if after == before {
            return (200, before);
        }
        (200, self.put("MODIFIED", key.clone(), after))
    }

    fn put(&mut self, type_: &'static str, key: Key, mut object: Value) -> Value {
        self.version += 1;
        settle(&key.resource, &mut object);
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.objects.insert(key.clone(), object.clone());
        self.history.push(Change { version: self.version, type_, key, object: object.clone() });
        object
    }

    /// All objects of a kind.
    pub(super) fn all(&self, resource: &Resource) -> Vec<Value> {
        self.objects.iter().filter(|(key, _)| key.resource == *resource).map(|(_, value)| value.clone()).collect()
    }

    /// CustomResourceDefinitions that are whole, each with what it defines.
    fn definitions(&self) -> impl Iterator<Item = (&Value, Kind)> {
        let all = self.objects.iter().filter(|(key, _)| key.resource.plural == "customresourcedefinitions");
        all.filter_map(|(_, definition)| Some((definition, kinds::defined(definition)?)))
    }

    /// The definition of a resource, where it has one.
    pub(super) fn definition(&self, resource: &Resource) -> Option<&Value> {
        self.definitions().find(|(_, kind)| kind.resource == *resource).map(|(definition, _)| definition)
    }

    /// All kinds that there are now.
    pub(super) fn kinds(&self) -> impl Iterator<Item = Kind> {
        kinds::own().chain(self.definitions().map(|(_, kind)| kind))
    }

    /// The kind of a resource.
    pub(super) fn kind(&self, resource: &Resource) -> Option<Kind> {
        self.kinds().find(|kind| kind.resource == *resource)
    }
}

fn not_found(key: &Key) -> Answered {
    failure(404, "NotFound", &format!("{} {:?} not found", key.resource.plural, key.name))
}

fn now() -> String {
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    date(seconds)
}

/// RFC 3339, of seconds since 1970.
fn date(seconds: u64) -> String {
    let (mut days, rest) = (seconds / 86_400, seconds % 86_400);
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}T{:02}:{:02}:{:02}Z", days + 1, rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_is_apart_and_a_spec_begins_a_generation() {
        let mut store = Store::default();
        let place = Place::of("/apis/squall.dev/v1alpha1/namespaces/shop/faultrules").unwrap();
        let (code, made) =
            store.create(&place, json!({"metadata": {"name": "r"}, "spec": {"a": 1}, "status": {"x": 1}}));
        assert_eq!((code, &made["status"], &made["metadata"]["generation"]), (201, &Value::Null, &json!(1)));
        let key = Place { name: Some("r".to_owned()), ..place.clone() }.key().unwrap();
        let apply = "application/apply-patch+yaml";
        let status =
            json!({"metadata": {"uid": made["metadata"]["uid"]}, "spec": {"a": 7}, "status": {"phase": "Pending"}});
        let (_, told) = store.patch(&key, Some("status"), (apply, "squall"), &status);
        assert_eq!(
            (&told["spec"]["a"], &told["status"]["phase"], &told["metadata"]["generation"]),
            (&json!(1), &json!("Pending"), &json!(1))
        );
        let (_, edited) = store.patch(
            &key,
            None,
            ("application/merge-patch+json", "me"),
            &json!({"spec": {"a": 2}, "status": {"phase": "x"}}),
        );
        assert_eq!((&edited["status"]["phase"], &edited["metadata"]["generation"]), (&json!("Pending"), &json!(2)));
        let other = json!({"metadata": {"uid": "another"}, "status": {}});
        assert_eq!(store.patch(&key, Some("status"), (apply, "squall"), &other).0, 409);
        assert_eq!((store.version(), store.history.len()), (3, 3));
        let same = store.patch(&key, Some("status"), (apply, "squall"), &status);
        assert_eq!((same.0, store.version()), (200, 3), "what does not change makes no version");
        assert_eq!(
            (store.delete(&key).0, store.delete(&key).0, store.history.last().unwrap().type_),
            (200, 404, "DELETED")
        );
        assert_eq!(date(1_709_210_096), "2024-02-29T12:34:56Z");
    }
}
