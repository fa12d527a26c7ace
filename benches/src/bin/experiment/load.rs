//! Requests to A, until the end of the process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::services::Messages;

/// What the requests are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) to: SocketAddr,
    pub(crate) connections: u32,
    /// All connections together, a second; 0 is as many as there can be.
    pub(crate) rate: u32,
    pub(crate) without_ids: bool,
}

/// How many were answered, and how many connections had to give up.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) answered: AtomicU64,
    pub(crate) ended: AtomicU64,
}

impl Load {
    /// Begins.
    pub(crate) fn start(self) -> Arc<Counts> {
        let counts = Arc::<Counts>::default();
        for connection in 0..self.connections {
            let counts = Arc::clone(&counts);
            std::thread::spawn(move || {
                let ended = self.serve(connection, &counts);
                counts.ended.fetch_add(1, Relaxed);
                ended
            });
        }
        counts
    }

    /// One connection, on which one request follows the other.
    fn serve(self, connection: u32, counts: &Counts) -> anyhow::Result<()> {
        let mut messages = Messages::connect(self.to)?;
        let mut due = Instant::now();
        for n in 1_u64.. {
            if self.rate > 0 {
                due += Duration::from_secs(1) * self.connections / self.rate;
                wait_until(due);
            }
            let (high, low) = (u64::from(connection + 1), n);
            let ids = match self.without_ids {
                true => String::new(),
                // Spread over all bits, as ids are.
                false => {
                    format!("traceparent: 00-{:016x}{:016x}-{:016x}-00\r\n", mixed(high), mixed(high << 40 | low), n)
                }
            };
            let request = format!(
                "GET /orders/{n} HTTP/1.1\r\nhost: a\r\nuser-agent: load/1.0\r\naccept: */*\r\naccept-encoding: gzip\r\n{ids}\r\n"
            );
            ensure!(messages.ask(request.as_bytes())?.starts_with("HTTP/1.1 200"), "A does not answer");
            counts.answered.fetch_add(1, Relaxed);
        }
        Ok(())
    }
}

fn wait_until(due: Instant) {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::park_timeout(left);
    }
}

/// The end of splitmix64.
fn mixed(n: u64) -> u64 {
    let n = (n ^ n >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ n >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ n >> 31
}
