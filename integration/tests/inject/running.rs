//! A sidecar runs as it was injected.

use serde_json::{Value, json};
use squall_inject::{ANNOTATION_CONFIG, Decision, Options, inject};
use squall_integration::echo::Echo;
use squall_integration::{Api, RawClient, Squall, eventually, wait::PATIENCE};

/// The pod of these annotations.
fn injected(annotations: &Value) -> Value {
    let pod = json!({ "metadata": { "annotations": annotations }, "spec": { "containers": [{ "name": "app" }] } });
    let Decision::Inject(injection) = inject(&pod, None, &Options::default()).unwrap() else {
        panic!("it is injected")
    };
    injection.pod
}

/// Those of an init container.
fn arguments(pod: &Value, container: usize) -> Vec<&str> {
    let container = &pod["spec"]["initContainers"][container];
    container["args"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect()
}

/// What it would run, on ports that are free here.
fn started(annotations: &Value) -> Squall {
    let pod = injected(annotations);
    let arguments = arguments(&pod, 0);
    let ["run", "-c", "/etc/squall/squall.yaml", rest @ ..] = arguments.as_slice() else { panic!("{arguments:?}") };
    let arguments: Vec<&str> = rest.iter().copied().chain(["--control", "127.0.0.1:0"]).collect();
    let arguments: Vec<&str> = arguments.into_iter().map(|a| if a == "[::]:9471" { "[::]:0" } else { a }).collect();
    let text = pod["metadata"]["annotations"][ANNOTATION_CONFIG].as_str().unwrap();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("squall.yaml"), text.replace("127.0.0.1:15102", "127.0.0.1:0")).unwrap();
    Squall::start_in(directory, &arguments)
}

#[test]
fn calls_of_http_proxy_go_where_they_say() {
    let (echo, squall) =
        (Echo::http1(), started(&json!({ "squall.dev/mode": "explicit", "squall.dev/log-format": "text" })));
    let request = format!("GET http://{}/echo/x HTTP/1.1\r\nHost: b\r\n\r\n", echo.address);
    let mut client = RawClient::connect(squall.address("outbound"));
    assert_eq!(client.send(request).answer().json()["target"], "/echo/x");
    let rule = json!({ "match": { "path": "/echo/x" }, "percentage": 100, "fault": { "abort": 503 } });
    assert_eq!(squall.api().put("/v1/rules/broken", &rule.to_string()).status, 201);
    assert_eq!(
        client.send(format!("GET http://{}/echo/x HTTP/1.1\r\nHost: b\r\n\r\n", echo.address)).answer().status,
        503
    );
}

#[test]
fn ports_lead_to_their_upstreams_and_probes_are_answered() {
    let echo = Echo::http1();
    let ports = format!("15102={}", echo.address);
    let annotations =
        json!({ "squall.dev/mode": "explicit", "squall.dev/log-format": "text", "squall.dev/ports": ports });
    let squall = started(&annotations);
    let mut client = RawClient::connect(squall.address("port-15102"));
    assert_eq!(client.send("GET /echo/y HTTP/1.1\r\nHost: b\r\n\r\n").answer().json()["target"], "/echo/y");
    let port: u16 = eventually("the address of telemetry", PATIENCE, || {
        let said = squall.said();
        said.split("http://[::1]:").nth(1)?.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
    });
    let telemetry = Api { address: ([127, 0, 0, 1], port).into() };
    assert_eq!((telemetry.get("/readyz").status, telemetry.get("/livez").status), (200, 200));
}

/// `squall-init` is run by hand here, without touching the network.
#[test]
fn what_is_redirected_is_what_the_annotations_say() {
    let pod = injected(&json!({
        "squall.dev/skip-outbound-ports": "5432,9000-9010", "squall.dev/skip-subnets": "10.96.0.0/12", "linkerd.io/inject": "enabled",
    }));
    let all = arguments(&pod, 0);
    assert_eq!(all[0], "net-init");
    let all: Vec<&str> = all.into_iter().chain(["--mode", "nft", "--simulate"]).collect();
    let done = crate::squall(&all, "");
    let rules = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{all:?}: {}", String::from_utf8_lossy(&done.stderr));
    for expected in ["65502", "2102", "5432", "9000-9010", "4140-4191", "10.96.0.0/12", "15101"] {
        assert!(rules.contains(expected), "{expected}: {all:?}\n{rules}");
    }
}
