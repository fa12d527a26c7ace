//! The shell that runs the commands of pages.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use squall_integration::Api;
use squall_integration::squall::binary;
use squall_integration::wait::pause;

/// In a directory, with the binary under test in its PATH.
pub(crate) fn bash(text: &str, here: &Path) -> Command {
    bash_by(Command::new("bash"), text, here)
}

/// By a command that becomes the shell.
pub(crate) fn bash_by(mut command: Command, text: &str, here: &Path) -> Command {
    let shown =
        "set -euo pipefail\ncurl() { command curl --fail-with-body --silent --show-error --max-time 30 \"$@\"; }\n";
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SQUALL_")) {
        command.env_remove(name);
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let own = binary().canonicalize().unwrap().parent().unwrap().display().to_string();
    command.args(["-c", &format!("{shown}{text}")]).current_dir(here).stdin(Stdio::null());
    // As short as a demo can be to conclude something.
    command.env("PATH", format!("{own}:{path}")).env("NO_COLOR", "1").env("SQUALL_DEMO_SECONDS", "10");
    command
}

/// Starts what runs until the section ends, and waits until it is ready.
pub(crate) fn start(command: &mut Command, here: &Path, is_ready: impl Fn() -> bool) -> Result<Child, String> {
    let log = here.join("started.log");
    command.stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap());
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    let begin = Instant::now();
    while !is_ready() {
        let has_ended = child.try_wait().is_ok_and(|status| status.is_some());
        if has_ended || begin.elapsed() > Duration::from_secs(10) {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("is not ready:\n{}", std::fs::read_to_string(&log).unwrap_or_default()));
        }
        pause(Duration::from_millis(20));
    }
    Ok(child)
}

/// Whether a Squall is ready whose control API is there.
pub(crate) fn is_ready(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok() && Api { address }.get("/readyz").status == 200
}

/// Runs a line; what it said.
pub(crate) fn run_line(line: &str, here: &Path, environment: &[(&'static str, String)]) -> Result<String, String> {
    said_by(bash(line, here).envs(environment.iter().cloned()))
}

/// Runs a command that has to succeed; what it said.
pub(crate) fn said_by(command: &mut Command) -> Result<String, String> {
    let done = command.output().map_err(|e| e.to_string())?;
    let said = [&done.stdout, &done.stderr].map(|bytes| String::from_utf8_lossy(bytes)).join("\n");
    if done.status.success() { Ok(said) } else { Err(format!("{}\n{said}", done.status)) }
}
