use json_patch::PatchOperation;
use serde_json::json;

use super::*;
use crate::{ANNOTATION_CONFIG, ANNOTATION_CONTROLLER_CA, Controller, Setting};

fn pod() -> Value {
    json!({
        "metadata": { "labels": { "app": "a" }, "annotations": { "note": "kept" } },
        "spec": {
            "initContainers": [{ "name": "migrate", "image": "m" }],
            "containers": [{ "name": "app", "image": "a", "ports": [{ "containerPort": 8080 }] }],
            "volumes": [{ "name": "data", "emptyDir": {} }],
        },
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut pod = pod();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    pod.pointer_mut(parent).unwrap()[field.replace("~1", "/")] = value;
    pod
}

fn annotated(annotations: &[(&str, &str)]) -> Value {
    annotations.iter().fold(pod(), |mut pod, (name, value)| {
        pod["metadata"]["annotations"][format!("squall.dev/{name}")] = json!(value);
        pod
    })
}

fn injected(pod: &Value) -> Injection {
    match inject(pod, Some("shop"), &Options::default()).unwrap() {
        Decision::Inject(injection) => injection,
        Decision::Skip(skip) => panic!("{skip}"),
    }
}

fn skipped(pod: &Value) -> Skip {
    match inject(pod, Some("shop"), &Options::default()).unwrap() {
        Decision::Inject(injection) => panic!("{:?}", injection.patch),
        Decision::Skip(skip) => skip,
    }
}

fn names(pod: &Value, list: &str) -> Vec<String> {
    pod["spec"][list].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_sidecar_stands_before_everything_that_calls() {
    let after = injected(&pod()).pod;
    assert_eq!(names(&after, "initContainers"), ["squall-init", "squall", "migrate"]);
    assert_eq!(names(&after, "containers"), ["app"]);
    assert_eq!(names(&after, "volumes"), ["data", "squall-config"]);
    assert_eq!(after["spec"]["initContainers"][1]["restartPolicy"], "Always");
    assert_eq!(after["metadata"]["annotations"]["note"], "kept");
}

/// Whose sidecars follow a controller.
fn in_fleet() -> Options {
    let (url, ca) = ("https://squall.squall-system.svc:443".to_owned(), "-----BEGIN CERTIFICATE-----\n".to_owned());
    Options { controller: Some(Controller { url, ca }), ..Options::default() }
}

#[test]
fn a_sidecar_that_follows_a_controller_gets_a_token_the_labels_and_whom_to_trust() {
    let Decision::Inject(injection) = inject(&pod(), Some("shop"), &in_fleet()).unwrap() else {
        panic!("it is injected")
    };
    let after = &injection.pod;
    assert!(injection.patch.iter().all(|operation| matches!(operation, PatchOperation::Add(_))));
    let sidecar = &after["spec"]["initContainers"][1];
    let args: Vec<&str> = sidecar["args"].as_array().unwrap()[9..].iter().map(|a| a.as_str().unwrap()).collect();
    assert_eq!(
        args.join(" "),
        "--controller https://squall.squall-system.svc:443 --controller-ca /var/run/squall/ca.crt \
         --controller-token /var/run/squall/token --pod-labels /var/run/squall/labels"
    );
    let mount = json!({ "name": "squall-controller", "mountPath": "/var/run/squall", "readOnly": true });
    assert_eq!(sidecar["volumeMounts"][1], mount);
    assert_eq!(names(after, "volumes"), ["data", "squall-config", "squall-controller"]);
    assert_eq!(
        after["spec"]["volumes"][2]["projected"]["sources"],
        json!([
            { "serviceAccountToken": { "audience": "squall-controller", "expirationSeconds": 3600, "path": "token" } },
            { "downwardAPI": { "items": [
                { "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } },
                { "path": "ca.crt", "fieldRef": { "fieldPath": "metadata.annotations['squall.dev/controller-ca']" } },
            ] } },
        ])
    );
    assert_eq!(after["metadata"]["annotations"][ANNOTATION_CONTROLLER_CA], "-----BEGIN CERTIFICATE-----\n");
    // The application's containers see nothing of it.
    assert_eq!(after["spec"]["containers"], pod()["spec"]["containers"]);

    assert_eq!(inject(after, Some("shop"), &in_fleet()).unwrap(), Decision::Skip(Skip::Injected));
    assert!(matches!(skipped(after), Skip::InjectedOtherwise { .. }));
    let mut other = in_fleet();
    other.controller.as_mut().unwrap().ca.push_str("another");
    let decision = inject(after, Some("shop"), &other).unwrap();
    assert!(matches!(decision, Decision::Skip(Skip::InjectedOtherwise { .. })), "another authority is another sidecar");
    assert_eq!(uninject(after).unwrap(), pod());
    assert!(!injected(&pod()).pod.to_string().contains("controller"), "and without one nothing of it is there");
}

#[test]
fn a_controller_that_no_sidecar_could_follow_is_refused() {
    for (url, ca, what) in [
        ("http://c.svc", "-----BEGIN CERTIFICATE-----", "controller: "),
        ("https://", "-----BEGIN CERTIFICATE-----", "controller: "),
        ("https://c.svc/v1", "-----BEGIN CERTIFICATE-----", "controller: "),
        ("https://u@c.svc", "-----BEGIN CERTIFICATE-----", "controller: "),
        ("https://c.svc", "-----BEGIN PRIVATE KEY-----", "controller-ca: "),
    ] {
        let controller = Some(Controller { url: url.to_owned(), ca: ca.to_owned() });
        let told = Options { controller, ..Options::default() }.check().unwrap_err().to_string();
        assert!(told.starts_with(what), "{told}");
    }
    in_fleet().check().unwrap();
}

#[test]
fn only_the_init_container_has_a_privilege_and_only_one() {
    let after = injected(&pod()).pod;
    let contexts: Vec<&Value> =
        after["spec"]["initContainers"].as_array().unwrap()[..2].iter().map(|c| &c["securityContext"]).collect();
    for context in &contexts {
        assert_eq!(context["allowPrivilegeEscalation"], false);
        assert_eq!(context["readOnlyRootFilesystem"], true);
        assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(context["capabilities"]["drop"], json!(["ALL"]));
    }
    assert_eq!(contexts[0]["capabilities"]["add"], json!(["NET_ADMIN"]));
    assert_eq!(contexts[1]["capabilities"].get("add"), None);
    assert_eq!((&contexts[1]["runAsNonRoot"], &contexts[1]["runAsUser"]), (&json!(true), &json!(65502)));
}

#[test]
fn the_redirect_leaves_alone_what_annotations_name() {
    let after = injected(&annotated(&[("skip-outbound-ports", "25,9000-9010"), ("skip-subnets", "10.1.0.0/16")]));
    let args: Vec<&str> = after.pod["spec"]["initContainers"][0]["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a.as_str().unwrap())
        .collect();
    assert_eq!(
        args.join(" "),
        "net-init --outbound-port 15101 --proxy-uid 65502 --ipv6 --skip-outbound-ports 25,9000-9010 \
         --skip-subnets 10.1.0.0/16"
    );
}

#[test]
fn other_meshes_in_the_pod_are_left_alone() {
    for (pod, expected) in [
        (with("/metadata/annotations/linkerd.io~1inject", json!("enabled")), "--mesh linkerd"),
        (with("/metadata/labels/sidecar.istio.io~1inject", json!("true")), "--mesh istio"),
        (with("/metadata/labels/istio.io~1rev", json!("canary")), "--mesh istio"),
        (with("/spec/containers", json!([{ "name": "app" }, { "name": "linkerd-proxy" }])), "--mesh linkerd"),
        (with("/spec/initContainers", json!([{ "name": "istio-proxy" }])), "--mesh istio"),
        (with("/metadata/labels/sidecar.istio.io~1inject", json!("false")), ""),
        (with("/metadata/annotations/linkerd.io~1inject", json!("disabled")), ""),
    ] {
        let injection = injected(&pod);
        let args = injection.pod["spec"]["initContainers"][0]["args"].as_array().unwrap()[6..].to_vec();
        let args: Vec<&str> = args.iter().map(|a| a.as_str().unwrap()).collect();
        assert_eq!(args.join(" "), expected);
        assert_eq!(injection.notes.len(), usize::from(!expected.is_empty()), "{:?}", injection.notes);
    }
}

#[test]
fn the_configuration_is_an_annotation_unless_a_config_map_has_it() {
    let after = injected(&pod()).pod;
    assert!(after["metadata"]["annotations"][ANNOTATION_CONFIG].as_str().unwrap().contains("original_dst"));
    let field = &after["spec"]["volumes"][1]["downwardAPI"]["items"][0]["fieldRef"]["fieldPath"];
    assert_eq!(field, "metadata.annotations['squall.dev/default-config']");
    let after = injected(&annotated(&[("config", "squall-a")])).pod;
    assert_eq!(after["spec"]["volumes"][1]["configMap"]["name"], "squall-a");
    assert_eq!(after["metadata"]["annotations"].get(ANNOTATION_CONFIG), None);
}

#[test]
fn annotations_reach_the_container() {
    let after = injected(&annotated(&[
        ("image", "registry.example/squall:9"),
        ("init-image", "registry.example/init:9"),
        ("log-level", "debug"),
        ("log-format", "text"),
        ("cpu-request", "20m"),
        ("cpu-limit", "2"),
        ("memory-request", "64Mi"),
        ("memory-limit", "1Gi"),
    ]));
    let sidecar = &after.pod["spec"]["initContainers"][1];
    assert_eq!(sidecar["image"], "registry.example/squall:9");
    assert_eq!(after.pod["spec"]["initContainers"][0]["image"], "registry.example/init:9");
    assert_eq!(
        sidecar["args"].as_array().unwrap()[5..],
        [json!("--log"), json!("debug"), json!("--log-format"), json!("text")]
    );
    assert_eq!(sidecar["resources"]["requests"], json!({ "cpu": "20m", "memory": "64Mi" }));
    assert_eq!(sidecar["resources"]["limits"], json!({ "cpu": "2", "memory": "1Gi" }));
}

#[test]
fn explicit_needs_no_privilege_and_tells_the_application() {
    let mut pod = annotated(&[("mode", "explicit"), ("skip-subnets", "10.0.0.0/8")]);
    pod["spec"]["containers"].as_array_mut().unwrap().extend([
        json!({ "name": "own", "env": [{ "name": "https_proxy", "value": "http://p" }] }),
        json!({ "name": "more", "env": [{ "name": "A", "value": "1" }] }),
    ]);
    let injection = injected(&pod);
    assert_eq!(injection.mode, Mode::Explicit);
    assert_eq!(names(&injection.pod, "initContainers"), ["squall", "migrate"]);
    assert!(!injection.pod.to_string().contains("NET_ADMIN"));
    let env = |list: &str, index: usize| injection.pod["spec"][list][index]["env"].clone();
    for variables in [env("initContainers", 1), env("containers", 0)] {
        let value =
            |name: &str| variables.as_array().unwrap().iter().find(|v| v["name"] == name).unwrap()["value"].clone();
        assert_eq!(
            (value("HTTP_PROXY"), value("https_proxy")),
            (json!("http://127.0.0.1:15102"), json!("http://127.0.0.1:15102"))
        );
        assert!(value("NO_PROXY").as_str().unwrap().ends_with("$(KUBERNETES_SERVICE_HOST),10.0.0.0/8"));
    }
    assert_eq!(env("containers", 1), pod["spec"]["containers"][1]["env"], "a proxy of its own is kept");
    assert!(injection.notes[0].contains("container own has https_proxy already"), "{:?}", injection.notes);
    assert_eq!(env("containers", 2).as_array().unwrap().len(), 7);
    assert_eq!(uninject(&injection.pod).unwrap(), pod);
}

#[test]
fn explicit_ports_are_listeners_and_no_variables() {
    let injection = injected(&annotated(&[("mode", "explicit"), ("ports", "8081=service-b:80")]));
    assert_eq!(injection.pod["spec"]["containers"], pod()["spec"]["containers"]);
    let text = injection.pod["metadata"]["annotations"][ANNOTATION_CONFIG].as_str().unwrap();
    assert!(text.contains("127.0.0.1:8081") && text.contains("service-b:80"), "{text}");
}

#[test]
fn every_pod_that_is_left_alone_has_a_reason() {
    let port = |port: u16, protocol: &str| json!([{ "name": "c", "ports": [{ "containerPort": port, "protocol": protocol }] }]);
    for (pod, reason) in [
        (with("/metadata/labels/squall.dev~1inject", json!("disabled")), "squall.dev/inject is disabled"),
        (with("/metadata/annotations/squall.dev~1inject", json!("disabled")), "squall.dev/inject is disabled"),
        (with("/metadata/namespace", json!("kube-system")), "namespace kube-system keeps"),
        (with("/metadata/namespace", json!("squall-system")), "that of Squall itself"),
        (with("/spec/hostNetwork", json!(true)), "hostNetwork"),
        (with("/metadata/annotations/kubernetes.io~1config.mirror", json!("x")), "mirrors a static pod"),
        (with("/spec/os", json!({ "name": "windows" })), "for Windows"),
        (with("/spec/nodeSelector", json!({ "kubernetes.io/os": "windows" })), "for Windows"),
        (with("/spec/containers", json!([])), "no containers"),
        (with("/spec/containers", json!([{ "name": "squall" }])), "a container squall already"),
        (with("/spec/initContainers", json!([{ "name": "squall-init" }])), "a container squall-init already"),
        (with("/spec/volumes", json!([{ "name": "squall-config" }])), "a volume squall-config already"),
        (with("/spec/volumes", json!([{ "name": "squall-controller" }])), "a volume squall-controller already"),
        (with("/metadata/annotations/squall.dev~1controller-ca", json!("x")), "squall.dev/controller-ca already"),
        (with("/metadata/annotations/squall.dev~1status", json!("{}")), "an annotation squall.dev/status already"),
        (with("/spec/containers", port(9471, "TCP")), "container c has port 9471"),
        (with("/spec/initContainers", port(15101, "TCP")), "container c has port 15101"),
    ] {
        let told = skipped(&pod).to_string();
        assert!(told.contains(reason), "{told}");
    }
    injected(&with("/spec/containers", port(9471, "UDP")));
    injected(&with("/spec/containers", port(15102, "TCP")));
    assert!(matches!(
        inject(&pod(), Some("kube-system"), &Options::default()),
        Ok(Decision::Skip(Skip::SystemNamespace(_)))
    ));
}

#[test]
fn what_is_patched_needs_no_patch() {
    let after = injected(&pod()).pod;
    assert_eq!(skipped(&after), Skip::Injected);
    let other = Options { defaults: [(Setting::Image, "other:1".to_owned())].into(), ..Options::default() };
    let decision = inject(&after, Some("shop"), &other).unwrap();
    assert!(
        matches!(decision, Decision::Skip(Skip::InjectedOtherwise { version }) if version == env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn what_was_added_can_be_taken_out() {
    assert_eq!(uninject(&injected(&pod()).pod).unwrap(), pod());
    let bare = json!({ "spec": { "containers": [{ "name": "app" }], "volumes": null } });
    let mut without = bare.clone();
    let patched = injected(&bare);
    assert!(patched.patch.iter().all(|operation| matches!(operation, PatchOperation::Add(_))));
    without["spec"].as_object_mut().unwrap().remove("volumes");
    assert_eq!(uninject(&patched.pod).unwrap(), without);
    assert_eq!(uninject(&pod()), None, "what was not injected is not touched");
}

#[test]
fn what_is_no_pod_is_refused_and_harms_nobody() {
    for (pod, what) in [
        (json!(null), "spec is not an object"),
        (json!({ "spec": [] }), "spec is not an object"),
        (json!({ "metadata": "x", "spec": {} }), "metadata is not an object"),
        (json!({ "metadata": { "annotations": [] }, "spec": {} }), "metadata.annotations is not an object"),
        (json!({ "spec": { "containers": {} } }), "spec.containers is not a list"),
        (json!({ "spec": { "containers": [{}] } }), "spec.containers is not a list of objects with a name"),
        (json!({ "spec": { "volumes": ["x"] } }), "spec.volumes is not a list"),
        (json!({ "spec": { "containers": [{ "name": "a", "env": {} }] } }), "env of container a"),
    ] {
        let told = inject(&pod, None, &Options::default()).unwrap_err().to_string();
        assert!(told.contains(what), "{told}");
        assert_eq!(uninject(&pod), None);
    }
}

#[test]
fn a_container_that_runs_as_squall_is_told_of() {
    for pod in [
        with("/spec/securityContext", json!({ "runAsUser": 65502 })),
        with("/spec/containers", json!([{ "name": "a", "securityContext": { "runAsUser": 65502 } }])),
    ] {
        assert!(injected(&pod).notes[0].contains("not redirected"));
    }
}
