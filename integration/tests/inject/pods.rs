//! Pods of all kinds that Kubernetes takes.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};
use squall_inject::{Controller, Options};

/// Sidecars that follow a controller, or none.
pub(crate) fn options(is_in_fleet: bool) -> Options {
    let controller = Controller { url: "https://squall.squall-system.svc:443".to_owned(), ca: CA.to_owned() };
    Options { controller: is_in_fleet.then_some(controller), ..Options::default() }
}

/// What looks like the authority of a controller.
pub(crate) const CA: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

/// So many pods, always the same.
pub(crate) fn fixed(n: usize) -> Vec<Value> {
    let mut runner = TestRunner::deterministic();
    (0..n).map(|_| pod().new_tree(&mut runner).unwrap().current()).collect()
}

/// A pod, or the template of one.
pub(crate) fn pod() -> impl Strategy<Value = Value> {
    let containers = vec(container(), 1..4).prop_map(|all| numbered("app", all));
    let init_containers = vec((container(), any::<bool>()), 0..3).prop_map(|all| {
        let stays = |(mut container, stays): (Value, bool)| {
            if stays {
                container["restartPolicy"] = json!("Always");
            }
            container
        };
        numbered("init", all.into_iter().map(stays).collect())
    });
    let volumes = vec(volume(), 0..4).prop_map(|all| numbered("volume", all));
    (containers, init_containers, volumes, labels(), annotations(), spec(), nothing()).prop_map(
        |(containers, init_containers, volumes, labels, annotations, mut spec, nothing)| {
            spec.insert("containers".to_owned(), containers);
            let lists = [("initContainers", init_containers), ("volumes", volumes)];
            let mut metadata = Map::new();
            for ((name, value), nothing) in lists.into_iter().zip(&nothing) {
                put(&mut spec, name, value, *nothing);
            }
            for ((name, value), nothing) in
                [("labels", labels), ("annotations", annotations)].into_iter().zip(&nothing[2..])
            {
                put(&mut metadata, name, value, *nothing);
            }
            if metadata.is_empty() { json!({ "spec": spec }) } else { json!({ "metadata": metadata, "spec": spec }) }
        },
    )
}

/// How a list or object in which nothing is, is written.
#[derive(Clone, Copy, Debug)]
enum Nothing {
    Absent,
    Null,
    Empty,
}

fn nothing() -> impl Strategy<Value = Vec<Nothing>> {
    vec(prop_oneof![Just(Nothing::Absent), Just(Nothing::Null), Just(Nothing::Empty)], 4)
}

fn put(object: &mut Map<String, Value>, name: &str, value: Value, nothing: Nothing) {
    let is_empty = value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty);
    let value = match (is_empty, nothing) {
        (true, Nothing::Absent) => return,
        (true, Nothing::Null) => Value::Null,
        _ => value,
    };
    object.insert(name.to_owned(), value);
}

/// Items with names of their own.
fn numbered(name: &str, mut items: Vec<Value>) -> Value {
    for (index, item) in items.iter_mut().enumerate() {
        item["name"] = json!(format!("{name}-{index}"));
    }
    items.into()
}

/// Texts that people write, and that readers of YAML take for something else.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9 .:/_-]{0,20}",
        "\\PC{0,12}",
        proptest::sample::select(vec![
            "yes",
            "0400",
            "1e3",
            "null",
            "~",
            "",
            "2024-01-01",
            "12:30",
            "a\nb\n",
            " x",
            "# no",
            "{a: b}",
            "$(HOME)",
            "é",
        ])
        .prop_map(str::to_owned),
    ]
}

