//! nginx, redis-server and other real programs, where the machine has them.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::wait::{PATIENCE, eventually};
use crate::{Api, Authority};

/// The path of a program; `None`, with a line that says which test is left out, when it is not to be used:
/// it is not installed, or `SQUALL_WITHOUT` names it.
pub fn find(program: &str, test: &str) -> Option<PathBuf> {
    let without = std::env::var("SQUALL_WITHOUT").unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    places.push("/usr/sbin".into());
    // Debian keeps the programs of each version of PostgreSQL apart.
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    places.extend(versions.map(|version| version.path().join("bin")));
    let found = places.into_iter().map(|p| p.join(program)).find(|p| p.is_file());
    if found.is_none() || without.split_whitespace().any(|w| w == program) {
        // Not `eprintln!`: the test runner would keep it to itself.
        let _ = writeln!(std::io::stderr(), "left out: {test} needs {program}");
        return None;
    }
    found
}

/// A command as another user without any capability.
pub fn as_user(uid: u32, program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    let id = uid.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).arg(program).args(arguments).stdin(Stdio::null());
    command
}

/// nginx answers with who the client is.
const WHO_CALLS: &str = "location / { return 200 \"$ssl_client_s_dn $server_protocol $scheme $ssl_server_name\"; }";

/// nginx answers with what a PROXY protocol header said.
const TOLD: &str = "location / { return 200 \"$proxy_protocol_addr $proxy_protocol_port\"; }";

/// A program that is stopped, by its id, when it goes out of scope.
#[derive(Debug)]
pub struct Program {
    child: Child,
    /// Its files.
    pub directory: tempfile::TempDir,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    /// nginx with `/` (a text), `/big` (1 MiB) and `/healthz`; `None` when it is left out.
    ///
    /// # Panics
    /// When it does not start.
    pub fn nginx(test: &str) -> Option<Self> {
        let server =
            "location = / { return 200 \"nginx says hello\\n\"; } location = /healthz { return 200 \"well\\n\"; }";
        Self::nginx_with(test, "", server)
    }

    /// nginx that speaks TLS (HTTP/1.1, and HTTP/2 by ALPN) with what the authority issued as `name`, and answers with
    /// who the client is. `None` when it is left out.
    ///
    /// # Panics
    /// When it does not start.
    pub fn nginx_tls(test: &str, authority: &Authority, name: &str) -> Option<Self> {
        Self::nginx_tls_at(free_address(), test, authority, name)
    }

    /// The same at this address.
    ///
    /// # Panics
    /// When it does not start.
    pub fn nginx_tls_at(address: SocketAddr, test: &str, authority: &Authority, name: &str) -> Option<Self> {
        Self::nginx_at(address, test, "ssl http2", &format!("{} {WHO_CALLS}", certificate(authority, name)))
    }

    /// As [`Self::nginx_tls`], only for clients that the authority vouches for.
    ///
    /// # Panics
    /// When it does not start.
    pub fn nginx_mutual_tls(test: &str, authority: &Authority, name: &str) -> Option<Self> {
        let verify = format!("ssl_client_certificate {}; ssl_verify_client on;", authority.file("ca.crt"));
        Self::nginx_with(test, "ssl http2", &format!("{} {verify} {WHO_CALLS}", certificate(authority, name)))
    }

    /// nginx that wants a PROXY protocol header, then perhaps TLS, and answers with address and port in the header.
    /// `None` when it is left out.
    ///
    /// # Panics
    /// When it does not start.
    pub fn nginx_proxy_protocol(test: &str, tls: Option<(&Authority, &str)>) -> Option<Self> {
        let (listen, tls) = match tls {
            Some((authority, name)) => ("proxy_protocol ssl", certificate(authority, name)),
            None => ("proxy_protocol", String::new()),
        };
        Self::nginx_with(test, listen, &format!("{tls} {TOLD}"))
    }

    /// [`Self::nginx_proxy_protocol`] without TLS, at this address.
    ///
    /// # Panics
    /// When it does not start.
    pub fn nginx_proxy_protocol_at(address: SocketAddr, test: &str) -> Option<Self> {
        Self::nginx_at(address, test, "proxy_protocol", TOLD)
    }

