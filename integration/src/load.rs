//! Many keep-alive clients at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::client::{Client, get};

/// What one request met.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// 0 when there was no answer.
    pub status: u16,
    /// The value of `x-squall-fault`.
    pub fault: Option<String>,
    /// The value of `x-squall-error`.
    pub error: Option<String>,
    /// From the request to the end of the answer.
    pub took: Duration,
}

/// Sends `requests` GETs over so many HTTP/1 keep-alive connections, as fast as answers come.
pub async fn closed_loop(address: SocketAddr, path: &str, requests: usize, connections: usize) -> Vec<Outcome> {
    let left = Arc::new(AtomicUsize::new(requests));
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let (left, path) = (Arc::clone(&left), path.to_owned());
        tasks.push(tokio::spawn(async move {
            let mut outcomes = Vec::new();
            let mut client = Client::http1(address).await;
            while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
                let outcome = one(&mut client, &path).await;
                if outcome.status == 0 {
                    client = Client::http1(address).await;
                }
                outcomes.push(outcome);
            }
            outcomes
        }));
    }
    let mut all = Vec::with_capacity(requests);
    for task in tasks {
        all.extend(task.await.expect("a load task does not panic"));
    }
    all
}

/// One GET.
pub async fn one(client: &mut Client, path: &str) -> Outcome {
    let begin = Instant::now();
    let answer = client.send(get(path)).await;
    let took = begin.elapsed();
    match answer {
        Ok(answer) => Outcome {
            status: answer.status.as_u16(),
            fault: answer.header("x-squall-fault").map(str::to_owned),
            error: answer.header("x-squall-error").map(str::to_owned),
            took,
        },
        Err(_) => Outcome { status: 0, fault: None, error: None, took },
    }
}

/// The value below which this share (0 to 1) of the values lies.
///
/// # Panics
/// When there is none.
pub fn quantile(values: impl IntoIterator<Item = Duration>, share: f64) -> Duration {
    let mut values: Vec<Duration> = values.into_iter().collect();
    values.sort_unstable();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index from a share of a length")]
    let index = ((values.len() as f64 * share) as usize).min(values.len().saturating_sub(1));
    *values.get(index).expect("at least one value")
}
