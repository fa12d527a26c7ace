//! A, B, Squall beside A, and callers of A; and the experiments that are run there from a command line.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use crate::service::{Caller, Callers, Manners, ServiceA, service_b};
use crate::{Settings, Squall};

/// Requests to A, so many a second.
const RATE: u32 = 200;

/// Everything that an experiment is about.
#[derive(Debug)]
pub struct Scene {
    /// The one beside A: listener `to-a` for A's callers, `to-b` for A's calls.
    pub squall: Squall,
    callers: Option<Callers>,
    runtime: Runtime,
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
        let inside = scene.runtime.enter();
        scene.callers = Some(Callers::start(to_a, RATE));
        drop(inside);
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
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let to_b = Arc::new(OnceCell::new());
        let (a, b) = runtime.block_on(async {
            let (b, _) = service_b(Duration::from_millis(1)).await;
            (ServiceA::start(Arc::clone(&to_b), manners).await, b)
        });
        let settings = Settings::new()
            .listener_with("to-a", "http", "service-a", "direction: inbound")
            .cluster("service-a", "http1", &[a.address])
            .listener("to-b", "http", "service-b")
            .cluster("service-b", "http1", &[b]);
        let squall = Squall::start_with(&settings, arguments);
        to_b.set(Caller::new(squall.to_b())).expect("B is named once");
        Self { squall, callers: None, runtime }
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
