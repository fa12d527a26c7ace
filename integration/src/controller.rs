//! A controller of sidecars that answers as a test says, well or badly, over TLS.

use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::Authority;
use crate::message::read_head;
use crate::wait::{PATIENCE, eventually};

/// How it answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Manner {
    /// As it should.
    Well,
    /// It takes connections, and not a byte more.
    Deaf,
    /// It takes questions, and answers none.
    Silent,
    /// It sends the half of each answer.
    Halved,
    /// It answers at once with this status and body.
    Status(u16, String),
    /// Nobody listens.
    Gone,
}

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    /// When it came.
    pub at: Instant,
    /// On which of the connections.
    pub connection: usize,
    /// The request line.
    pub line: String,
    /// The bearer token, if there was one.
    pub token: Option<String>,
    /// How the sidecar is, as it says.
    pub report: Value,
}

#[derive(Debug)]
struct State {
    manner: Manner,
    orders: Value,
    questions: Vec<Question>,
    answered: Vec<Instant>,
    n_connections: usize,
    sockets: Vec<TcpStream>,
    identity: Arc<ServerConfig>,
    /// Tells listeners of different lives apart.
    life: u64,
}

/// A controller, with the files that a sidecar needs to follow it.
#[derive(Debug)]
pub struct Controller {
    /// Where it listens.
    pub address: SocketAddr,
    files: tempfile::TempDir,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Controller {
    /// Answers well, with empty orders of this lease.
    ///
    /// # Panics
    /// When no socket or file can be had.
    pub fn start(lease: Duration) -> Self {
        let authority = Authority::new();
        let files = tempfile::tempdir().expect("a temporary directory can be made");
        std::fs::write(files.path().join("token"), "first\n").expect("a file can be written");
        std::fs::write(files.path().join("labels"), "app=\"service-a\"\ntier=\"back\"\n")
            .expect("a file can be written");
        let orders = json!({"revision": "empty", "lease_ms": u64::try_from(lease.as_millis()).expect("a short time")});
        let state = State {
            manner: Manner::Well,
            orders,
            questions: Vec::new(),
            answered: Vec::new(),
            n_connections: 0,
            sockets: Vec::new(),
            identity: identity(&authority),
            life: 0,
        };
        let shared = Arc::new((Mutex::new(state), Condvar::new()));
        let address = listen(SocketAddr::from(([127, 0, 0, 1], 0)), &shared, 0);
        let controller = Self { address, files, shared };
        controller.trust(&authority);
        controller
    }

    /// A file that the sidecar reads: `ca.crt`, `token` or `labels`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The flags of a sidecar that follows it.
    pub fn flags(&self) -> Vec<String> {
        let file = |flag: &str, name: &str| [flag.to_owned(), self.file(name).display().to_string()];
        let mut flags = vec!["--controller".to_owned(), self.url()];
        for (flag, name) in [("--controller-ca", "ca.crt"), ("--controller-token", "token"), ("--pod-labels", "labels")]
        {
            flags.extend(file(flag, name));
        }
        flags
    }

    /// Shows a certificate of this authority from the next connection on.
    pub fn become_one_of(&self, authority: &Authority) {
        self.state().identity = identity(authority);
    }

    /// Has the sidecar trust this authority.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn trust(&self, authority: &Authority) {
        let ca = std::fs::read(authority.path("ca.crt")).expect("an authority has a certificate");
        self.replace("ca.crt", &ca);
    }

    /// Replaces a file that the sidecar reads, in one step.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn replace(&self, name: &str, content: &[u8]) {
        let new = self.file("new");
        std::fs::write(&new, content).expect("a file can be written");
        std::fs::rename(new, self.file(name)).expect("a file can be replaced");
    }

    /// Orders this besides the lease; gives the moment.
    pub fn order(&self, revision: &str, orders: Value) -> Instant {
        let mut state = self.state();
        let lease = state.orders["lease_ms"].take();
        state.orders = orders;
        state.orders["lease_ms"] = lease;
        state.orders["revision"] = json!(revision);
        self.shared.1.notify_all();
        Instant::now()
    }

    /// Orders this, and waits until the sidecar says that it is in force.
    pub fn order_and_wait(&self, revision: &str, orders: Value) -> Question {
        self.order(revision, orders);
        self.followed(revision)
    }

    /// Waits until the sidecar says that these orders are in force.
    pub fn followed(&self, revision: &str) -> Question {
        self.until(&format!("orders {revision} are followed"), |report| report["following"] == revision)
    }

    /// Waits until the last report is as wanted.
    pub fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Question {
        eventually(what, PATIENCE * 2, || {
            let last = self.state().questions.last().cloned();
            last.filter(|question| wanted(&question.report))
        })
    }

    /// All questions so far.
    pub fn questions(&self) -> Vec<Question> {
        self.state().questions.clone()
    }

    /// When it answered last with orders.
    ///
    /// # Panics
    /// When it never did.
    pub fn last_answer(&self) -> Instant {
        *self.state().answered.last().expect("it has answered")
    }

    /// Answers so from now on; what is under way is cut off or left hanging, as it is said. Who answers well again has forgotten
    /// what was asked before. Gives the moment.
    pub fn be(&self, manner: Manner) -> Instant {
        let (was_gone, life) = {
            let mut state = self.state();
            let was_gone = state.manner == Manner::Gone;
            if manner == Manner::Gone {
                state.life += 1;
                for socket in state.sockets.drain(..) {
                    let _ = socket.shutdown(Shutdown::Both);
                }
            }
            if manner == Manner::Well {
                state.questions.clear();
            }
            state.manner = manner.clone();
            (was_gone, state.life)
        };
        self.shared.1.notify_all();
        let changed = Instant::now();
        match (was_gone, manner) {
            // One more connection wakes the one who listens.
            (false, Manner::Gone) => {
                eventually("the port is closed", PATIENCE, || TcpStream::connect(self.address).is_err().then_some(()));
            }
            (true, other) if other != Manner::Gone => {
                listen(self.address, &self.shared, life);
            }
            _ => {}
        }
        changed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared)
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // Its threads end with their connections.
        self.be(Manner::Gone);
    }
}

