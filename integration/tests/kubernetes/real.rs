//! The whole way: an object in the API server, the controller, a real Squall, and what a caller gets.

use std::time::{Duration, Instant};

use serde_json::json;
use squall_integration::kubernetes::Token;
use squall_integration::origin::Origin;
use squall_integration::{RawClient, Settings, Squall, eventually};

use super::{LEASE, PATIENCE, World, rule, uid};

/// A Squall in a pod of Service A or of another one.
struct Sidecar {
    squall: Squall,
    _origin: Origin,
    _files: tempfile::TempDir,
}

impl Sidecar {
    /// Follows the controller, with what a pod gets mounted.
    fn start(world: &World, name: &str, app: &str) -> Self {
        let token = format!("token-{name}");
        world.server.know(&token, Token::of_pod("shop", name, &uid("shop", name)));
        let files = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = files.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let (token, labels) = (file("token", &token), file("labels", &format!("app=\"{app}\"\n")));
        let (controller, ca) = (format!("https://{}", world.operator.https), world.authority.file("ca.crt"));
        let flags = [
            ["--controller", &controller],
            ["--controller-ca", &ca],
            ["--controller-token", &token],
            ["--pod-labels", &labels],
        ];
        let origin = Origin::ok();
        let squall = Squall::start_with(&Settings::http(origin.address), flags.as_flattened());
        Self { squall, _origin: origin, _files: files }
    }

    fn status(&self) -> u16 {
        RawClient::connect(self.squall.to_b()).get("/").status
    }

    /// Waits until calls get this status; gives when that was seen.
    fn until(&self, status: u16) -> Instant {
        eventually(&format!("calls to get {status}"), PATIENCE, || (self.status() == status).then_some(()));
        Instant::now()
    }
}

#[test]
fn a_rule_reaches_the_calls_of_its_pods_and_ends_whatever_ends_it() {
    let world = World::start(&[]);
    let (a, other) = (Sidecar::start(&world, "a-0", "service-a"), Sidecar::start(&world, "c-0", "service-c"));
    let of_a = json!({
        "pods": { "selector": { "matchLabels": { "app": "service-a" } } },
        "percentage": 100, "fault": { "abort": 418 }, "ttl": "10m",
    });
    assert_eq!((a.status(), other.status()), (200, 200));
    world.server.create(rule("teapot"), &of_a);
    a.until(418);
    assert_eq!(other.status(), 200, "it is not for this one");
    let injecting = world.server.until(rule("teapot"), PATIENCE, |rule| {
        rule["status"]["phase"] == "Injecting" && rule["status"]["injectedTotal"].as_u64() > Some(0)
    });
    assert_eq!((&injecting["status"]["matchedPods"], &injecting["status"]["hitPods"]), (&json!(1), &json!(1)));

    // The kill switch of the cluster is above what a sidecar has itself, too.
    other.squall.api().rule("own", &json!({ "percentage": 100, "fault": { "abort": 503 } }));
    other.until(503);
    world.server.create(("ClusterHalt", "", "now"), &json!({ "reason": "an incident" }));
    a.until(200);
    other.until(200);
    world.server.delete(("ClusterHalt", "", "now"));
    a.until(418);
    other.until(503);

    world.server.delete(rule("teapot"));
    a.until(200);

    // Nobody is there any more to end it.
    world.server.create(rule("teapot"), &of_a);
    a.until(418);
    let World { operator, .. } = world;
    let killed = Instant::now();
    operator.kill();
    let ended = a.until(200) - killed;
    assert!(ended <= LEASE + Duration::from_secs(1), "{ended:?} after the end of the controller");
    assert_eq!(other.status(), 503, "what is its own goes on");
}

#[test]
fn an_experiment_runs_in_its_pods_and_the_verdict_comes_back() {
    let world = World::start(&[]);
    let a = Sidecar::start(&world, "a-0", "service-a");
    a.until(200);
    let errors = json!({ "metric": "error_rate", "direction": "outbound", "below": "1%" });
    let late = json!({ "name": "late", "percentage": 100, "fault": { "delay": "1s" } });
    let spec = json!({
        "hypothesis": "nobody calls, and that is no success",
        "steady_state": [{ "name": "errors", "condition": errors }],
        "method": [{ "name": "late", "rules": [late], "hold": "1s" }],
        "baseline": "1s", "recovery": "1s",
    });
    let place = ("Experiment", "shop", "nobody");
    world.server.create(place, &spec);
    let done = world.server.until(place, PATIENCE * 2, |experiment| {
        experiment["status"]["verdict"].is_string() || experiment["status"]["phase"] == "Refused"
    });
    assert_eq!(done["status"]["verdict"], "inconclusive", "{}", done["status"]);
}
