//! A running `squall-kubernetes` that needs no cluster.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use squall_integration::wait::PATIENCE;
use squall_integration::{Api, Authority, eventually};

/// The binary: `SQUALL_KUBERNETES_BIN`, else that of the last build for development.
pub(crate) fn binary() -> PathBuf {
    let path = std::env::var_os("SQUALL_KUBERNETES_BIN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/squall-kubernetes"), PathBuf::from);
    assert!(path.exists(), "{} is not there: run `cargo build -p squall-kubernetes`", path.display());
    path
}

/// Stopped, by its id, when it goes out of scope.
pub(crate) struct Operator {
    child: Child,
    log: Arc<Mutex<String>>,
    pub(crate) https: SocketAddr,
    pub(crate) telemetry: SocketAddr,
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

impl Operator {
    /// Webhooks alone, with what the authority issued as `tls`.
    pub(crate) fn start(authority: &Authority, arguments: &[&str]) -> Self {
        authority.issue("tls");
        let files = ["tls.crt", "tls.key", "ca.crt"].map(|name| authority.file(name));
        let mut command = Command::new(binary());
        command.args(["run", "--only", "webhook", "--listen", "127.0.0.1:0", "--telemetry", "127.0.0.1:0"]);
        command.args(["--tls-cert", &files[0], "--tls-key", &files[1], "--tls-ca", &files[2]]).args(arguments);
        // Nothing of a cluster is near: there is no way to one.
        command.env("KUBECONFIG", "/nowhere").env_remove("POD_NAMESPACE").env_remove("KUBERNETES_SERVICE_HOST");
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (stderr, log) = (child.stderr.take().unwrap(), Arc::new(Mutex::new(String::new())));
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
        let (https, telemetry) = eventually("its addresses", PATIENCE, || {
            assert_eq!(operator.child.try_wait().unwrap(), None, "it ended: {}", operator.said());
            let said = operator.said();
            let of = |name: &str| said.split(name).nth(1)?.split_whitespace().next()?.parse().ok();
            Some((of("https=")?, of("telemetry=")?))
        });
        (operator.https, operator.telemetry) = (https, telemetry);
        operator
    }

    pub(crate) fn said(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its plain listener.
    pub(crate) fn plain(&self) -> Api {
        Api { address: self.telemetry }
    }

    /// The value of a metric with its labels.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = self.plain().get("/metrics").text().to_owned();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
        line.unwrap_or_else(|| panic!("{series} is not in\n{text}"))
    }

    /// Asks it to end, and waits for that.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let done = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status().unwrap();
        assert!(done.success());
        eventually("its end", PATIENCE * 2, || self.child.try_wait().unwrap())
    }
}
