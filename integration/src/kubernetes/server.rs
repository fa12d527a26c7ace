//! The API server: plain HTTP/1.1, a thread for each connection.

use std::io::{BufReader, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::admission::Webhook;
use super::answer::{Answered, failure, status};
use super::call::Call;
use super::place::Place;
use super::routes::answer;
use super::selector::Selector;
use super::state::{Shared, Trouble};
use super::store::Store;
use super::table;
use crate::certs::Authority;
use crate::wait::pause;

/// A running API server. It ends when it goes out of scope.
#[derive(Debug)]
pub struct ApiServer {
    /// Where it listens.
    pub address: SocketAddr,
    directory: tempfile::TempDir,
    pub(super) shared: Arc<Shared>,
}

impl Default for ApiServer {
    fn default() -> Self {
        Self::start()
    }
}

impl ApiServer {
    /// An empty one.
    ///
    /// # Panics
    /// When no port or no file can be had.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let server = Self { address, directory, shared: Arc::default() };
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{ "name": "test", "cluster": { "server": format!("http://{address}") } }],
            "users": [{ "name": "test", "user": {} }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test", "namespace": "default" } }],
        });
        std::fs::write(server.kubeconfig(), config.to_string()).expect("a file can be written");
        let shared = Arc::clone(&server.shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut state = shared.state();
                if state.is_over {
                    return;
                }
                if state.trouble == Some(Trouble::Down) {
                    continue;
                }
                state.connections.extend(stream.try_clone());
                drop(state);
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || converse(&stream, &shared));
            }
        });
        server
    }

    /// The file for `KUBECONFIG`.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// Webhooks that objects configure are here from now on, with a certificate of this authority.
    pub fn webhooks_at(&self, address: SocketAddr, authority: &Arc<Authority>) {
        self.shared.state().webhook = Some(Webhook { address, authority: Arc::clone(authority) });
    }

    /// Something goes wrong from now on, or no more. What is open is cut.
    pub fn trouble(&self, trouble: Option<Trouble>) {
        let mut state = self.shared.state();
        state.trouble = trouble;
        if trouble.is_some() {
            state.cut += 1;
            for stream in state.connections.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Ends all watches, in the middle.
    pub fn cut_watches(&self) {
        self.shared.state().cut += 1;
        self.shared.changed.notify_all();
    }

    /// Forgets what has happened, and ends all watches: those that begin where they were are told 410.
    pub fn forget_history(&self) {
        self.shared.state().store.forget();
        self.cut_watches();
    }

    /// Patches are answered so long after they have been done.
    pub fn answer_patches_after(&self, time: Duration) {
        self.shared.state().lateness = time;
    }

    /// So many patches that come next are answered with 409.
    pub fn conflict(&self, n: usize) {
        self.shared.state().conflicts = n;
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.shared.state().is_over = true;
        self.trouble(Some(Trouble::Down));
        // The loop of accept looks once more.
        let _ = TcpStream::connect(self.address);
    }
}

fn converse(stream: &TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(stream);
    while let Some(call) = Call::read(&mut reader) {
        let is_watch = call.query.get("watch").is_some_and(|value| value == "true" || value == "1");
        let trouble = {
            let mut state = shared.state();
            *state.calls.entry(format!("{} {}", call.method, call.path)).or_default() += 1;
            state.trouble
        };
        let done = match trouble {
            Some(Trouble::Answers(code)) => write(stream, &failure(code, "Trouble", "as the test wants it")),
            Some(Trouble::Down) => return,
            // Clients list then, and watch from there on.
            None if is_watch && call.query.contains_key("sendInitialEvents") => {
                write(stream, &failure(422, "Invalid", "sendInitialEvents is not known here"))
            }
            None if is_watch && watch(stream, &call, shared) => Ok(()),
            None if is_watch => return,
            None if call.is_about_schemas() => schemas(stream),
            None => {
                let (answer, lateness) = {
                    let mut state = shared.state();
                    (answer(&call, &mut state), state.lateness)
                };
                shared.changed.notify_all();
                if call.method == "PATCH" {
                    pause(lateness);
                }
                write(stream, &answer)
            }
        };
        if done.is_err() {
            return;
        }
    }
}

fn write(mut stream: &TcpStream, (code, body): &Answered) -> std::io::Result<()> {
    let body = body.to_string();
    write!(
        stream,
        "HTTP/1.1 {code} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// No schema at all, which is no byte of Protobuf: clients leave the checking to the server.
fn schemas(mut stream: &TcpStream) -> std::io::Result<()> {
    let kind = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: 0\r\n\r\n")
}

/// Tells changes from a version on, a line of JSON each, until the time is over. Whether the connection is still good: a watch
/// that is cut ends in the middle.
fn watch(mut stream: &TcpStream, call: &Call, shared: &Shared) -> bool {
    let Some(place) = Place::of(&call.path) else { return false };
    let mut version: u64 = call.query.get("resourceVersion").and_then(|text| text.parse().ok()).unwrap_or(0);
    let seconds = call.query.get("timeoutSeconds").and_then(|text| text.parse().ok()).unwrap_or(290);
    let end = Instant::now() + Duration::from_secs(seconds);
    let cut = shared.state().cut;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    if stream.write_all(head.as_bytes()).is_err() {
        return false;
    }
    loop {
        let state = shared.state();
        if state.cut != cut {
            let _ = stream.shutdown(Shutdown::Both);
            return false;
        }
        let is_over = Instant::now() >= end;
        let (lines, is_last) = news(&state.store, call, &place, version, is_over);
        version = state.store.version();
        if lines.is_empty() {
            let wait = end.saturating_duration_since(Instant::now()).min(Duration::from_millis(200));
            drop(shared.changed.wait_timeout(state, wait));
            continue;
        }
        drop(state);
        let chunk = |line: &String| format!("{:x}\r\n{line}\n\r\n", line.len() + 1);
        let mut text: String = lines.iter().map(chunk).collect();
        text.push_str(if is_last { "0\r\n\r\n" } else { "" });
        if stream.write_all(text.as_bytes()).is_err() {
            return false;
        }
        if is_last {
            return true;
        }
    }
}

/// What a watch tells next, and whether that is the last.
fn news(store: &Store, call: &Call, place: &Place, version: u64, is_over: bool) -> (Vec<String>, bool) {
    if version < store.forgotten {
        let gone = status(410, "Expired", "too old resource version");
        return (vec![json!({ "type": "ERROR", "object": gone }).to_string()], true);
    }
    let wanted = Selector::of(&call.query);
    let changes = store.history.iter().filter(|change| change.version > version && place.has(&change.key));
    let mut lines = Vec::new();
    for change in changes.filter(|change| wanted.takes(&change.object)) {
        let columns = if call.wants_table() { table::columns(store, &place.resource) } else { None };
        let object = columns.map(|columns| table::table(&columns, &[&change.object], change.version));
        let object = object.unwrap_or_else(|| change.object.clone());
        lines.push(json!({ "type": change.type_, "object": object }).to_string());
    }
    if is_over {
        let metadata = json!({ "resourceVersion": store.version().to_string() });
        let object = json!({ "kind": "Bookmark", "apiVersion": place.resource.api_version(), "metadata": metadata });
        lines.push(json!({ "type": "BOOKMARK", "object": object }).to_string());
    }
    (lines, is_over)
}
