//! Clients that were not written here: what one call with each of them came to.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::programs::script;

/// Every call gives up after this long.
pub const PATIENCE: Duration = Duration::from_millis(1500);

/// What a call came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// As the client says it: an HTTP status, a gRPC status, the name of an exception, an exit code.
    pub code: String,
    /// From start to end.
    pub took: Duration,
    /// Bytes or messages that came.
    pub count: usize,
    /// Whether what came is what was sent.
    pub is_intact: bool,
    /// What the client printed, for whoever wants more of it.
    pub said: String,
}

/// One GET with curl; `arguments` choose the protocol. The code is the status, or `curl N` for its exit code.
///
/// # Panics
/// When curl does not run.
pub fn curl(url: &str, arguments: &[&str], expected: &[u8]) -> Outcome {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let body = directory.path().join("body");
    let patience = PATIENCE.as_secs_f64().to_string();
    let mut command = Command::new("curl");
    command
        .args(["-s", "-m", &patience, "-D", "-", "-w", "code %{http_code}", "-o"])
        .arg(&body)
        .args(arguments)
        .arg(url);
    let begin = Instant::now();
    let output = command.stdin(Stdio::null()).output().expect("curl runs");
    let took = begin.elapsed();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let status = said.rsplit_once("code ").map_or("", |(_, status)| status).to_owned();
    let code = match output.status.code() {
        Some(0) => status,
        other => format!("curl {}", other.unwrap_or(-1)),
    };
    let came = std::fs::read(&body).unwrap_or_default();
    Outcome { code, took, count: came.len(), is_intact: came == expected, said }
}

/// How curl ended that trusts only this authority, and what it said, the body first.
///
/// # Panics
/// When curl does not run.
pub fn curl_trusting(curl: &Path, authority: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(curl);
    command.args(["-sS", "-m", "10", "--cacert"]).arg(authority).args(arguments);
    let done = command.stdin(Stdio::null()).output().expect("curl runs");
    (done.status.code(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
}

/// One call with grpcio; the code is the gRPC status.
///
/// # Panics
/// When the client does not run.
pub fn grpc(python: &Path, address: SocketAddr, method: &str, size: usize) -> Outcome {
    let patience = PATIENCE.as_secs_f64().to_string();
    let size = size.to_string();
    let report = report(python, "grpc_peer.py", &["call", &address.to_string(), method, &patience, &size]);
    outcome(&report, report["code"].as_str().unwrap_or_default())
}

/// Five messages there and back with websockets; the code is `ok` or the exception.
///
/// # Panics
/// When the client does not run.
pub fn websocket(python: &Path, address: SocketAddr) -> Outcome {
    let patience = PATIENCE.as_secs_f64().to_string();
    let report = report(python, "websocket_peer.py", &["call", &format!("ws://{address}/"), &patience]);
    let error = report["error"].as_str().unwrap_or_default();
    outcome(&report, if error.is_empty() { "ok" } else { error })
}

/// Runs a script to its end; the JSON that it prints last.
///
/// # Panics
/// When it does not run.
pub fn report(python: &Path, name: &str, arguments: &[&str]) -> Value {
    let output = Command::new(python).arg(script(name)).args(arguments).stdin(Stdio::null()).output();
    let output = output.expect("the client runs");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{name} {arguments:?} said {output:?}: {e}"))
}

fn outcome(report: &Value, code: &str) -> Outcome {
    Outcome {
        code: code.to_owned(),
        took: Duration::from_secs_f64(report["seconds"].as_f64().unwrap_or_default()),
        count: usize::try_from(report["messages"].as_u64().unwrap_or_default()).unwrap_or_default(),
        is_intact: report["intact"] == true,
        said: report.to_string(),
    }
}

/// Writes and reads a value with redis-cli; the code is `ok`, or `exit N`. A client that hangs is ended.
///
/// # Panics
/// When redis-cli does not run.
pub fn redis(address: SocketAddr, value: &str) -> Outcome {
    let patience = PATIENCE.as_secs_f64().to_string();
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let begin = Instant::now();
    let mut command = Command::new("timeout");
    command.args([&patience, "redis-cli", "-h", &host, "-p", &port, "--raw", "ECHO", value]);
    let output = command.stdin(Stdio::null()).output().expect("redis-cli runs");
    let took = begin.elapsed();
    let came = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    let said = format!("{came} {}", String::from_utf8_lossy(&output.stderr));
    let failed = ["Error", "Could not connect", "ERR"].iter().any(|word| said.contains(word));
    let code = match output.status.code() {
        Some(0) if !failed => "ok".to_owned(),
        other => format!("exit {}", other.unwrap_or(-1)),
    };
    Outcome { code, took, count: came.len(), is_intact: came == value, said }
}

/// One statement with psql, as user `squall`; the code is `ok`, or `exit N`. A client that hangs is ended.
///
/// # Panics
/// When psql does not run.
pub fn postgres(psql: &Path, address: SocketAddr, statement: &str) -> Outcome {
    let patience = PATIENCE.as_secs_f64().to_string();
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let begin = Instant::now();
    let mut command = Command::new("timeout");
    command
        .arg(&patience)
        .arg(psql)
        .args(["-h", &host, "-p", &port, "-U", "squall", "-d", "postgres", "-AtXc", statement]);
    let output = command.stdin(Stdio::null()).output().expect("psql runs");
    let took = begin.elapsed();
    let code = match output.status.code() {
        Some(0) => "ok".to_owned(),
        other => format!("exit {}", other.unwrap_or(-1)),
    };
    let came = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    let said = format!("{came} {}", String::from_utf8_lossy(&output.stderr));
    Outcome { code, took, count: came.len(), is_intact: !came.is_empty(), said }
}