fn lock(shared: &(Mutex<State>, Condvar)) -> MutexGuard<'_, State> {
    shared.0.lock().unwrap_or_else(PoisonError::into_inner)
}

fn identity(authority: &Authority) -> Arc<ServerConfig> {
    authority.issue("controller");
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(authority.path("controller.crt")).expect("a file").collect();
    let key = PrivateKeyDer::from_pem_file(authority.path("controller.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has all versions")
        .with_no_client_auth()
        .with_single_cert(chain.expect("certificates"), key);
    Arc::new(config.expect("a pair that matches"))
}

fn listen(address: SocketAddr, shared: &Arc<(Mutex<State>, Condvar)>, life: u64) -> SocketAddr {
    let listener = eventually("the port is free", PATIENCE, || TcpListener::bind(address).ok());
    let address = listener.local_addr().expect("a bound socket has an address");
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let number = {
                let mut state = lock(&shared);
                if state.life != life || state.manner == Manner::Gone {
                    return;
                }
                state.n_connections += 1;
                state.sockets.extend(socket.try_clone());
                state.n_connections - 1
            };
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || serve(socket, number, &shared));
        }
    });
    address
}

/// Answers one question after the other; returns when the connection is to end.
fn serve(socket: TcpStream, number: usize, shared: &(Mutex<State>, Condvar)) -> Option<()> {
    wait_while(shared, |state| state.manner == Manner::Deaf);
    let session = ServerConnection::new(Arc::clone(&lock(shared).identity)).ok()?;
    socket.set_read_timeout(Some(PATIENCE * 6)).ok()?;
    let mut reader = BufReader::new(StreamOwned::new(session, socket));
    loop {
        let (line, headers) = read_head(&mut reader).ok().flatten()?;
        let field = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        let mut body = vec![0; field("content-length")?.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        let report: Value = serde_json::from_slice(&body).ok()?;
        let token = field("authorization").and_then(|text| text.strip_prefix("Bearer ").map(str::to_owned));
        let asked = Instant::now();
        let question = Question { at: asked, connection: number, line, token, report: report.clone() };
        lock(shared).questions.push(question);
        let end = asked + Duration::from_millis(report["wait_ms"].as_u64()?);
        let (status, body, is_whole) = answer(shared, &report["following"], end)?;
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
        let text = [head.as_bytes(), if is_whole { body.as_bytes() } else { &body.as_bytes()[..body.len() / 2] }];
        reader.get_mut().write_all(&text.concat()).ok()?;
        if !is_whole {
            wait_while(shared, |state| state.manner == Manner::Halved);
            return None;
        }
    }
}

/// Status, body, and whether all of it is sent; `None` when the connection is to end.
fn answer(shared: &(Mutex<State>, Condvar), following: &Value, end: Instant) -> Option<(u16, String, bool)> {
    let mut state = lock(shared);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match state.manner.clone() {
            Manner::Status(status, body) => return Some((status, body, true)),
            Manner::Halved => return Some((200, state.orders.to_string(), false)),
            Manner::Well if state.orders["revision"] != *following || left.is_zero() => {
                state.answered.push(Instant::now());
                return Some((200, state.orders.to_string(), true));
            }
            Manner::Gone => return None,
            Manner::Silent | Manner::Deaf => {
                drop(state);
                wait_while(shared, |state| matches!(state.manner, Manner::Silent | Manner::Deaf));
                return None;
            }
            Manner::Well => state = shared.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
        }
    }
}

fn wait_while(shared: &(Mutex<State>, Condvar), is_so: impl Fn(&mut State) -> bool) {
    drop(shared.1.wait_while(lock(shared), |state| is_so(state)).unwrap_or_else(PoisonError::into_inner));
}
