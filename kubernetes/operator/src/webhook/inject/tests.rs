use base64::Engine as _;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn review(operation: &str, pod: &Value) -> Review {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": { "group": "", "version": "v1", "kind": "Pod" },
            "resource": { "group": "", "version": "v1", "resource": "pods" },
            "namespace": "shop", "operation": operation, "object": pod, "dryRun": false,
        },
    });
    Review::read(review.to_string().as_bytes()).unwrap()
}

fn pod() -> Value {
    json!({
        "metadata": { "generateName": "a-7d9f-", "labels": { "app": "a" } },
        "spec": { "containers": [{ "name": "app", "image": "a" }] },
    })
}

fn response(review: &Review) -> (Value, Outcome) {
    let (answer, outcome) = answer(review, &Options::default());
    (answer.document()["response"].clone(), outcome)
}

fn patched(pod: &Value, response: &Value) -> Value {
    assert_eq!(response["patchType"], "JSONPatch");
    let text = base64::engine::general_purpose::STANDARD.decode(response["patch"].as_str().unwrap()).unwrap();
    let patch: Patch = serde_json::from_slice(&text).unwrap();
    let mut after = pod.clone();
    json_patch::patch(&mut after, &patch).unwrap();
    after
}

fn arguments<'a>(pod: &'a Value, container: &str) -> Vec<&'a str> {
    let all = pod["spec"]["initContainers"].as_array().unwrap();
    let found = all.iter().find(|c| c["name"] == container).unwrap();
    found["args"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect()
}

#[test]
fn a_new_pod_gets_the_sidecar_and_a_second_call_changes_nothing() {
    let (given, outcome) = response(&review("CREATE", &pod()));
    assert_eq!((outcome, &given["allowed"], &given["warnings"]), (Outcome::Injected, &json!(true), &Value::Null));
    let after = patched(&pod(), &given);
    assert_eq!(after["spec"]["initContainers"][1]["name"], "squall");
    let (again, outcome) = response(&review("CREATE", &after));
    assert_eq!(outcome, Outcome::Skipped);
    assert_eq!((&again["patch"], &again["warnings"]), (&Value::Null, &Value::Null));
    assert_eq!(again["auditAnnotations"]["outcome"], "not injected: it has the sidecar already");
}

#[test]
fn what_is_no_new_pod_is_left_alone() {
    for operation in ["UPDATE", "DELETE", "CONNECT", ""] {
        let (given, outcome) = response(&review(operation, &pod()));
        assert_eq!((outcome, &given["patch"]), (Outcome::Ignored, &Value::Null), "{operation}");
    }
    let text = |change: &dyn Fn(&mut Value)| {
        let mut document = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "operation": "CREATE", "kind": { "group": "", "kind": "Pod" }, "object": pod() } });
        change(&mut document);
        response(&Review::read(document.to_string().as_bytes()).unwrap())
    };
    assert_eq!(text(&|_| ()).1, Outcome::Injected);
    for (place, value) in [
        ("/request/kind/kind", json!("Deployment")),
        ("/request/kind/group", json!("apps")),
        ("/apiVersion", json!("admission.k8s.io/v1beta1")),
        ("/kind", json!("Pod")),
    ] {
        let (given, outcome) = text(&|document| *document.pointer_mut(place).unwrap() = value.clone());
        assert_eq!(
            (outcome, &given["allowed"], &given["patch"]),
            (Outcome::Ignored, &json!(true), &Value::Null),
            "{place}"
        );
    }
    let part = |document: &mut Value| document["request"]["subResource"] = json!("ephemeralcontainers");
    assert_eq!(text(&part).1, Outcome::Ignored);
}

#[test]
fn the_namespace_is_that_of_the_request() {
    let mut stranger = pod();
    stranger["metadata"]["namespace"] = json!("kube-system");
    assert_eq!(response(&review("CREATE", &stranger)).1, Outcome::Injected);
    let mut system = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1", "operation": "CREATE", "kind": { "group": "", "kind": "Pod" }, "object": pod() } });
    for namespace in ["kube-system", "squall-system"] {
        system["request"]["namespace"] = json!(namespace);
        let (given, outcome) = response(&Review::read(system.to_string().as_bytes()).unwrap());
        assert_eq!(outcome, Outcome::Skipped);
        let warning = given["warnings"][0].as_str().unwrap();
        assert!(warning.starts_with(&format!("squall: not injected: namespace {namespace}")), "{warning}");
    }
}

#[test]
fn a_pod_that_wants_none_gets_none_without_a_word() {
    let mut without = pod();
    without["metadata"]["labels"]["squall.dev/inject"] = json!("disabled");
    let (given, outcome) = response(&review("CREATE", &without));
    assert_eq!((outcome, &given["warnings"]), (Outcome::Skipped, &Value::Null));
}

