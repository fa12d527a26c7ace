//! The thread that exports: batch by batch, whatever the collector does.

use std::time::{Duration, Instant};

use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use squall_proxy::FinishedSpans;
use tokio::sync::oneshot;

use super::collector::LastError;

/// A collector that is away is said once, and then so often.
const SAID_AGAIN: Duration = Duration::from_secs(60);

/// What exports, and what it says about it.
#[derive(Debug)]
pub(super) struct Export {
    exporter: SpanExporter,
    spans: FinishedSpans,
    delay: Duration,
    last_error: LastError,
    is_failing: bool,
    said: Option<Instant>,
    dropped: u64,
}

impl Export {
    pub(super) fn new(exporter: SpanExporter, spans: FinishedSpans, delay: Duration, last_error: LastError) -> Self {
        Self { exporter, spans, delay, last_error, is_failing: false, said: None, dropped: 0 }
    }

    /// Exports until told to stop, and then what is left.
    pub(super) async fn run(mut self, mut stop: oneshot::Receiver<()>) {
        loop {
            let is_over = tokio::select! {
                () = self.spans.has_batch() => false,
                () = tokio::time::sleep(self.delay) => false,
                _ = &mut stop => true,
            };
            loop {
                let batch = self.spans.take();
                if batch.is_empty() {
                    break;
                }
                self.send(batch).await;
            }
            self.say_dropped();
            if is_over {
                return;
            }
        }
    }

    async fn send(&mut self, batch: Vec<SpanData>) {
        let n = batch.len();
        match self.exporter.export(batch).await {
            Ok(()) => {
                self.spans.count_exported(n);
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("the collector of traces answers again");
                }
            }
            Err(error) => {
                self.spans.count_failed(n);
                self.is_failing = true;
                if self.may_speak() {
                    let cause = self.last_error.lock().ok().and_then(|mut error| error.take());
                    let error = cause.unwrap_or_else(|| error.to_string());
                    tracing::warn!(error, spans = n, "the collector does not take traces; they are lost until it does");
                }
            }
        }
    }

    fn say_dropped(&mut self) {
        let dropped = self.spans.dropped();
        let n = dropped - self.dropped;
        if n > 0 && self.may_speak() {
            self.dropped = dropped;
            tracing::warn!(spans = n, "spans were dropped: there are more than the collector takes in time");
        }
    }

    /// Whether a warning is due.
    fn may_speak(&mut self) -> bool {
        let is_due = self.said.is_none_or(|said| said.elapsed() >= SAID_AGAIN);
        if is_due {
            self.said = Some(Instant::now());
        }
        is_due
    }
}
