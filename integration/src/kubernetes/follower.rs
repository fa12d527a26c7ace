//! A sidecar that only talks: it follows orders by saying so, and drops them when nobody renews its lease.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::certs::{Authority, TlsClient, TlsOptions};
use crate::message::Answer;
use crate::wait::pause;

/// After an answer that is none.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// One report to a controller, and its answer.
///
/// # Errors
/// No connection, or none that lives until the answer.
pub fn ask(address: SocketAddr, authority: &Authority, token: &str, report: &Value) -> std::io::Result<Answer> {
    let mut client = TlsClient::connect(address, authority, &TlsOptions::default())?;
    post(&mut client, token, report)
}

fn post(client: &mut TlsClient, token: &str, report: &Value) -> std::io::Result<Answer> {
    let body = report.to_string();
    let head = format!(
        "POST /v1/sidecars HTTP/1.1\r\nHost: squall\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    // Who answers before all of it was read may close, and has answered all the same.
    let sent = client.try_send(head + &body);
    client.answer().map_err(|unanswered| sent.err().unwrap_or(unanswered))
}

/// How a follower behaves.
#[derive(Clone, Debug, Default)]
pub struct Manners {
    /// The labels of its pod.
    pub labels: BTreeMap<String, String>,
    /// What it says of each ordered rule: matched and injected.
    pub counts: (u64, u64),
    /// What keeps it from following rules.
    pub problem: Option<String>,
    /// What becomes of experiments: `held`, `failed` or `inconclusive` at once; `None` is never.
    pub verdict: Option<String>,
}

impl Manners {
    /// With this label.
    pub fn labelled(key: &str, value: &str) -> Self {
        Self { labels: BTreeMap::from([(key.to_owned(), value.to_owned())]), ..Self::default() }
    }
}

/// What a follower remembers.
#[derive(Clone, Debug, Default)]
struct Memory {
    manners: Manners,
    address: Option<SocketAddr>,
    /// What it follows; `None` when that has ended.
    orders: Option<Value>,
    renewed: Option<Instant>,
    /// When it took its present orders.
    taken: Option<Instant>,
    /// The statuses of answers that were none.
    refusals: Vec<u16>,
    n_answers: usize,
    /// Every run of an experiment that it was ordered.
    runs: Vec<String>,
}

/// A running follower. It ends when it goes out of scope.
#[derive(Debug)]
pub struct Follower {
    memory: Arc<Mutex<Memory>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Asks the controller at this address, by a token that its API server knows.
    pub fn start(address: SocketAddr, authority: &Arc<Authority>, token: &str, manners: Manners) -> Self {
        let memory = Arc::new(Mutex::new(Memory { manners, address: Some(address), ..Memory::default() }));
        let stop = Arc::new(AtomicBool::new(false));
        let (own, authority, token, end) =
            (Arc::clone(&memory), Arc::clone(authority), token.to_owned(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || live(&own, &authority, &token, &end));
        Self { memory, stop, thread: Some(thread) }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        lock(&self.memory)
    }

    /// From now on the controller is there.
    pub fn turn_to(&self, address: SocketAddr) {
        self.memory().address = Some(address);
    }

    /// From now on it behaves so.
    pub fn behave(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut self.memory().manners);
    }

    /// The names of the rules that it follows.
    pub fn rules(&self) -> Vec<String> {
        let memory = self.memory();
        let rules = memory.orders.as_ref().and_then(|orders| orders["rules"].as_array());
        rules.into_iter().flatten().filter_map(|rule| rule["name"].as_str().map(str::to_owned)).collect()
    }

    /// What it follows.
    pub fn orders(&self) -> Option<Value> {
        self.memory().orders.clone()
    }

    /// Why it has halted.
    pub fn halt(&self) -> Option<String> {
        self.memory().orders.as_ref()?["halt"].as_str().map(str::to_owned)
    }

    /// When it took its present orders.
    pub fn taken(&self) -> Option<Instant> {
        self.memory().taken
    }

    /// The runs of experiments that it was ordered, each once.
    pub fn runs(&self) -> Vec<String> {
        self.memory().runs.clone()
    }

    /// The statuses of answers that were no orders, so far.
    pub fn refusals(&self) -> Vec<u16> {
        self.memory().refusals.clone()
    }

    /// How many answers were orders.
    pub fn n_answers(&self) -> usize {
        self.memory().n_answers
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It is in the middle of a question for some seconds; nobody waits for that.
        self.stop.store(true, Ordering::Relaxed);
        drop(self.thread.take());
    }
}

fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

fn live(memory: &Mutex<Memory>, authority: &Authority, token: &str, stop: &AtomicBool) {
    let mut connection: Option<(SocketAddr, TlsClient)> = None;
    while !stop.load(Ordering::Relaxed) {
        let (report, address) = {
            let memory = &mut *lock(memory);
            (memory.report(), memory.address)
        };
        let Some(address) = address else { return };
        if connection.as_ref().is_none_or(|(to, _)| *to != address) {
            connection = TlsClient::try_connect(address, authority).ok().map(|client| (address, client));
        }
        let answer = connection.as_mut().and_then(|(_, client)| post(client, token, &report).ok());
        let is_good = lock(memory).take(answer.as_ref());
        if answer.is_none() {
            connection = None;
        }
        if !is_good {
            pause(RETRY_AFTER);
        }
    }
}

impl Memory {
    fn report(&mut self) -> Value {
        self.expire();
        let Manners { labels, counts, problem, verdict } = &self.manners;
        let of = |field: &str| {
            let orders = self.orders.as_ref().and_then(|orders| orders[field].as_array());
            orders.into_iter().flatten().cloned().collect::<Vec<Value>>()
        };
        let rule = |rule: &Value| json!({ "name": rule["name"], "matched": counts.0, "injected": counts.1, "problem": problem });
        let experiment = |order: &Value| {
            let phase = if verdict.is_some() { "done" } else { "injecting" };
            let name = &order["document"]["metadata"]["name"];
            json!({ "name": name, "phase": phase, "verdict": verdict, "reasons": ["as the test wants it"], "injected": counts.1 })
        };
        json!({
            "version": "0.0.0",
            "labels": labels,
            "following": self.orders.as_ref().map(|orders| orders["revision"].clone()),
            "wait_ms": 5000,
            "halted": self.orders.as_ref().map(|orders| orders["halt"].clone()),
            "rules": of("rules").iter().map(rule).collect::<Vec<Value>>(),
            "experiments": of("experiments").iter().map(experiment).collect::<Vec<Value>>(),
        })
    }

    /// Whether it got orders.
    fn take(&mut self, answer: Option<&Answer>) -> bool {
        self.expire();
        let Some(answer) = answer else { return false };
        if answer.status != 200 {
            self.refusals.push(answer.status);
            return false;
        }
        let orders = answer.json();
        let is_other = self.orders.as_ref().is_none_or(|before| before["revision"] != orders["revision"]);
        for run in orders["experiments"].as_array().into_iter().flatten().filter_map(|order| order["run"].as_str()) {
            if !self.runs.iter().any(|known| known == run) {
                self.runs.push(run.to_owned());
            }
        }
        let now = Instant::now();
        (self.renewed, self.n_answers) = (Some(now), self.n_answers + 1);
        if is_other {
            self.taken = Some(now);
        }
        self.orders = Some(orders);
        true
    }

    /// Without an answer for a lease, what was ordered ends.
    fn expire(&mut self) {
        let lease = self.orders.as_ref().and_then(|orders| orders["lease_ms"].as_u64()).map(Duration::from_millis);
        if lease.zip(self.renewed).is_some_and(|(lease, renewed)| renewed.elapsed() > lease) {
            self.orders = None;
        }
    }
}
