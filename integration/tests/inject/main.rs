//! The sidecar of Kubernetes pods: `squall inject` and `squall uninject`, and the patch behind them.

#![expect(clippy::unwrap_used, reason = "tests")]

mod pods;
mod properties;
mod running;
mod schemas;
mod verbs;

use std::io::Write as _;
use std::process::{Output, Stdio};

/// Runs the binary with this on its standard input.
fn squall(arguments: &[&str], input: &str) -> Output {
    let mut command = squall_integration::squall::command(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may have ended without reading it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}