#[test]
fn whatever_is_wrong_with_a_pod_it_starts_and_somebody_is_told() {
    let mut wrong = pod();
    wrong["metadata"]["annotations"] = json!({ "squall.dev/mode": "magic", "squall.dev/cpu-limit": "lots" });
    let (given, outcome) = response(&review("CREATE", &wrong));
    assert_eq!((outcome, &given["allowed"], &given["patch"]), (Outcome::Invalid, &json!(true), &Value::Null));
    let warnings: Vec<&str> = given["warnings"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings.iter().all(|w| w.starts_with("squall: not injected: annotation squall.dev/")), "{warnings:?}");
    let (given, outcome) = response(&review("CREATE", &json!({ "spec": { "containers": 7 } })));
    assert_eq!((outcome, &given["allowed"]), (Outcome::Invalid, &json!(true)));
    assert_eq!(response(&review("CREATE", &json!(null))).1, Outcome::Invalid);
}

#[test]
fn notes_are_warnings() {
    let mut noted = pod();
    noted["metadata"]["annotations"] = json!({ "squall.dev/skip-subnet": "10.0.0.0/8" });
    let (given, outcome) = response(&review("CREATE", &noted));
    assert_eq!(outcome, Outcome::Injected);
    assert!(given["warnings"][0].as_str().unwrap().contains("did you mean squall.dev/skip-subnets?"));
}

/// As when the webhook of Istio is called after ours, and ours again then.
#[test]
fn a_mesh_that_joins_later_is_left_alone_by_the_redirect() {
    let mut after = patched(&pod(), &response(&review("CREATE", &pod())).0);
    assert!(!arguments(&after, "squall-init").contains(&"istio"));
    after["spec"]["containers"].as_array_mut().unwrap().push(json!({ "name": "istio-proxy", "image": "i" }));
    after["spec"]["initContainers"].as_array_mut().unwrap().push(json!({ "name": "istio-init", "image": "i" }));
    let (given, outcome) = response(&review("CREATE", &after));
    assert_eq!((outcome, &given["warnings"]), (Outcome::Injected, &Value::Null));
    let meshed = patched(&after, &given);
    assert!(arguments(&meshed, "squall-init").contains(&"istio"), "{meshed:#}");
    let names: Vec<&str> =
        meshed["spec"]["initContainers"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["squall-init", "squall", "istio-init"]);
    assert_eq!(meshed["spec"]["containers"], after["spec"]["containers"]);
    assert_eq!(response(&review("CREATE", &meshed)).0["patch"], Value::Null);
}

#[test]
fn without_a_redirect_a_mesh_changes_nothing() {
    let mut explicit = pod();
    explicit["metadata"]["annotations"] = json!({ "squall.dev/mode": "explicit" });
    let mut after = patched(&explicit, &response(&review("CREATE", &explicit)).0);
    after["spec"]["containers"].as_array_mut().unwrap().push(json!({ "name": "istio-proxy", "image": "i" }));
    let (given, _) = response(&review("CREATE", &after));
    assert_eq!((&given["patch"], &given["warnings"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_sidecar_of_other_settings_stays_and_is_told() {
    let options =
        Options { defaults: [(squall_inject::Setting::Image, "mine:2".to_owned())].into(), ..Options::default() };
    let other = patched(&pod(), &answer(&review("CREATE", &pod()), &options).0.document()["response"]);
    let (given, outcome) = response(&review("CREATE", &other));
    assert_eq!((outcome, &given["patch"]), (Outcome::Skipped, &Value::Null));
    assert!(given["warnings"][0].as_str().unwrap().contains("with other settings"));
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["CREATE", "Pod", "admission.k8s.io/v1", "squall", "kube-system"])
            .prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "metadata",
        "spec",
        "containers",
        "initContainers",
        "name",
        "annotations",
        "labels",
        "squall.dev/inject",
        "squall.dev/status",
        "squall.dev/mode",
        "volumes",
        "env",
        "ports",
        "namespace",
        "",
    ]);
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner, 0..6).prop_map(|all| all
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v))
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A pod is allowed, whatever it is, and what changes it can be applied.
    #[test]
    fn no_object_is_kept_out(object in json_value(), operation in prop::sample::select(vec!["CREATE", "UPDATE"])) {
        let review = review(operation, &object);
        let (answer, _) = answer(&review, &Options::default());
        let given = answer.document()["response"].clone();
        prop_assert_eq!(&given["allowed"], &json!(true));
        if given["patch"].is_string() {
            patched(&object, &given);
        }
    }

    #[test]
    fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(review) = Review::read(&bytes) {
            let _ = answer(&review, &Options::default());
        }
    }

    /// Of any request that says which one it is.
    #[test]
    fn every_review_is_answered(request in json_value(), version in json_value()) {
        let mut document = json!({ "apiVersion": version, "kind": "AdmissionReview", "request": request });
        if let Some(request) = document["request"].as_object_mut() {
            request.insert("uid".to_owned(), "7".into());
            let review = Review::read(document.to_string().as_bytes()).unwrap();
            let (answer, _) = answer(&review, &Options::default());
            prop_assert_eq!(&answer.document()["response"]["uid"], &json!("7"));
        }
    }
}
