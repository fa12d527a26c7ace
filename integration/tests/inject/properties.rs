//! What holds for every pod.

use json_patch::PatchOperation;
use proptest::prelude::*;
use serde_json::Value;
use squall_inject::{Decision, Options, Skip, inject, uninject};

use crate::pods;

/// Whether everything that was there is there still, in its order.
fn keeps(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Null, _) => true,
        (Value::Object(old), Value::Object(new)) => {
            old.iter().all(|(name, value)| new.get(name).is_some_and(|after| keeps(value, after)))
        }
        (Value::Array(old), Value::Array(new)) => {
            let mut rest = new.iter();
            old.iter().all(|value| rest.any(|after| keeps(value, after)))
        }
        _ => before == after,
    }
}

/// Without what Kubernetes takes for nothing: `null`, and lists and objects that are empty, where something could have
/// been added.
pub(crate) fn meant(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let is_nothing = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    for place in ["/spec/containers", "/spec/initContainers"] {
        for container in pod.pointer_mut(place).and_then(Value::as_array_mut).into_iter().flatten() {
            container.as_object_mut().unwrap().retain(|name, value| name != "env" || !is_nothing(value));
        }
    }
    let lists = ["annotations", "labels", "initContainers", "volumes"];
    for place in ["/metadata", "/spec"] {
        if let Some(fields) = pod.pointer_mut(place).and_then(Value::as_object_mut) {
            fields.retain(|name, value| !lists.contains(&name.as_str()) || !is_nothing(value));
        }
    }
    pod.as_object_mut().unwrap().retain(|_, value| !is_nothing(value));
    pod
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_patch_applies_adds_alone_is_made_once_and_can_be_undone(pod in pods::pod(), is_in_fleet in any::<bool>()) {
        let options = pods::options(is_in_fleet);
        let Decision::Inject(injection) = inject(&pod, Some("shop"), &options).unwrap() else { return Ok(()) };
        prop_assert!(injection.patch.iter().all(|operation| matches!(operation, PatchOperation::Add(_))));
        // As the API server does it: from text, one operation after the other.
        let patch: json_patch::Patch = serde_json::from_str(&injection.patch.to_string()).unwrap();
        let mut patched = pod.clone();
        json_patch::patch(&mut patched, &patch).unwrap();
        prop_assert_eq!(&patched, &injection.pod);
        prop_assert!(keeps(&pod, &patched));
        prop_assert_eq!(inject(&patched, Some("shop"), &options).unwrap(), Decision::Skip(Skip::Injected));
        let other = inject(&patched, Some("shop"), &pods::options(!is_in_fleet)).unwrap();
        let is_other = matches!(other, Decision::Skip(Skip::InjectedOtherwise { .. }));
        prop_assert!(is_other, "a controller more or less is another sidecar");
        prop_assert_eq!(meant(&uninject(&patched).unwrap()), meant(&pod));
    }

    /// Whatever a webhook is sent, it gets an answer.
    #[test]
    fn no_document_harms(
        pod in pods::pod(), at in any::<prop::sample::Index>(), strange in strange(), is_in_fleet in any::<bool>(),
    ) {
        let mut pod = pod;
        let places = places(&pod);
        *pod.pointer_mut(&places[at.index(places.len())]).unwrap() = strange;
        let _ = uninject(&pod);
        if let Ok(Decision::Inject(injection)) = inject(&pod, None, &pods::options(is_in_fleet)) {
            prop_assert!(uninject(&injection.pod).is_some());
        }
    }
}

fn strange() -> impl Strategy<Value = Value> {
    proptest::sample::select(vec![
        Value::Null,
        serde_json::json!([]),
        serde_json::json!({}),
        serde_json::json!("text"),
        serde_json::json!(-1),
        serde_json::json!([null, {}]),
    ])
}

/// The pointer of every value in a document.
fn places(value: &Value) -> Vec<String> {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(n, v)| (n.replace('~', "~0").replace('/', "~1"), v)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(i, v)| (i.to_string(), v)).collect(),
        _ => Vec::new(),
    };
    let inner = below.iter().flat_map(|(step, v)| places(v).into_iter().map(move |rest| format!("/{step}{rest}")));
    std::iter::once(String::new()).chain(inner).collect()
}

/// The properties would hold of nothing, too.
#[test]
fn most_of_the_pods_get_a_sidecar() {
    let all = pods::fixed(1000);
    let decisions = all.iter().map(|pod| inject(pod, None, &Options::default()).unwrap());
    let n_injected = decisions.filter(|decision| matches!(decision, Decision::Inject(_))).count();
    assert!((700..1000).contains(&n_injected), "{n_injected} of 1000");
}
