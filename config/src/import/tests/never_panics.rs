//! Whatever is read, what is written is valid.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use serde_json::{Map, Value, json};

use super::*;

/// Words that documents of any source are made of, and some that belong nowhere.
const KEYS: [&str; 62] = [
    "http",
    "match",
    "fault",
    "delay",
    "abort",
    "percentage",
    "value",
    "percent",
    "fixedDelay",
    "httpStatus",
    "grpcStatus",
    "hosts",
    "uri",
    "exact",
    "prefix",
    "regex",
    "headers",
    "queryParams",
    "method",
    "authority",
    "port",
    "withoutHeaders",
    "target",
    "path",
    "code",
    "request_headers",
    "response_headers",
    "replace",
    "patch",
    "body",
    "duration",
    "action",
    "latency",
    "jitter",
    "correlation",
    "bandwidth",
    "rate",
    "direction",
    "externalTargets",
    "loss",
    "rules",
    "from",
    "to",
    "default",
    "targetRef",
    "kind",
    "matches",
    "responseBandwidth",
    "limit",
    "sources",
    "conf",
    "listen",
    "upstream",
    "toxics",
    "type",
    "toxicity",
    "attributes",
    "stream",
    "name",
    "enabled",
    "timeout",
    "x",
];

const TEXTS: [&str; 34] = [
    "1s",
    "5m",
    "0s",
    "99999h",
    "soon",
    "",
    "/a",
    "/a/*",
    "a",
    "*",
    "b.example.com",
    "(",
    "[0-9]+",
    "GET",
    "get",
    "Request",
    "Response",
    "delay",
    "partition",
    "to",
    "both",
    "10.0.0.0/8",
    "1mbps",
    "50Mbps",
    "99999999999999999999gbps",
    "latency",
    "bandwidth",
    "limit_data",
    "slicer",
    "downstream",
    "UNAVAILABLE",
    "127.0.0.1:0",
    "localhost:6379",
    "Mesh",
];

const KINDS: [(&str, &str); 6] = [
    ("networking.istio.io/v1", "VirtualService"),
    ("chaos-mesh.org/v1alpha1", "HTTPChaos"),
    ("chaos-mesh.org/v1alpha1", "NetworkChaos"),
    ("kuma.io/v1alpha1", "MeshFaultInjection"),
    ("kuma.io/v1alpha1", "FaultInjection"),
    ("", ""),
];

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u32..700).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0.0..1.5_f64).prop_map(Value::from),
        proptest::sample::select(&TEXTS[..]).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((proptest::sample::select(&KEYS[..]), inner), 0..6).prop_map(|fields| {
                Value::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>())
            }),
        ]
    })
}

fn document() -> impl Strategy<Value = Value> {
    let toxiproxy = proptest::collection::vec((".{0,6}", anything()), 0..3)
        .prop_map(|proxies| Value::Object(proxies.into_iter().collect::<Map<_, _>>()));
    let kinds = (proptest::sample::select(&KINDS[..]), ".{0,80}", anything()).prop_map(
        |((version, kind), name, spec)| json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}),
    );
    prop_oneof![3 => altered(), 3 => kinds, 1 => toxiproxy, 1 => anything()]
}

/// Documents as people write them, with one node replaced.
fn altered() -> impl Strategy<Value = Value> {
    let documents: Vec<Value> = [
        include_str!("istio.yaml"),
        include_str!("chaos-mesh.yaml"),
        include_str!("kuma.yaml"),
        include_str!("toxiproxy.json"),
    ]
    .iter()
    .flat_map(|text| serde_saphyr::from_multiple::<Value>(text).unwrap())
    .collect();
    (proptest::sample::select(documents), any::<prop::sample::Index>(), anything()).prop_map(
        |(mut document, index, node)| {
            let at = index.get(&pointers(&document, String::new())).clone();
            *document.pointer_mut(&at).unwrap() = node;
            document
        },
    )
}

fn pointers(value: &Value, here: String) -> Vec<String> {
    let below: Vec<String> = match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, field)| pointers(field, format!("{here}/{}", name.replace('~', "~0").replace('/', "~1"))))
            .collect(),
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(n, item)| pointers(item, format!("{here}/{n}"))).collect()
        }
        _ => Vec::new(),
    };
    std::iter::once(here).chain(below).collect()
}

#[test]
fn many_of_the_altered_documents_still_make_rules() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = altered();
    let n_with_rules = (0..400).filter(|_| {
        let document = strategy.new_tree(&mut runner).unwrap().current();
        let mut import = Import::new();
        import.add(&document.to_string(), &five_percent()).is_ok() && !import.spec.rules.is_empty()
    });
    let n_with_rules = n_with_rules.count();
    assert!(n_with_rules > 100, "{n_with_rules} of 400");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_document_is_imported_or_refused(document in document(), has_percentage: bool, has_cluster: bool) {
        let options = Options {
            percentage: has_percentage.then(|| "5".parse().unwrap()),
            cluster: has_cluster.then(|| "b".to_owned()),
            source: None,
        };
        let mut import = Import::new();
        if import.add(&document.to_string(), &options).is_ok() {
            assert_valid(&import);
        }
    }

    #[test]
    fn any_text_is_imported_or_refused(text in "(?s).{0,200}") {
        let mut import = Import::new();
        let _ = import.add(&text, &Options::default());
        assert_valid(&import);
    }
}
