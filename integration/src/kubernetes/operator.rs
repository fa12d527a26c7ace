//! A running `squall-kubernetes`, stopped when it goes out of scope.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::server::ApiServer;
use crate::api::Api;
use crate::certs::Authority;
use crate::wait::{PATIENCE, eventually};

/// The binary under test: `SQUALL_KUBERNETES_BIN`, else that of the last build for development.
///
/// # Panics
/// When it is not there, with the command that makes it.
pub fn binary() -> PathBuf {
    let path = std::env::var_os("SQUALL_KUBERNETES_BIN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/squall-kubernetes"), PathBuf::from);
    assert!(path.exists(), "{} is not there: run `cargo build -p squall-kubernetes`", path.display());
    path
}

/// A running one: with the controller of an [`ApiServer`], or with webhooks alone.
#[derive(Debug)]
pub struct Operator {
    child: Child,
    log: Arc<Mutex<String>>,
    /// Where sidecars ask.
    pub https: SocketAddr,
    /// Where its health and metrics are.
    pub telemetry: SocketAddr,
}

impl Operator {
    /// Starts with what the authority issued as `operator`, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not get ready, with what it said.
    pub fn start(server: &ApiServer, authority: &Authority, arguments: &[&str]) -> Self {
        let operator = Self::launch(server, authority, arguments);
        eventually("readyz of the controller", PATIENCE, || {
            (operator.plain().get("/readyz").status == 200).then_some(())
        });
        operator
    }

    /// Starts, and waits until it listens.
    ///
    /// # Panics
    /// When it ends, with what it said.
    pub fn launch(server: &ApiServer, authority: &Authority, arguments: &[&str]) -> Self {
        Self::spawn(&server.kubeconfig(), authority, arguments)
    }

    /// Starts webhooks alone, with no way to any API server.
    ///
    /// # Panics
    /// When it ends, with what it said.
    pub fn webhooks(authority: &Authority, arguments: &[&str]) -> Self {
        Self::spawn(Path::new("/nowhere"), authority, &[&["--only", "webhook"], arguments].concat())
    }

    /// With what the authority issues as `operator`.
    fn spawn(kubeconfig: &Path, authority: &Authority, arguments: &[&str]) -> Self {
        authority.issue("operator");
        let files = ["operator.crt", "operator.key", "ca.crt"].map(|name| authority.file(name));
        let mut command = Command::new(binary());
        command.args(["run", "--listen", "127.0.0.1:0", "--telemetry", "127.0.0.1:0"]);
        command.args(["--tls-cert", &files[0], "--tls-key", &files[1], "--tls-ca", &files[2]]).args(arguments);
        command.env("KUBECONFIG", kubeconfig).env_remove("POD_NAMESPACE").env_remove("KUBERNETES_SERVICE_HOST");
        let spawned = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.expect("the binary starts");
        let (stderr, log) = (child.stderr.take().expect("stderr is a pipe"), Arc::new(Mutex::new(String::new())));
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut operator = Self { child, log, https: nowhere, telemetry: nowhere };
        let (https, telemetry) = eventually("the addresses of the controller", PATIENCE, || {
            let ended = operator.child.try_wait().expect("a child can be asked");
            assert_eq!(ended, None, "it ended: {}", operator.said());
            let said = operator.said();
            let of = |name: &str| said.split(name).nth(1)?.split_whitespace().next()?.parse().ok();
            Some((of("https=")?, of("telemetry=")?))
        });
        (operator.https, operator.telemetry) = (https, telemetry);
        operator
    }

    /// What it said so far.
    pub fn said(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its plain listener.
    pub fn plain(&self) -> Api {
        Api { address: self.telemetry }
    }

    /// The value of a metric with its labels.
    ///
    /// # Panics
    /// When there is none.
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.plain().get("/metrics").text();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("{series} is not in\n{text}"))
    }

    /// Asks it to end.
    ///
    /// # Panics
    /// When it is gone.
    pub fn ask_to_end(&self) {
        let done = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        assert!(done.is_ok_and(|status| status.success()), "it does not take signals");
    }

    /// Asks it to end, and waits for that; gives what it said.
    ///
    /// # Panics
    /// When it does not end.
    pub fn end(mut self) -> String {
        self.ask_to_end();
        let ended = eventually("the end of the controller", Duration::from_secs(20), || {
            self.child.try_wait().expect("a child can be asked")
        });
        assert!(ended.success(), "{ended}: {}", self.said());
        self.said()
    }

    /// Ends it on the spot.
    ///
    /// # Panics
    /// When it is gone.
    pub fn kill(mut self) {
        self.child.kill().expect("it is there");
        let _ = self.child.wait();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "--- squall-kubernetes said ---\n{}---", self.said());
        }
    }
}
