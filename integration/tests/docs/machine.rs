//! A machine for the commands of pages that need root and change the network: it has a network, a file of hosts and processes of
//! its own, with a cable to another one, where Service B is, and a third party that speaks HTTPS.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use squall_integration::Authority;
use squall_integration::origin::Origin;
use squall_integration::pods::{Pods, within};
use squall_integration::programs::{Program, find};
use squall_integration::squall::copy;

use crate::page::Block;
use crate::shell::{self, bash_by, said_by};

/// As docs/interception.md sets it up: the redirect, and Squall behind it.
const REDIRECT: &str = "squall net-init --ipv6";
const SQUALL: &str =
    "setpriv --reuid 65502 --regid 65502 --clear-groups squall run -c config/examples/interception.yaml";

const THIRD_PARTY: &str = "api.example.com";

/// Holds the namespaces until nobody holds its stdin any more.
const INIT: &str = "mount --bind \"$0\" /etc/hosts && echo ready && exec cat";

/// A machine that a section has for itself. All that runs there ends with it.
pub(crate) struct Machine {
    here: PathBuf,
    /// Where Squall's control API is, in its network.
    control: SocketAddr,
    started: Vec<Child>,
    init: Child,
    pods: Pods,
    _service_b: Origin,
    /// Vouches for the third party; what runs on the machine trusts it.
    authority: Authority,
    third_party: Option<Program>,
}

impl Machine {
    /// Nothing of Squall runs on it. `None`, with a line that says what is left out, where this user cannot have such.
    pub(crate) fn empty(here: &Path, control: SocketAddr, test: &str) -> Option<Self> {
        for program in ["unshare", "nsenter", "mount", "pgrep"] {
            find(program, test)?;
        }
        let pods = Pods::new(test)?;
        let hosts = here.join("hosts");
        let b = pods.b.v4;
        std::fs::write(&hosts, format!("127.0.0.1 localhost\n{b} service-b {THIRD_PARTY}\n")).unwrap();
        let mut init = pods.a.within(|| {
            let mut unshare = Command::new("unshare");
            unshare
                .args(["--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "bash", "-c", INIT])
                .arg(&hosts);
            unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
        });
        let mut said = String::new();
        BufReader::new(init.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
        if said != "ready\n" {
            let _ = init.wait();
            let _ = writeln!(std::io::stderr(), "left out: {test} needs namespaces of mounts and processes");
            return None;
        }
        // Squall runs as a user of its own there, who has to find it and its files.
        std::fs::create_dir_all(here.join("bin")).unwrap();
        copy(&here.join("bin/squall"));
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(here, all).unwrap();
        let service_b = pods.b.within(|| Origin::named_at("Service B", pods.b.at(80)));
        let (here, started, authority) = (here.to_owned(), Vec::new(), Authority::new());
        Some(Self { here, control, started, init, pods, _service_b: service_b, authority, third_party: None })
    }

    /// Whether those are there whom a block calls; they come when they are needed.
    pub(crate) fn has_whom_it_calls(&mut self, block: &Block, test: &str) -> bool {
        if self.third_party.is_none() && block.text.contains(&format!("https://{THIRD_PARTY}")) {
            self.authority.issue_with(THIRD_PARTY, &[THIRD_PARTY], SystemTime::now() + Duration::from_secs(3600));
            let (b, authority) = (&self.pods.b, &self.authority);
            self.third_party = b.within(|| Program::nginx_tls_at(b.at(443), test, authority, THIRD_PARTY));
            return self.third_party.is_some();
        }
        true
    }

    /// Squall catches the calls that go out from it, from now on.
    pub(crate) fn catch(&mut self) -> Result<(), String> {
        self.run(REDIRECT)?;
        self.start(SQUALL)
    }

    /// Runs a line there.
    pub(crate) fn run(&self, line: &str) -> Result<(), String> {
        let mut command = self.bash(line);
        said_by(command.env("SQUALL_CONTROL", format!("http://{}", self.control))).map(drop)
    }

    /// Starts what runs there until it is killed, and waits until it is ready.
    pub(crate) fn start(&mut self, line: &str) -> Result<(), String> {
        let is_ready = || within(Path::new(&self.namespace("net")), || shell::is_ready(self.control));
        let child = shell::start(&mut self.bash(&format!("exec env {line}")), &self.here, is_ready)?;
        self.started.push(child);
        Ok(())
    }

    /// A section takes back what it did to the network: calls go directly.
    pub(crate) fn is_well(&self) -> Result<(), String> {
        self.run("curl http://service-b/ && ! nft list tables | grep squall")
    }

    /// A shell there.
    fn bash(&self, text: &str) -> Command {
        let mut enter = Command::new("nsenter");
        for (kind, name) in [("net", "net"), ("mount", "mnt"), ("pid", "pid_for_children")] {
            enter.arg(format!("--{kind}={}", self.namespace(name)));
        }
        // Who enters a namespace of mounts stands at its root.
        enter.args(["env", "--chdir"]).arg(&self.here).arg("bash");
        let mut command = bash_by(enter, text, &self.here);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}:/usr/sbin", self.here.join("bin").display()));
        command.env("SSL_CERT_FILE", self.authority.file("ca.crt"));
        command
    }

    fn namespace(&self, name: &str) -> String {
        format!("/proc/{}/ns/{name}", self.init.id())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.init.stdin.take());
        let _ = self.init.wait();
        for child in &mut self.started {
            let _ = child.wait();
        }
    }
}

/// What a block wants of the machine where its section has none yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Nothing of Squall, and a new one in any case.
    Empty,
    /// Squall, and the redirect to it.
    Catching,
}

/// `None` for blocks that are not for a machine.
pub(crate) fn wanted(block: &Block) -> Option<Wanted> {
    match block.marker.as_str() {
        "empty machine" | "start on an empty machine" => Some(Wanted::Empty),
        "machine" | "start on the machine" => Some(Wanted::Catching),
        _ => None,
    }
}

/// Whether a block for a machine has what runs until its section ends.
pub(crate) fn is_started(block: &Block) -> bool {
    block.marker.starts_with("start ")
}
