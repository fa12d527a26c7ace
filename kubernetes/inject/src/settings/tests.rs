use serde_json::{Value, json};

use super::*;

fn pod(annotations: &[(&str, &str)]) -> Value {
    let annotations: serde_json::Map<String, Value> =
        annotations.iter().map(|(name, value)| (format!("squall.dev/{name}"), json!(value))).collect();
    json!({ "metadata": { "annotations": annotations }, "spec": { "containers": [{ "name": "app" }] } })
}

fn of(annotations: &[(&str, &str)]) -> Result<Settings, Invalid> {
    Settings::of(&pod(annotations), &Options::default())
}

fn problems(annotations: &[(&str, &str)]) -> String {
    of(annotations).unwrap_err().to_string()
}

#[test]
fn without_annotations_everything_has_a_value() {
    let settings = of(&[]).unwrap();
    assert_eq!(settings.calls, Calls::Redirected);
    assert_eq!(settings.image, format!("squall:{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(settings.init_image, format!("squall-net-init:{}", env!("CARGO_PKG_VERSION")));
    assert_eq!((settings.log_level.as_str(), settings.log_format.as_str()), ("info", "json"));
    let Resources { cpu_request, cpu_limit, memory_request, memory_limit } = settings.resources;
    assert_eq!(
        (cpu_request.as_str(), cpu_limit, memory_request.as_str(), memory_limit.as_str()),
        ("10m", None, "32Mi", "128Mi")
    );
}

#[test]
fn annotations_win_over_options() {
    let image = |text: &str| Options { defaults: [(Setting::Image, text.to_owned())].into(), ..Options::default() };
    assert_eq!(Settings::of(&pod(&[]), &image("a:1")).unwrap().image, "a:1");
    assert_eq!(Settings::of(&pod(&[("image", "b:2")]), &image("a:1")).unwrap().image, "b:2");
}

#[test]
fn every_setting_is_checked_and_all_problems_are_told_at_once() {
    for (name, value, why) in [
        ("mode", "sidecar", "neither native nor explicit"),
        ("image", "a b", "blanks"),
        ("image", "", "empty"),
        ("init-image", "a\tb", "blanks"),
        ("config", "Not_A_Name", "no name of a ConfigMap"),
        ("ports", "8081=b:80", "need the mode explicit"),
        ("skip-outbound-ports", "http", "not a port"),
        ("skip-inbound-ports", "0", "not a port"),
        ("skip-subnets", "10.0.0.0/33", "no network"),
        ("log-level", " ", "empty"),
        ("log-format", "xml", "neither text nor json"),
        ("cpu-request", "ten", "no quantity"),
        ("cpu-limit", "-1", "no quantity"),
        ("memory-request", "32mi", "no quantity"),
        ("memory-limit", "", "no quantity"),
    ] {
        let told = problems(&[(name, value)]);
        assert!(told.starts_with(&format!("annotation squall.dev/{name}: ")) && told.contains(why), "{told}");
    }
    let Invalid(all) = of(&[("mode", "x"), ("log-format", "y"), ("cpu-limit", "z")]).unwrap_err();
    assert_eq!(all.len(), 3, "{all:?}");
    let options = Options { defaults: [(Setting::Mode, "x".to_owned())].into(), ..Options::default() };
    assert!(Settings::of(&pod(&[]), &options).unwrap_err().to_string().starts_with("mode: "));
}

#[test]
fn a_number_without_quotes_is_no_annotation() {
    let mut pod = pod(&[]);
    pod["metadata"]["annotations"]["squall.dev/skip-outbound-ports"] = json!(5432);
    let told = Settings::of(&pod, &Options::default()).unwrap_err().to_string();
    assert!(told.contains("put it in quotes"), "{told}");
}

#[test]
fn a_request_is_never_more_than_its_limit() {
    let memory = |annotations: &[(&str, &str)]| {
        let resources = of(annotations).unwrap().resources;
        (resources.memory_request, resources.memory_limit)
    };
    let texts = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(memory(&[("memory-request", "256Mi")]), texts("256Mi", "256Mi"));
    assert_eq!(memory(&[("memory-limit", "16Mi")]), texts("16Mi", "16Mi"));
    assert_eq!(memory(&[("memory-request", "1Mi"), ("memory-limit", "1Gi")]), texts("1Mi", "1Gi"));
    assert_eq!(of(&[("cpu-limit", "5m")]).unwrap().resources.cpu_request, "5m");
    assert!(problems(&[("memory-request", "2Gi"), ("memory-limit", "2000M")]).contains("more than memory-limit"));
    assert!(problems(&[("cpu-request", "1"), ("cpu-limit", "999m")]).contains("more than cpu-limit"));
}

#[test]
fn ports_have_listeners_of_their_own_and_no_config_map() {
    let settings = of(&[("mode", "explicit"), ("ports", "8081=b:80")]).unwrap();
    assert!(matches!(settings.calls, Calls::Routed(routes) if routes.len() == 1));
    assert_eq!(of(&[("mode", "explicit")]).unwrap().calls, Calls::Proxied);
    assert!(problems(&[("mode", "explicit"), ("ports", "8081=b:80"), ("config", "c")]).contains("ConfigMap"));
}

#[test]
fn what_has_no_effect_is_told() {
    let notes = |annotations: &[(&str, &str)]| of(annotations).unwrap().notes(&pod(annotations)).join("\n");
    assert_eq!(notes(&[("mode", "native"), ("skip-outbound-ports", "25")]), "");
    assert!(notes(&[("mode", "explicit"), ("skip-outbound-ports", "25")]).contains("no effect in mode explicit"));
    assert!(notes(&[("skip-inbound-ports", "80")]).contains("calls to the pod are not redirected"));
    assert!(notes(&[("mode", "explicit"), ("ports", "1=b:1"), ("skip-subnets", "::1")]).contains("no effect"));
    assert!(notes(&[("skip-outbound-port", "25")]).contains("did you mean squall.dev/skip-outbound-ports?"));
    assert!(notes(&[("zebra", "1")]).contains("squall.dev/zebra is not known"));
}
