//! `squall-kubernetes` as a controller: an API server in memory on one side, sidecars that only talk on the other.

#![expect(clippy::unwrap_used, reason = "tests")]

mod bounds;
mod experiments;
mod halts;
mod many;
mod real;
mod refusals;
mod rules;
mod troubles;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use squall_integration::kubernetes::{ApiServer, Follower, Manners, Operator, Token};
use squall_integration::{Authority, eventually};

/// The machine may be busy; everything here takes less than a second otherwise, beyond what a test waits for anyway.
const PATIENCE: Duration = Duration::from_secs(30);
/// The lease of most tests, and the shortest.
const LEASE: Duration = Duration::from_secs(5);

/// A cluster with a controller.
struct World {
    server: ApiServer,
    authority: Arc<Authority>,
    operator: Operator,
}

impl World {
    fn start(arguments: &[&str]) -> Self {
        let (server, authority) = (ApiServer::start(), Arc::new(Authority::new()));
        let operator = Operator::start(&server, &authority, &with_defaults(arguments));
        Self { server, authority, operator }
    }

    /// A sidecar in a pod of this name.
    fn follower(&self, namespace: &str, name: &str, manners: Manners) -> Follower {
        let token = format!("token-{namespace}-{name}");
        self.server.know(&token, Token::of_pod(namespace, name, &uid(namespace, name)));
        Follower::start(self.operator.https, &self.authority, &token, manners)
    }

    /// Sidecars `p0`, `p1` and so on of the namespace `shop`, all connected.
    fn followers(&self, n: u32) -> Vec<Follower> {
        let all: Vec<Follower> = (0..n).map(|n| self.follower("shop", &format!("p{n}"), Manners::default())).collect();
        eventually("orders for all", PATIENCE, || all.iter().all(|one| one.orders().is_some()).then_some(()));
        all
    }

    /// Restarts the controller; sidecars have to be told where it is.
    fn restart(&mut self, arguments: &[&str]) {
        self.operator = Operator::start(&self.server, &self.authority, &with_defaults(arguments));
    }
}

/// The shortest lease, and no bound of pods, unless a test says otherwise.
fn with_defaults<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    let defaults = [["--lease", "5s"], ["--max-pods-hit", "100"]];
    let missing = defaults.into_iter().filter(|[flag, _]| !arguments.contains(flag));
    missing.flatten().chain(arguments.iter().copied()).collect()
}

fn uid(namespace: &str, name: &str) -> String {
    format!("uid-{namespace}-{name}")
}

/// A FaultRule of the namespace `shop`.
fn rule(name: &str) -> (&str, &str, &str) {
    ("FaultRule", "shop", name)
}

/// Half of the requests are late, for this time.
fn late(ttl: &str) -> Value {
    json!({ "percentage": 50, "fault": { "delay": "2s" }, "match": { "cluster": "service-b" }, "ttl": ttl })
}

/// Waits until a sidecar follows these rules and no others.
fn until_rules(follower: &Follower, patience: Duration, names: &[&str]) {
    let mut last = Vec::new();
    let end = std::time::Instant::now() + patience;
    eventually(&format!("rules {names:?}"), patience * 2, || {
        last = follower.rules();
        assert!(std::time::Instant::now() < end, "not within {patience:?}: {names:?}, but {last:?}");
        (last == names).then_some(())
    });
}

/// A time in a status, as microseconds since some point of the day.
fn micros(time: &Value) -> u64 {
    let text = time.as_str().unwrap_or_else(|| panic!("no time: {time}"));
    let (_, clock) = text.trim_end_matches('Z').split_once('T').unwrap();
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let seconds = clock.split(':').fold(0, |sum, part| sum * 60 + part.parse::<u64>().unwrap());
    seconds * 1_000_000 + format!("{fraction:0<6}").parse::<u64>().unwrap()
}
