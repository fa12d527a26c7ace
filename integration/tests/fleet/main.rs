//! A sidecar that follows the orders of a controller.

#![expect(clippy::unwrap_used, reason = "tests")]

mod connection;
mod experiments;
mod halts;
mod rules;
mod silence;

use std::time::Duration;

use serde_json::{Value, json};
use squall_integration::origin::Origin;
use squall_integration::wait::PATIENCE;
use squall_integration::{Controller, RawClient, Settings, Squall, eventually};

/// Of most tests: long enough for a busy machine, short enough to be waited for.
const LEASE: Duration = Duration::from_secs(3);

/// A sidecar, what it stands before, and whom it follows.
struct World {
    squall: Squall,
    controller: Controller,
    _origin: Origin,
}

impl World {
    fn new(lease: Duration) -> Self {
        Self::with(lease, "", &[])
    }

    /// With more of a configuration, and more arguments.
    fn with(lease: Duration, rest: &str, arguments: &[&str]) -> Self {
        let (origin, controller) = (Origin::ok(), Controller::start(lease));
        let settings = Settings::http(origin.address).with(rest);
        let flags = controller.flags();
        let arguments: Vec<&str> = flags.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        Self { squall: Squall::start_with(&settings, &arguments), controller, _origin: origin }
    }

    /// The status of a call.
    fn call(&self, path: &str) -> u16 {
        RawClient::connect(self.squall.to_b()).patience(PATIENCE * 2).get(path).status
    }

    fn status(&self) -> Value {
        self.squall.api().json("/v1/status")["controller"].clone()
    }

    /// The ordered rules that are in force.
    fn ordered(&self) -> Vec<String> {
        let rules = self.squall.api().json("/v1/rules");
        let ordered = rules["rules"].as_array().unwrap().iter().filter(|rule| rule["status"]["origin"] == "controller");
        ordered.map(|rule| rule["name"].as_str().unwrap().to_owned()).collect()
    }

    fn lost(&self) {
        eventually("the controller is taken for silent", LEASE * 4, || {
            (self.status()["connected"] == false).then_some(())
        });
    }
}

/// All requests for a path get this status.
fn abort(name: &str, path: &str, status: u16) -> Value {
    json!({"name": name, "match": {"path": path}, "percentage": 100, "fault": {"abort": status}})
}

/// How a rule, or an experiment, is in a report.
fn of<'a>(report: &'a Value, list: &str, name: &str) -> &'a Value {
    let all = report[list].as_array().unwrap();
    all.iter().find(|item| item["name"] == name).unwrap_or(&Value::Null)
}
