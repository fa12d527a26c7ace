//! Containers as an engine runs them: images that Buildah builds from `Dockerfile`, processes in namespaces of their own.
//!
//! Buildah, and Podman with runc, without a daemon, on storage that ends with the test. Namespaces, seccomp, capabilities and mounts are those of
//! any OCI runtime, which `chroot` would not give. Storage of layers by copying (`vfs`) and cgroups without systemd also work
//! where the test itself is in a container.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::pods::within;
use crate::programs::find;
use crate::wait::{PATIENCE, eventually};

/// An engine with its own images and containers.
#[derive(Debug)]
pub struct Engine {
    buildah: PathBuf,
    podman: PathBuf,
    storage: tempfile::TempDir,
}

impl Engine {
    /// `None`, with a line that says which test is left out, when this user or this machine cannot.
    ///
    /// # Panics
    /// When no temporary directory can be made.
    pub fn new(test: &str) -> Option<Self> {
        let (buildah, podman) = (find("buildah", test)?, find("podman", test)?);
        find("runc", test)?;
        if !rustix::process::geteuid().is_root() {
            let _ = writeln!(std::io::stderr(), "left out: {test} needs root");
            return None;
        }
        Some(Self { buildah, podman, storage: tempfile::tempdir().expect("a temporary directory can be made") })
    }

    /// The engine with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.of_storage(&self.podman);
        command.arg("--tmpdir").arg(self.storage.path().join("tmp"));
        command.args(["--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "file"]).args(arguments);
        command
    }

    fn of_storage(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        for (option, folder) in [("--root", "root"), ("--runroot", "run")] {
            command.arg(option).arg(self.storage.path().join(folder));
        }
        command.args(["--storage-driver", "vfs"]).stdin(Stdio::null());
        command
    }

    /// Runs it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the engine can be started")
    }

    /// What it prints, when it has to succeed.
    ///
    /// # Panics
    /// When it does not.
    pub fn must(&self, arguments: &[&str]) -> String {
        succeeded(self.command(arguments))
    }

    /// Builds a target of the `Dockerfile` in `context`, or of what it says in `dockerfile`, and names it `tag`.
    ///
    /// # Panics
    /// When that does not succeed.
    pub fn build(&self, context: &Path, arguments: &[&str], tag: &str) {
        // OCI images have no health check. Nothing here needs a network, and no step runs anything.
        let fixed = ["build", "--format", "docker", "--isolation", "chroot", "--pull-never", "--tag", tag];
        let mut command = self.of_storage(&self.buildah);
        command.args(fixed).args(arguments).arg(context);
        succeeded(command);
    }

    /// What the engine knows of an image or a container.
    ///
    /// # Panics
    /// When there is none.
    pub fn inspect(&self, name: &str) -> Value {
        let all: Value = serde_json::from_str(&self.must(&["inspect", name])).expect("podman prints JSON");
        all[0].clone()
    }

    /// A container that has everything but has not begun to run its program.
    ///
    /// Its root is read-only, it has no capability, gets none, and reaches nothing but itself.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn prepare(&self, options: &[&str], image: &str, arguments: &[&str]) -> Container<'_> {
        // Health checks are timers of systemd here: a test asks itself. Limits are what any machine allows.
        let fixed = ["create", "--no-healthcheck", "--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"];
        let confined = ["--network=none", "--read-only", "--cap-drop=all", "--security-opt=no-new-privileges"];
        let id = self.must(&[&fixed[..], &confined, options, &[image], arguments].concat());
        let mut container = Container { engine: self, id, pid: 0 };
        self.must(&["init", &container.id]);
        let state = self.inspect(&container.id)["State"].clone();
        container.pid = state["Pid"].as_u64().filter(|pid| *pid > 0).unwrap_or_else(|| panic!("no process in {state}"));
        container
    }
}

/// What it prints, when it succeeds.
fn succeeded(mut command: Command) -> String {
    let done = command.output().expect("the engine can be started");
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

/// A container, removed when it goes out of scope.
#[derive(Debug)]
pub struct Container<'a> {
    engine: &'a Engine,
    id: String,
    pid: u64,
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "--- the container said ---\n{}\n---", self.said());
        }
        self.engine.output(&["rm", "--force", "--time=0", &self.id]);
    }
}

impl Container<'_> {
    /// Does something in its network; sockets and threads of it stay there.
    ///
    /// # Panics
    /// When that does, or the container has ended.
    pub fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        within(&PathBuf::from(format!("/proc/{}/ns/net", self.pid)), act)
    }

    /// Starts the program, and gives the time from its first instruction until `is_ready`, which is asked in the container's network.
    ///
    /// # Panics
    /// When it is not within [`PATIENCE`].
    pub fn start(&self, program: &str, is_ready: impl Fn() -> bool + Send) -> Duration {
        let mut starting = self.engine.command(&["start", &self.id]);
        let mut starting = starting.stdout(Stdio::null()).spawn().expect("the engine can be started");
        // Until then the process is the runtime's, which waits to become the program.
        let exe = format!("/proc/{}/exe", self.pid);
        let took = self.within(move || {
            let deadline = Instant::now() + PATIENCE;
            // The last moment at which it was not the program yet: this thread may sleep after it.
            let mut begun = Instant::now();
            loop {
                let looked = Instant::now();
                if std::fs::read_link(&exe).is_ok_and(|path| path == Path::new(program)) {
                    break;
                }
                assert!(looked < deadline, "{program} does not start");
                begun = looked;
                std::thread::yield_now();
            }
            while !is_ready() {
                assert!(Instant::now() < deadline, "{program} does not get ready");
                std::thread::yield_now();
            }
            begun.elapsed()
        });
        assert!(starting.wait().is_ok_and(|status| status.success()), "the container has started");
        took
    }

    /// Runs a program of the image beside its own.
    ///
    /// # Panics
    /// When the engine cannot be started.
    pub fn exec(&self, arguments: &[&str]) -> Output {
        self.engine.output(&[&["exec", &self.id], arguments].concat())
    }

    /// Has it end as the image says, and gives the exit code.
    ///
    /// # Panics
    /// When it does not end.
    pub fn stop(&self) -> i64 {
        self.engine.must(&["stop", "--time=8", &self.id]);
        let state = || self.engine.inspect(&self.id)["State"].clone();
        let ended = || Some(state()).filter(|state| state["Status"] == "exited");
        eventually("the end of the container", PATIENCE, ended)["ExitCode"].as_i64().expect("an exit code is a number")
    }

    /// What it said so far, on both outputs.
    pub fn said(&self) -> String {
        let done = self.engine.output(&["logs", &self.id]);
        String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
    }

    /// The value of a line of `/proc/PID/status`.
    ///
    /// # Panics
    /// When there is no such line.
    pub fn status(&self, name: &str) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("the process is there");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name} in {status}")).trim().to_owned()
    }
}
