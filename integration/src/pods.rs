//! Two "pods": network namespaces with a cable between them, where the machine lets a test make such.

use std::fs::File;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::programs::find;

/// What the tests need for it.
const PROGRAMS: [&str; 3] = ["ip", "nft", "setpriv"];

/// Pod A at 10.77.0.1 and fd77::1, pod B at 10.77.0.2 and fd77::2. Dropping them gives the namespaces back.
#[derive(Debug)]
pub struct Pods {
    /// Where the application is, and Squall beside it.
    pub a: Pod,
    /// Whom the application calls.
    pub b: Pod,
}

/// A network namespace with an address of each family.
#[derive(Debug)]
pub struct Pod {
    name: String,
    /// IPv4.
    pub v4: IpAddr,
    /// IPv6.
    pub v6: IpAddr,
}

impl Pods {
    /// Makes both; `None`, with a line that says which test is left out, when this user or this machine cannot.
    ///
    /// # Panics
    /// When it can, and something goes wrong half-way.
    pub fn new(test: &str) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        for program in PROGRAMS {
            find(program, test)?;
        }
        let name = format!("squall-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let pod = |letter: &str, last: &str| Pod {
            name: format!("{name}-{letter}"),
            v4: format!("10.77.0.{last}").parse().expect("an address"),
            v6: format!("fd77::{last}").parse().expect("an address"),
        };
        let pods = Self { a: pod("a", "1"), b: pod("b", "2") };
        let (a, b) = (&pods.a.name, &pods.b.name);
        if !rustix::process::geteuid().is_root() || !ip(&format!("netns add {a}")).status.success() {
            let _ = writeln!(std::io::stderr(), "left out: {test} needs root and network namespaces");
            return None;
        }
        must(&format!("netns add {b}"));
        must(&format!("link add eth0 netns {a} type veth peer name eth0 netns {b}"));
        for pod in [&pods.a, &pods.b] {
            let name = &pod.name;
            must(&format!("-n {name} addr add {}/24 dev eth0", pod.v4));
            // Without nodad the address is not to be used for a second.
            must(&format!("-n {name} addr add {}/64 dev eth0 nodad", pod.v6));
            must(&format!("-n {name} link set lo up"));
            must(&format!("-n {name} link set eth0 up"));
        }
        Some(pods)
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        for pod in [&self.a, &self.b] {
            ip(&format!("netns del {}", pod.name));
        }
    }
}

impl Pod {
    /// Does something there; its sockets, threads and programs are there, too.
    ///
    /// # Panics
    /// When that does, or the namespace is gone.
    pub fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        within(&Path::new("/run/netns").join(&self.name), act)
    }

    /// An address of it.
    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.v4, port)
    }

    /// An address of it, over IPv6.
    pub fn at_v6(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.v6, port)
    }
}

/// Does something in a network namespace, on a thread of its own; its sockets, threads and programs are there, too.
///
/// # Panics
/// When that does, the namespace is gone, or this user may not enter it.
pub fn within<T: Send>(namespace: &Path, act: impl FnOnce() -> T + Send) -> T {
    let namespace = File::open(namespace).expect("the namespace is there");
    let there = || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may");
        act()
    };
    match std::thread::scope(|scope| scope.spawn(there).join()) {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// `ip` with these arguments, in the namespace of the caller unless they say otherwise.
///
/// # Panics
/// When it cannot be run.
pub fn ip(arguments: &str) -> Output {
    Command::new("ip").args(arguments.split(' ')).stdin(Stdio::null()).output().expect("ip runs")
}

/// `ip` with these arguments, which has to succeed.
///
/// # Panics
/// When it does not.
pub fn must(arguments: &str) {
    let done = ip(arguments);
    assert!(done.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&done.stderr));
}
