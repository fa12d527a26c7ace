//! The programs that talk to the kernel, and why one of them did not do it.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::exit::{Exit, Failure};

/// Where such programs are, also when PATH says nothing of it, as in containers.
const PLACES: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// A program that is there.
#[derive(Debug)]
pub(super) struct Program {
    name: String,
    path: PathBuf,
}

/// Why the kernel has no other rules now.
#[derive(Debug)]
pub(super) enum Refused {
    /// The program, by the package that has it.
    NotInstalled(&'static str),
    /// Not without the capability.
    NotPermitted(String),
    /// Whatever the program said.
    Failed(String),
}

impl Refused {
    /// Whether another program would be refused, too.
    pub(super) fn is_for_want_of_rights(&self) -> bool {
        matches!(self, Self::NotPermitted(_))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInstalled(package) => {
                let (program, _) = program_of(package);
                write!(f, "{program} is not installed (package {package})")
            }
            Self::NotPermitted(said) => {
                write!(
                    f,
                    "not permitted ({said}): this needs the capability NET_ADMIN in the network namespace; run as root, or \
                     give the init container securityContext.capabilities.add: [NET_ADMIN]"
                )
            }
            Self::Failed(said) => f.write_str(said),
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let fix = match refused {
            Refused::NotInstalled(package) => format!("; install it, or use --mode {}", program_of(package).1),
            Refused::NotPermitted(_) | Refused::Failed(_) => String::new(),
        };
        Self::new(Exit::Failure, format!("{refused}{fix}"))
    }
}

/// The program of a package, and what does the same.
fn program_of(package: &str) -> (&'static str, &'static str) {
    if package == "nftables" { ("nft", "iptables") } else { ("iptables", "nft") }
}

impl Program {
    /// Looks for it in PATH, and where it usually is.
    pub(super) fn find(name: &str, package: &'static str) -> Result<Self, Refused> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let places = std::env::split_paths(&path).chain(PLACES.map(PathBuf::from));
        let found = places.map(|place| place.join(name)).find(|path| path.is_file());
        let path = found.ok_or(Refused::NotInstalled(package))?;
        Ok(Self { name: name.to_owned(), path })
    }

    /// Runs it with this on its standard input.
    pub(super) fn run(&self, arguments: &[&str], input: &str) -> Result<(), Refused> {
        self.output(arguments, input).map(drop)
    }

    /// Runs it with this on its standard input; what it wrote.
    pub(super) fn output(&self, arguments: &[&str], input: &str) -> Result<String, Refused> {
        let failed = |error: io::Error| Refused::Failed(format!("{} cannot be run: {error}", self.path.display()));
        let mut command = Command::new(&self.path);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that ends before it has read all says why on its own.
            let _ = stdin.write_all(input.as_bytes());
        }
        let done = child.wait_with_output().map_err(failed)?;
        if done.status.success() {
            return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&done.stderr);
        let line = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it did not say why");
        let said = format!("{}: {line}", self.name);
        let is_forbidden = ["not permitted", "Permission denied", "must be root"].iter().any(|why| said.contains(why));
        Err(if is_forbidden { Refused::NotPermitted(said) } else { Refused::Failed(said) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_installed_is_told_with_a_way_out() {
        for (package, expected) in [
            ("nftables", "nft is not installed (package nftables); install it, or use --mode iptables"),
            ("iptables", "iptables is not installed (package iptables); install it, or use --mode nft"),
        ] {
            let failure = Failure::from(Program::find("squall-no-such-program", package).unwrap_err());
            assert_eq!((failure.exit, failure.text()), (Exit::Failure, format!("error: {expected}")));
        }
    }
}