    /// nginx with these lines in its one `server`; `None` when it is left out.
    ///
    /// # Panics
    /// When it does not start.
    pub fn nginx_of(test: &str, server: &str) -> Option<Self> {
        Self::nginx_with(test, "", server)
    }

    fn nginx_with(test: &str, listen: &str, server: &str) -> Option<Self> {
        Self::nginx_at(free_address(), test, listen, server)
    }

    fn nginx_at(address: SocketAddr, test: &str, listen: &str, server: &str) -> Option<Self> {
        let program = find("nginx", test)?;
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let here = directory.path().display().to_string();
        std::fs::write(directory.path().join("big"), vec![b'n'; 1 << 20]).expect("a file can be written");
        let user = if is_root() { "user root;" } else { "" };
        let text = format!(
            "daemon off; master_process off; {user} pid {here}/pid; error_log {here}/error.log;\n\
             events {{ worker_connections 512; }}\n\
             http {{ access_log off; client_body_temp_path {here}/b; proxy_temp_path {here}/p;\n\
             fastcgi_temp_path {here}/f; uwsgi_temp_path {here}/u; scgi_temp_path {here}/s;\n\
             server {{ listen {address} {listen}; root {here};\n{server} }} }}\n"
        );
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, text).expect("a file can be written");
        let mut command = Command::new(program);
        command.arg("-p").arg(directory.path()).arg("-e").arg(directory.path().join("error.log")).arg("-c").arg(file);
        Some(Self::start(&mut command, directory, address))
    }

    /// redis-server without persistence; `None` when it is left out.
    ///
    /// # Panics
    /// When it does not start.
    pub fn redis(test: &str) -> Option<Self> {
        Self::redis_at(free_address(), test)
    }

    /// redis-server without persistence, at this address; `None` when it is left out.
    ///
    /// # Panics
    /// When it does not start.
    pub fn redis_at(address: SocketAddr, test: &str) -> Option<Self> {
        let program = find("redis-server", test)?;
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let mut command = Command::new(program);
        command.args(["--bind", &address.ip().to_string(), "--protected-mode", "no"]);
        command.args(["--save", "", "--appendonly", "no", "--port"]);
        command.arg(address.port().to_string()).arg("--dir").arg(directory.path());
        Some(Self::start(&mut command, directory, address))
    }

    /// PostgreSQL, as this user, since root may not run it, without passwords, with a user `squall` who may do everything. `None` when it is left out.
    ///
    /// # Panics
    /// When it does not start.
    pub fn postgres_at(address: SocketAddr, uid: u32, test: &str) -> Option<Self> {
        let (initdb, postgres) = (find("initdb", test)?, find("postgres", test)?);
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        std::os::unix::fs::chown(directory.path(), Some(uid), Some(uid)).expect("root may");
        let data = directory.path().join("data").display().to_string();
        let here = directory.path().display().to_string();
        let made = as_user(uid, &initdb, &["-D", &data, "-U", "squall", "-A", "trust", "-N", "--no-instructions"])
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let anyone = "host all all all trust\n";
        std::fs::write(directory.path().join("data/pg_hba.conf"), anyone).expect("a file can be written");
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let listens = format!("listen_addresses={host}");
        let mut command = as_user(uid, &postgres, &["-D", &data, "-p", &port, "-k", &here, "-c", &listens]);
        command.args(["-c", "fsync=off"]);
        Some(Self::start(&mut command, directory, address))
    }

    /// The values that a Prometheus has for an expression at this moment.
    ///
    /// # Panics
    /// When it does not understand it.
    pub fn ask(&self, expression: &str) -> Vec<f64> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = Api { address: self.address }.get(&format!("/api/v1/query?query={encoded}"));
        assert_eq!(answer.status, 200, "{expression}: {}", answer.text());
        let samples = answer.json()["data"]["result"].as_array().cloned().unwrap_or_default();
        samples.iter().filter_map(|sample| sample["value"][1].as_str()?.parse().ok()).collect()
    }

    /// Prometheus that scrapes `target` four times a second as job `squall`, and evaluates a file of rules as often; `None`
    /// when it is left out.
    ///
    /// # Panics
    /// When it does not start.
    pub fn prometheus(test: &str, target: SocketAddr, rules: &Path) -> Option<Self> {
        let program = find("prometheus", test)?;
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let (address, rules) = (free_address(), rules.display());
        let text = format!(
            "global: {{ scrape_interval: 250ms, evaluation_interval: 250ms }}\n\
             rule_files: [\"{rules}\"]\n\
             scrape_configs: [{{ job_name: squall, static_configs: [{{ targets: [\"{target}\"] }}] }}]\n"
        );
        let file = directory.path().join("prometheus.yml");
        std::fs::write(&file, text).expect("a file can be written");
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", file.display())).arg(format!("--web.listen-address={address}"));
        command.arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()));
        Some(Self::start(&mut command, directory, address))
    }

    fn start(command: &mut Command, directory: tempfile::TempDir, address: SocketAddr) -> Self {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = quiet.spawn().expect("the program starts");
        let mut program = Self { child, directory, address };
        eventually("the program listens", PATIENCE, || {
            let status = program.child.try_wait().expect("a child can be asked");
            assert!(status.is_none(), "{command:?} ended with {status:?}");
            TcpStream::connect(address).ok()
        });
        program
    }
}