fn container() -> impl Strategy<Value = Value> {
    let env = vec((env_name(), text()), 0..4).prop_map(|all| {
        all.into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect::<Vec<_>>()
    });
    let ports = vec((1_u16..=65535, proptest::sample::select(vec!["TCP", "UDP"])), 0..3).prop_map(|all| {
        all.into_iter()
            .map(|(port, protocol)| json!({ "containerPort": port, "protocol": protocol }))
            .collect::<Vec<_>>()
    });
    let user = proptest::option::of(prop_oneof![Just(0_u32), Just(65502), 1_u32..100_000]);
    (env, ports, user, vec(text(), 0..3), any::<[bool; 4]>()).prop_map(|(env, ports, user, args, has)| {
        let mut container = json!({ "name": "", "image": "app:1" });
        if !env.is_empty() || has[0] {
            container["env"] = env.into();
        }
        if !ports.is_empty() {
            container["ports"] = ports.into();
        }
        if let Some(user) = user {
            container["securityContext"] = json!({ "runAsUser": user, "capabilities": { "drop": ["ALL"] } });
        }
        if has[1] {
            container["args"] = args.into();
        }
        if has[2] {
            container["resources"] = json!({ "requests": { "cpu": "10m" }, "limits": { "memory": "1Gi" } });
        }
        if has[3] {
            container["envFrom"] = json!([{ "configMapRef": { "name": "settings", "optional": true } }]);
        }
        container
    })
}

fn env_name() -> impl Strategy<Value = String> {
    let proxies = proptest::sample::select(vec!["HTTP_PROXY", "no_proxy", "https_proxy"]).prop_map(str::to_owned);
    prop_oneof![8 => "[A-Z][A-Z0-9_]{0,8}", 1 => proxies]
}

fn volume() -> impl Strategy<Value = Value> {
    proptest::sample::select(vec![
        json!({ "emptyDir": {} }),
        json!({ "emptyDir": { "medium": "Memory", "sizeLimit": "1Mi" } }),
        json!({ "configMap": { "name": "settings", "defaultMode": 256 } }),
        json!({ "secret": { "secretName": "token", "items": [{ "key": "a", "path": "b" }] } }),
        json!({ "downwardAPI": { "items": [{ "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } }] } }),
    ])
}

fn labels() -> impl Strategy<Value = Value> {
    let own = btree_map("[a-z]{1,8}", "[a-z0-9]{0,8}", 0..3);
    let known =
        [("sidecar.istio.io/inject", "true"), ("squall.dev/inject", "enabled"), ("squall.dev/inject", "disabled")];
    (own, proptest::option::weighted(0.1, proptest::sample::select(known.to_vec()))).prop_map(|(own, known)| {
        let known = known.map(|(name, value)| (name.to_owned(), value.to_owned()));
        json!(own.into_iter().chain(known).collect::<std::collections::BTreeMap<_, _>>())
    })
}

fn annotations() -> impl Strategy<Value = Value> {
    let own = btree_map("[a-z]{1,8}(/[a-z~]{1,8})?", text(), 0..3);
    let known = vec![
        ("linkerd.io/inject", "enabled"),
        ("squall.dev/mode", "explicit"),
        ("squall.dev/skip-outbound-ports", "25,9000-9010"),
        ("squall.dev/skip-subnets", "10.0.0.0/8,fd00::/8"),
        ("squall.dev/config", "squall-config"),
        ("squall.dev/image", "registry.example/squall@sha256:0123"),
        ("squall.dev/memory-request", "256Mi"),
        ("squall.dev/cpu-limit", "1"),
        ("squall.dev/log-format", "text"),
        ("squall.dev/not-known", ""),
    ];
    (own, proptest::sample::subsequence(known, 0..4)).prop_map(|(own, known)| {
        let known = known.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        json!(own.into_iter().chain(known).collect::<std::collections::BTreeMap<_, _>>())
    })
}

/// Fields of the spec that have nothing to do with containers; some of them forbid a sidecar.
fn spec() -> impl Strategy<Value = Map<String, Value>> {
    let fields = vec![
        ("restartPolicy", json!("Never")),
        ("serviceAccountName", json!("default")),
        ("terminationGracePeriodSeconds", json!(5)),
        ("securityContext", json!({ "runAsNonRoot": true, "fsGroup": 1 })),
        ("nodeSelector", json!({ "disk": "fast" })),
        ("shareProcessNamespace", json!(true)),
        ("tolerations", json!([{ "key": "a", "operator": "Exists" }])),
    ];
    (proptest::sample::subsequence(fields, 0..4), proptest::bool::weighted(0.03)).prop_map(|(fields, is_host)| {
        let mut spec: Map<String, Value> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        if is_host {
            spec.insert("hostNetwork".to_owned(), json!(true));
        }
        spec
    })
}
