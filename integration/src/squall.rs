//! A running `squall` with a configuration of its own, stopped when it goes out of scope.

use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::api::Api;
use crate::settings::Settings;
use crate::wait::{PATIENCE, eventually, pause};

/// The binary under test: `SQUALL_BIN`, else `target/release/squall` of this workspace.
///
/// # Panics
/// When it is not there, with the command that makes it.
pub fn binary() -> PathBuf {
    let path = std::env::var_os("SQUALL_BIN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/squall"), PathBuf::from);
    assert!(path.exists(), "{} is not there: run `cargo build --release -p squall`", path.display());
    path
}

/// A command of the binary under test, with none of the caller's `SQUALL_*` and `OTEL_*` settings.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os().filter(|(n, _)| is_setting(&n.to_string_lossy())) {
        command.env_remove(name);
    }
    command.args(arguments).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

fn is_setting(variable: &str) -> bool {
    variable.starts_with("SQUALL_") || variable.starts_with("OTEL_")
}

/// Puts a copy of the binary under test where another user can run it.
///
/// # Panics
/// When that is not possible.
pub fn copy(to: &Path) {
    // By another process: a program that this one has open for writing cannot be run, and a child that is being forked in
    // this moment keeps it open.
    let done = Command::new("cp").arg(binary()).arg(to).status();
    assert!(done.is_ok_and(|status| status.success()), "the binary cannot be copied to {}", to.display());
}

/// Runs a command that ends by itself.
///
/// # Panics
/// When it cannot be started.
pub fn output(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the binary can be started")
}

/// `squall run` in a directory of its own.
#[derive(Debug)]
pub struct Squall {
    child: Child,
    directory: tempfile::TempDir,
    log: Arc<Mutex<String>>,
    /// Unless it is a Unix socket.
    control: Option<SocketAddr>,
}

impl Squall {
    /// Starts with these settings and waits until it is ready.
    ///
    /// # Panics
    /// When it does not get ready, with what it said.
    pub fn start(settings: &Settings) -> Self {
        Self::start_with(settings, &[])
    }

    /// Starts with more arguments.
    ///
    /// # Panics
    /// When it does not get ready, with what it said.
    pub fn start_with(settings: &Settings, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        std::fs::write(directory.path().join("squall.yaml"), settings.text()).expect("the file can be written");
        Self::start_in(directory, arguments)
    }

    /// Starts with its state in this directory, and is killed when it goes out of scope.
    ///
    /// # Panics
    /// As [`Squall::start`].
    pub fn start_keeping(settings: &Settings, state: &Path) -> Self {
        Self::start_with(settings, &["--state-dir", state.to_str().expect("a path in UTF-8")])
    }

    /// Starts with these environment variables.
    ///
    /// # Panics
    /// When it does not get ready, with what it said.
    pub fn start_under(settings: &Settings, variables: &[(&str, &str)], arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        std::fs::write(directory.path().join("squall.yaml"), settings.text()).expect("the file can be written");
        Self::start_by(directory, |command| {
            command.args(arguments).envs(variables.iter().copied());
        })
    }

    /// Starts in a directory that holds a `squall.yaml`.
    ///
    /// # Panics
    /// When it does not get ready, with what it said.
    pub fn start_in(directory: tempfile::TempDir, arguments: &[&str]) -> Self {
        Self::start_by(directory, |command| {
            command.args(arguments);
        })
    }

    /// Starts without a file, with these arguments; the system chooses the port of the control API.
    ///
    /// # Panics
    /// When it does not get ready, with what it said.
    pub fn start_without_file(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let mut command = command(&["run", "--control", "127.0.0.1:0"]);
        command.args(arguments);
        Self::launch(directory, command)
    }

    /// Starts with this configuration as another user, who gets a binary of its own.
    ///
    /// # Panics
    /// When it does not get ready, with what it said.
    pub fn start_as(uid: u32, text: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let here = directory.path().to_owned();
        let (own, all) = (here.join("squall"), std::fs::Permissions::from_mode(0o755));
        copy(&own);
        std::fs::write(here.join("squall.yaml"), text).expect("the file can be written");
        std::fs::set_permissions(&here, all).expect("root owns it");
        Self::start_by(directory, |command| {
            let (id, program) = (uid.to_string(), Command::new("setpriv"));
            let before = std::mem::replace(command, program);
            command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).arg(own).args(before.get_args());
            command.current_dir(&here).stdin(Stdio::null());
            for (name, value) in before.get_envs() {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
        })
    }

    fn start_by(directory: tempfile::TempDir, adapt: impl FnOnce(&mut Command)) -> Self {
        let mut command = command(&["run", "-c"]);
        command.arg(directory.path().join("squall.yaml"));
        adapt(&mut command);
        Self::launch(directory, command)
    }