/// What nginx is told of the certificate that it shows.
fn certificate(authority: &Authority, name: &str) -> String {
    let (cert, key) = (authority.file(&format!("{name}.crt")), authority.file(&format!("{name}.key")));
    format!("ssl_certificate {cert}; ssl_certificate_key {key};")
}

/// A loopback address that was free a moment ago, for programs that cannot let the system choose.
///
/// # Panics
/// When there is none.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
    listener.local_addr().expect("a bound socket has an address")
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// The Python of `integration/run`, which has the clients of other people that tests use; `None` when it is left out.
pub fn python(test: &str) -> Option<PathBuf> {
    let python = std::env::var_os("SQUALL_PYTHON").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/python/bin/python")),
        PathBuf::from,
    );
    let without = std::env::var("SQUALL_WITHOUT").unwrap_or_default();
    if python.is_file() && !without.split_whitespace().any(|w| w == "python") {
        return Some(python);
    }
    let _ = writeln!(std::io::stderr(), "left out: {test} needs the Python of integration/run");
    None
}

/// A program that came with a package of that Python; `None` when it is left out.
pub fn python_program(name: &str, test: &str) -> Option<PathBuf> {
    let program = python(test)?.with_file_name(name);
    if program.is_file() {
        return Some(program);
    }
    let _ = writeln!(std::io::stderr(), "left out: {test} needs {name}, which integration/run installs");
    None
}

/// Node that finds the packages of `integration/clients/node`; `None` when it is left out.
pub fn node(test: &str) -> Option<Command> {
    let (program, packages) = (find("node", test)?, node_packages(test)?);
    let mut command = Command::new(program);
    command.env("NODE_PATH", packages);
    Some(command)
}

/// A file of one of those packages; `None` when it is left out.
pub fn node_file(path: &str, test: &str) -> Option<PathBuf> {
    Some(node_packages(test)?.join(path))
}

fn node_packages(test: &str) -> Option<PathBuf> {
    let packages = std::env::var_os("SQUALL_NODE")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/node")), PathBuf::from)
        .join("node_modules");
    let without = std::env::var("SQUALL_WITHOUT").unwrap_or_default();
    if packages.is_dir() && !without.split_whitespace().any(|w| w == "npm") {
        return Some(packages);
    }
    let _ = writeln!(std::io::stderr(), "left out: {test} needs the packages for Node of integration/run");
    None
}

/// A server of `integration/clients` that is stopped, by its id, when it goes out of scope.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The path of a script of `integration/clients`.
pub fn script(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/clients")).join(name)
}

impl Peer {
    /// Runs `SCRIPT serve`, which prints its port.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(python: &Path, name: &str) -> Self {
        Self::start_as(python, name, &["serve"])
    }

    /// Runs `SCRIPT ARGUMENTS`, which prints its port.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_as(python: &Path, name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(python);
        command.arg(script(name)).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it prints its port");
        let port: u16 = line.trim().parse().unwrap_or_else(|_| panic!("{name} printed {line:?}"));
        Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }
}
