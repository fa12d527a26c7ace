//! A, B, Squall beside A, and callers of A; and the experiments that are run there from a command line.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use crate::service::{Caller, Callers, Manners, ServiceA, service_b};
use crate::{Settings, Squall};

/// Requests to A, so many a second.
const RATE: u32 = 200;

/// A, whichever Squall stands beside it.
#[derive(Debug)]
pub struct LoneA {
    /// Where it listens.
    pub address: SocketAddr,
    to_b: Arc<OnceCell<Caller>>,
    callers: Option<Callers>,
    runtime: Runtime,
}

impl LoneA {
    /// It behaves like this; it calls nobody yet, and nobody calls it.
    ///
    /// # Panics
    /// When it does not start.
    pub fn new(manners: Manners) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let to_b = Arc::default();
        let address = runtime.block_on(ServiceA::start(Arc::clone(&to_b), manners)).address;
        Self { address, to_b, callers: None, runtime }
    }

    /// From now on it calls B there.
    ///
    /// # Panics
    /// When that was said before.
    pub fn calls(&self, to_b: SocketAddr) {
        self.to_b.set(Caller::new(to_b)).expect("B is named once");
    }

    /// From now on it is called there so often a second, until it is left alone.
    pub fn is_called(&mut self, to_a: SocketAddr, rate: u32) {
        let _inside = self.runtime.enter();
        self.callers = Some(Callers::start(to_a, rate));
    }

    /// Nobody calls it any more.
    pub fn is_left_alone(&mut self) {
        self.callers = None;
    }
}

/// Everything that an experiment is about.
#[derive(Debug)]
pub struct Scene {
    /// The one beside A: listener `to-a` for A's callers, `to-b` for A's calls.
    pub squall: Squall,
    a: LoneA,
}

impl Scene {
    /// With an A that behaves like this, and callers.
    ///
    /// # Panics
    /// When something does not start.
    pub fn new(manners: Manners) -> Self {
        Self::under(manners, &[])
    }

    /// With an A that behaves like this, callers, and more arguments for Squall.
    ///
    /// # Panics
    /// When something does not start.
    pub fn under(manners: Manners, arguments: &[&str]) -> Self {
        let mut scene = Self::without_callers(manners, arguments);
        let to_a = scene.squall.address("to-a");
        scene.a.is_called(to_a, RATE);
        scene
    }

    /// Nobody calls A.
    ///
    /// # Panics
    /// When something does not start.
    pub fn quiet(manners: Manners) -> Self {
        Self::without_callers(manners, &[])
    }

    fn without_callers(manners: Manners, arguments: &[&str]) -> Self {
        let a = LoneA::new(manners);
        let (b, _) = a.runtime.block_on(service_b(Duration::from_millis(1)));
        let settings = Settings::new()
            .listener_with("to-a", "http", "service-a", "direction: inbound")
            .cluster("service-a", "http1", &[a.address])
            .listener("to-b", "http", "service-b")
            .cluster("service-b", "http1", &[b]);
        let squall = Squall::start_with(&settings, arguments);
        a.calls(squall.to_b());
        Self { squall, a }
    }

    /// Writes a document beside the configuration of Squall; gives its path.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, document: &Value) -> String {
        let path = self.squall.directory().join(name);
        std::fs::write(&path, document.to_string()).expect("a file can be written");
        path.display().to_string()
    }
}

/// The experiment of the README, with these times in milliseconds and this rule.
pub fn slow_b(name: &str, (baseline, hold): (u64, u64), rule: &Value) -> Value {
    let mut rule = rule.clone();
    rule["name"] = json!(format!("{name}-rule"));
    rule["match"] = json!({"cluster": "service-b"});
    json!({
        "apiVersion": "squall.dev/v1alpha1", "kind": "Experiment", "metadata": {"name": name},
        "spec": {
            "hypothesis": "A stays within its steady state when calls to B are slow",
            "steady_state": [
                {"name": "in-time", "condition": {"metric": "p99", "direction": "inbound", "below": "500ms"}},
                {"name": "no-errors", "condition": {"metric": "error_rate", "direction": "inbound", "below": "1%"}},
            ],
            "baseline": format!("{baseline}ms"),
            "method": [{"name": "slow", "rules": [rule], "hold": format!("{hold}ms")}],
            "recovery": "3s",
            "minimum_requests": 50,
            "fallback": {"header": "x-source", "value": "cache"},
        }
    })
}