    fn launch(directory: tempfile::TempDir, mut command: Command) -> Self {
        let mut child = command
            .current_dir(directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = Arc::new(Mutex::new(String::new()));
        keep(child.stderr.take().expect("stderr is a pipe"), Arc::clone(&log));
        keep(child.stdout.take().expect("stdout is a pipe"), Arc::clone(&log));
        // Made before it is waited for, so that one that does not get ready is stopped, too.
        let mut squall = Self { child, directory, log, control: None };
        let (scheme, address) = eventually("the control address on standard error", PATIENCE, || {
            if let Some(status) = squall.child.try_wait().expect("a child can be asked") {
                panic!("squall ended with {status}:\n{}", squall.said());
            }
            control_address(&squall.said())
        });
        squall.control = address;
        if scheme != "http" {
            // Under TLS and on sockets the test itself calls; what was said comes when everything is bound.
            return squall;
        }
        eventually("readyz", PATIENCE, || (squall.api().get("/readyz").status == 200).then_some(()));
        squall
    }

    /// Its control API.
    ///
    /// # Panics
    /// When that is a Unix socket.
    pub fn api(&self) -> Api {
        Api { address: self.control.expect("the control API has an address") }
    }

    /// Toxiproxy's API, where the settings turn it on.
    pub fn toxiproxy(&self) -> Api {
        let address = eventually("the address of Toxiproxy's API on standard error", PATIENCE, || {
            let said = self.said();
            let line = said.lines().find(|line| line.trim_start().starts_with("toxiproxy "))?;
            line.split("http://").nth(1)?.trim().parse().ok()
        });
        Api { address }
    }

    /// Where a listener really listens, from `GET /v1/status`.
    ///
    /// # Panics
    /// When there is no such listener.
    pub fn address(&self, listener: &str) -> SocketAddr {
        // The configuration names a new listener a moment before it listens.
        eventually(&format!("an address of {listener}"), PATIENCE, || {
            let status = self.api().json("/v1/status");
            let all = status["listeners"].as_array()?;
            all.iter().find(|l| l["name"] == listener)?["address"].as_str()?.parse().ok()
        })
    }

    /// Where the usual listener `to-b` listens.
    pub fn to_b(&self) -> SocketAddr {
        self.address("to-b")
    }

    /// How each endpoint of the first cluster is, as `GET /v1/status` says.
    pub fn health(&self) -> Vec<String> {
        let status = self.api().json("/v1/status");
        let endpoints = status["clusters"][0]["endpoints"].as_array().cloned().unwrap_or_default();
        endpoints.iter().map(|endpoint| endpoint["health"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The directory that it runs in.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its configuration file.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("squall.yaml")
    }

    /// What it said so far, on both outputs.
    pub fn said(&self) -> String {
        text_of(&self.log)
    }

    /// Waits until it has said this: the log is written by a thread that has its own pace.
    ///
    /// # Panics
    /// When it does not, with what it said.
    pub fn says(&self, words: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.said().contains(words) {
            assert!(Instant::now() < end, "{words:?} is not in:\n{}", self.said());
            pause(Duration::from_millis(5));
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name, as in `TERM`.
    ///
    /// # Panics
    /// When there is no such process.
    pub fn signal(&self, name: &str) {
        let done = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(done.is_ok_and(|status| status.success()), "signal {name} was not taken");
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// When it does not end in time, with what it said.
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        eventually("the end of squall", patience, || self.child.try_wait().expect("a child can be asked"))
    }

    /// Whether it is still running.
    ///
    /// # Panics
    /// When the system does not say.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }
}

impl Drop for Squall {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let said = self.said();
            let tail: Vec<&str> = said.lines().rev().take(40).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            let _ = writeln!(std::io::stderr(), "--- squall said (last lines) ---\n{}\n---", tail.join("\n"));
        }
    }
}

/// Keeps reading lines, so that the program never waits for a full pipe.
fn keep(stream: impl Read + Send + 'static, log: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            log.push_str(&line);
            log.push('\n');
        }
    });
}

fn text_of(log: &Mutex<String>) -> String {
    log.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
}

/// The scheme of the control API and its address, in the first line that speaks of the API and where it is called.
fn control_address(text: &str) -> Option<(&'static str, Option<SocketAddr>)> {
    let scheme_of = |line: &str| ["http://", "https://", "unix:"].into_iter().find(|scheme| line.contains(*scheme));
    let (line, scheme) = text.lines().filter(|l| l.contains("control ")).find_map(|l| Some((l, scheme_of(l)?)))?;
    if scheme == "unix:" {
        return Some(("unix", None));
    }
    let rest = line.split(scheme).nth(1)?;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || ".:[]".contains(c))).unwrap_or(rest.len());
    Some((scheme.trim_end_matches("://"), Some(rest[..end].parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_does_not_get_ready_is_stopped() {
        let (directory, told) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = told.path().join("pid");
        let never_ready = |command: &mut Command| {
            *command = Command::new("sh");
            command.args(["-c", "echo $$ >\"$0\"; exec sleep 100"]).arg(&file);
        };
        let start = std::panic::AssertUnwindSafe(|| Squall::start_by(directory, never_ready));
        assert!(std::panic::catch_unwind(start).is_err());
        let pid: u32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        assert!(!Path::new("/proc").join(pid.to_string()).exists(), "process {pid} is still there");
    }
}
