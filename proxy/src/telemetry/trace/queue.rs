//! Finished spans on their way from the workers to whoever exports them: bounded, and full before it is slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use opentelemetry_sdk::trace::SpanData;
use tokio::sync::{Notify, mpsc};

/// What became of spans.
#[derive(Debug, Default)]
pub(crate) struct SpanCounts {
    pub(crate) exported: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) dropped: AtomicU64,
}

/// The workers' end.
#[derive(Clone, Debug)]
pub struct SpanQueue {
    spans: mpsc::Sender<SpanData>,
    batch: usize,
    has_batch: Arc<Notify>,
    pub(crate) counts: Arc<SpanCounts>,
}

/// The exporter's end.
#[derive(Debug)]
pub struct FinishedSpans {
    spans: mpsc::Receiver<SpanData>,
    batch: usize,
    has_batch: Arc<Notify>,
    counts: Arc<SpanCounts>,
}

/// A queue for at most `limit` spans, which leave in batches of `batch`; both at least 1.
pub fn span_queue(limit: usize, batch: usize) -> (SpanQueue, FinishedSpans) {
    let (sender, receiver) = mpsc::channel(limit.max(1));
    let (batch, has_batch, counts) = (batch.max(1), Arc::<Notify>::default(), Arc::<SpanCounts>::default());
    let queue = SpanQueue { spans: sender, batch, has_batch: Arc::clone(&has_batch), counts: Arc::clone(&counts) };
    (queue, FinishedSpans { spans: receiver, batch, has_batch, counts })
}

impl SpanQueue {
    /// Takes a span, or drops and counts it when the queue is full. Wakes the exporter once for each batch, not for each
    /// span: a wake-up is a system call.
    pub(crate) fn push(&self, span: SpanData) {
        if self.spans.try_send(span).is_err() {
            self.counts.dropped.fetch_add(1, Relaxed);
        } else if self.spans.max_capacity() - self.spans.capacity() >= self.batch {
            self.has_batch.notify_one();
        }
    }
}

impl FinishedSpans {
    /// Waits until there is a batch. Safe to drop.
    pub async fn has_batch(&self) {
        self.has_batch.notified().await;
    }

    /// The spans that wait, at most a batch; empty when there are none.
    pub fn take(&mut self) -> Vec<SpanData> {
        std::iter::from_fn(|| self.spans.try_recv().ok()).take(self.batch).collect()
    }

    /// Counts spans that the collector has.
    pub fn count_exported(&self, n: usize) {
        self.counts.exported.fetch_add(n as u64, Relaxed);
    }

    /// Counts spans that are lost because the collector did not take them.
    pub fn count_failed(&self, n: usize) {
        self.counts.failed.fetch_add(n as u64, Relaxed);
    }

    /// How many spans were dropped because the queue was full.
    pub fn dropped(&self) -> u64 {
        self.counts.dropped.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::super::span::tests::any_span;
    use super::*;

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let (queue, mut spans) = span_queue(5, 2);
        queue.push(any_span());
        assert!(spans.has_batch().now_or_never().is_none(), "one span is no batch");
        for _ in 0..6 {
            queue.push(any_span());
        }
        assert!(spans.has_batch().now_or_never().is_some());
        assert_eq!(spans.dropped(), 2);
        let batches: Vec<usize> = std::iter::repeat_with(|| spans.take().len()).take(4).collect();
        assert_eq!(batches, [2, 2, 1, 0]);
        queue.push(any_span());
        assert_eq!((spans.take().len(), spans.dropped()), (1, 2), "there is room again");
    }
}
