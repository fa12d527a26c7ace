//! A, B, Squall beside A, and callers; and one experiment after the other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
pub(crate) use squall_integration::scene::slow_b;
use squall_integration::service::{Asked, Caller, Callers, Manners, ServiceA, service_b};
use squall_integration::{Settings, Squall};
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

/// Worlds at once, over all tests: they wait more than they work, but two cores have to be enough for their latencies.
static PLACES: Semaphore = Semaphore::const_new(6);

pub(crate) struct World {
    _place: SemaphorePermit<'static>,
    pub(crate) squall: Squall,
    pub(crate) inbound: SocketAddr,
    pub(crate) calls_of_b: Arc<AtomicU64>,
    pub(crate) asked: Arc<Asked>,
}

impl World {
    /// With A as it behaves; `bypass` is an A that does not call B through Squall.
    pub(crate) async fn new(manners: Manners, bypass: bool, arguments: &[&str]) -> Self {
        let _place = PLACES.acquire().await.unwrap();
        let (b, calls_of_b) = service_b(Duration::from_millis(1)).await;
        let to_b = Arc::new(OnceCell::new());
        let a = ServiceA::start(Arc::clone(&to_b), manners).await;
        let settings = Settings::new()
            .listener_with("to-a", "http", "service-a", "direction: inbound")
            .cluster("service-a", "http1", &[a.address])
            .listener("to-b", "http", "service-b")
            .cluster("service-b", "http1", &[b]);
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let squall = tokio::task::spawn_blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let squall = Squall::start_with(&settings, &arguments);
            let addresses = (squall.address("to-b"), squall.address("to-a"));
            (squall, addresses)
        });
        let (squall, addresses) = squall.await.unwrap();
        to_b.set(Caller::new(if bypass { b } else { addresses.0 })).unwrap();
        Self { _place, squall, inbound: addresses.1, calls_of_b, asked: a.asked }
    }

    /// Requests to A, so many a second.
    pub(crate) fn callers(&self, rate: u32) -> Callers {
        Callers::start(self.inbound, rate)
    }

    /// A call of the control API, off the runtime.
    pub(crate) async fn call(&self, method: &'static str, path: String, body: String) -> (u16, Value) {
        let api = self.squall.api();
        let answer = tokio::task::spawn_blocking(move || {
            let answer = api.call(method, &path, &[], &body);
            (answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
        });
        answer.await.unwrap()
    }

    pub(crate) async fn put(&self, document: &Value) {
        let name = document["metadata"]["name"].as_str().unwrap();
        let (status, answer) = self.call("PUT", format!("/v1/experiments/{name}"), document.to_string()).await;
        assert!(matches!(status, 200 | 201), "{answer:#}");
    }

    pub(crate) async fn start(&self, name: &str) {
        let (status, answer) = self.call("POST", format!("/v1/experiments/{name}/start"), String::new()).await;
        assert_eq!(status, 202, "{answer:#}");
    }

    pub(crate) async fn status(&self, name: &str) -> Value {
        self.call("GET", format!("/v1/experiments/{name}"), String::new()).await.1["status"].take()
    }

    /// Waits until the status is as wanted.
    pub(crate) async fn until(&self, name: &str, patience: Duration, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let status = self.status(name).await;
            if wanted(&status) {
                return status;
            }
            assert!(begun.elapsed() < patience, "{status:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The report of the last run, after its end.
    pub(crate) async fn report(&self, name: &str, patience: Duration) -> Value {
        self.until(name, patience, |status| !status["verdict"].is_null()).await;
        self.call("GET", format!("/v1/experiments/{name}/report"), String::new()).await.1
    }

    /// Puts an experiment there, runs it, gives its report.
    pub(crate) async fn run(&self, document: &Value, patience: Duration) -> Value {
        self.put(document).await;
        let name = document["metadata"]["name"].as_str().unwrap();
        self.start(name).await;
        self.report(name, patience).await
    }

    /// Names of the rules that are in force.
    pub(crate) async fn rules(&self) -> Vec<String> {
        let rules = self.call("GET", "/v1/rules".to_owned(), String::new()).await.1;
        let rules = rules["rules"].as_array().unwrap();
        rules.iter().map(|rule| rule["name"].as_str().unwrap().to_owned()).collect()
    }
}

/// Five percent of the calls take two seconds.
pub(crate) fn two_seconds() -> Value {
    json!({"percentage": 5, "fault": {"delay": "2s"}})
}
