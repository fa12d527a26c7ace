//! A Squall under attack, and a well-behaved client beside it that is measured.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use squall_integration::load::quantile;
use squall_integration::origin::Origin;
use squall_integration::wait::pause;
use squall_integration::{RawClient, Settings, Squall};

/// How long the neighbour is measured, in quiet and under attack.
const MEASURED: Duration = Duration::from_millis(1500);
/// Below this, a factor between two latencies is about the machine: tests run beside each other, and attackers need a core.
const FLOOR: Duration = Duration::from_millis(100);
/// What one test may add to the memory of Squall.
const MEMORY_MAX_KIB: u64 = 64 * 1024;

/// One scene at a time: latencies are about the attack, not about the other tests.
static ALONE: Mutex<()> = Mutex::new(());

pub(crate) struct Scene {
    pub(crate) squall: Squall,
    pub(crate) origin: Origin,
    _alone: std::sync::MutexGuard<'static, ()>,
}

/// What became of one attack.
pub(crate) struct Seen {
    /// How much of it there was.
    pub(crate) load: String,
    /// What the attackers got.
    pub(crate) answers: String,
}

impl Scene {
    /// The usual listener with short time limits, before an upstream that answers at once.
    pub(crate) fn new() -> Self {
        Self::of(Origin::ok(), |origin| {
            let limits = "header_timeout: 700ms\nstall_timeout: 700ms\nidle_timeout: 30s";
            let settings = Settings::new().listener_with("to-b", "http", "service-b", limits);
            settings.cluster("service-b", "http1", &[origin])
        })
    }

    pub(crate) fn of(origin: Origin, settings: impl FnOnce(std::net::SocketAddr) -> Settings) -> Self {
        let alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let squall = Squall::start(&settings(origin.address));
        Self { squall, origin, _alone: alone }
    }

    /// Lets an attack go on until it is told to stop, beside a client that sends one request after the other. That client gets
    /// all its answers, about as fast as in quiet, and memory stays bounded.
    pub(crate) fn withstands(&self, name: &str, attack: impl FnOnce(&AtomicBool) -> Seen + Send) {
        let quiet = self.neighbour();
        let (before, is_over) = (self.resident_kib(), AtomicBool::new(false));
        let (seen, under, after) = std::thread::scope(|scope| {
            let attacker = scope.spawn(|| {
                stand_back();
                attack(&is_over)
            });
            // The attack has begun.
            pause(Duration::from_millis(400));
            let under = self.neighbour();
            let after = self.resident_kib();
            is_over.store(true, Relaxed);
            (attacker.join().unwrap(), under, after)
        });
        let grown = after.saturating_sub(before);
        let (quiet, under) = (quantile(quiet, 0.99), quantile(under, 0.99));
        note(&format!(
            "| {name} | {} | {} | {:.1} MiB | {:.2} ms | {:.2} ms |",
            seen.load,
            seen.answers,
            grown as f64 / 1024.0,
            quiet.as_secs_f64() * 1e3,
            under.as_secs_f64() * 1e3,
        ));
        assert!(grown < MEMORY_MAX_KIB, "{name}: {grown} KiB more");
        assert!(under <= (quiet * 2).max(FLOOR), "{name}: p99 {under:?} under attack, {quiet:?} in quiet");
    }

    /// Times of requests over one connection, with a pause after each.
    fn neighbour(&self) -> Vec<Duration> {
        let (mut client, begun, mut times) = (RawClient::connect(self.squall.to_b()), Instant::now(), Vec::new());
        while begun.elapsed() < MEASURED {
            let sent = Instant::now();
            assert_eq!(client.get("/neighbour").status, 200);
            times.push(sent.elapsed());
            pause(Duration::from_millis(1));
        }
        times
    }

    /// Memory that is in use.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.squall.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// How many clients were cut for this reason.
    pub(crate) fn cut(&self, reason: &str) -> u64 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        let n = self.squall.api().metrics().sum("squall_cut_clients_total", &[("reason", reason)]) as u64;
        n
    }
}

/// Gives this thread the lowest priority, so that what is measured is Squall and not the want of a processor for attackers that
/// would be elsewhere.
fn stand_back() {
    let thread = std::fs::read_link("/proc/thread-self").unwrap();
    let id = thread.file_name().unwrap().to_owned();
    let _at_best = std::process::Command::new("renice").args(["-n", "19", "-p"]).arg(id).output();
}

/// Connections that an attack may hold: as many as this process may have open, with room for the rest.
pub(crate) fn many() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    let limit: usize = line.split_whitespace().nth(3).and_then(|n| n.parse().ok()).unwrap_or(1024);
    (limit / 4).clamp(100, 2000)
}

/// Adds a row to the table of the document, when that is asked for.
fn note(row: &str) {
    let mut text = String::new();
    let _ = writeln!(text, "{row}");
    let _ = std::io::stdout().write_all(text.as_bytes());
    if let Some(path) = std::env::var_os("SQUALL_ATTACKS") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }
}

/// How many of the answers are of each kind, as in `2000 × 408`.
pub(crate) fn tally(answers: &[String]) -> String {
    let mut kinds: Vec<(&str, usize)> = Vec::new();
    for answer in answers {
        match kinds.iter_mut().find(|(kind, _)| kind == answer) {
            Some((_, n)) => *n += 1,
            None => kinds.push((answer, 1)),
        }
    }
    let words: Vec<String> = kinds.iter().map(|(kind, n)| format!("{n} × {kind}")).collect();
    words.join(", ")
}
