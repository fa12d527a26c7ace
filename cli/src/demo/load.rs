//! A steady open load: requests are due at fixed times, whether or not earlier ones have been answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderMap;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::caller::{Answer, Caller};
use super::sample::{DemoPhase, Ending, Sample, Samples};
use super::services::SOURCE;

/// Requests per second: enough for a p99 within seconds, little enough for any machine.
pub(super) const RATE: u32 = 200;
/// Every so many-th request is one for which A does not need B.
const OTHERS_EVERY: u64 = 10;
/// A user gives up after this long; that is a failure.
const PATIENCE: Duration = Duration::from_secs(5);

/// A load that runs on a thread of its own until [`Load::stop`].
#[derive(Clone, Debug)]
pub(super) struct Load {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    samples: Samples,
    phase: AtomicU8,
    in_flight: AtomicUsize,
    is_over: AtomicBool,
}

impl Load {
    /// Begins to call Service A at `address`.
    pub(super) fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let load = run(address, Arc::clone(&shared));
        std::thread::Builder::new().name("demo-load".to_owned()).spawn(move || runtime.block_on(load))?;
        Ok(Self { shared })
    }

    /// What is due from now on belongs to this phase.
    pub(super) fn enter(&self, phase: DemoPhase) {
        self.shared.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// What the load has seen.
    pub(super) fn samples(&self) -> &Samples {
        &self.shared.samples
    }

    /// No new requests.
    pub(super) fn stop(&self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
    }

    /// Requests without an answer yet.
    pub(super) fn n_in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::Relaxed)
    }
}

async fn run(address: SocketAddr, shared: Arc<Shared>) {
    let caller = Arc::new(Caller::new(address));
    let mut ticks = interval(Duration::from_secs(1) / RATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for n in 0_u64.. {
        let due = ticks.tick().await;
        if shared.is_over.load(Ordering::Relaxed) {
            break;
        }
        let path = if n % OTHERS_EVERY == 0 { "/about" } else { "/quote" };
        let phase = DemoPhase::ALL.get(usize::from(shared.phase.load(Ordering::Relaxed))).copied();
        let exchange = one(Arc::clone(&caller), Arc::clone(&shared), path, (phase.unwrap_or(DemoPhase::WarmUp), due));
        shared.in_flight.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(exchange);
    }
    while shared.in_flight.load(Ordering::Relaxed) > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn one(caller: Arc<Caller>, shared: Arc<Shared>, path: &'static str, (phase, due): (DemoPhase, Instant)) {
    let ending = match timeout(PATIENCE, caller.get(path, HeaderMap::new())).await {
        Ok(Ok(answer)) => ending_of(&answer),
        Ok(Err(_)) | Err(_) => Ending::Failed,
    };
    shared.samples.push(Sample { phase, latency: due.elapsed(), ending });
    shared.in_flight.fetch_sub(1, Ordering::Relaxed);
}

fn ending_of(answer: &Answer) -> Ending {
    match answer.headers.get(SOURCE).map(http::HeaderValue::as_bytes) {
        _ if !answer.status.is_success() => Ending::Failed,
        Some(b"cache") => Ending::Cached,
        _ => Ending::Fresh,
    }
}
