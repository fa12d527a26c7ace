//! Follows a run to its end: what happens goes to stderr, line by line.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::document::path_of;
use crate::client::{Call, send};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::verb::ApiArgs;

/// How often it is asked for.
const EVERY: Duration = Duration::from_millis(500);

/// A control API that is silent for so many questions is not there any more.
const MISSES_MAX: u32 = 10;

/// What Ctrl-C does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnInterrupt {
    /// The first one stops the run, the second one leaves it alone.
    StopRun,
    /// It ends this process, as it ends any other, and the run goes on.
    EndProcess,
}

/// Waits for the end of the run under way; gives its report. The line `abort` is for `lines` what Ctrl-C is for a run that it stops,
/// and the other lines go into the report.
pub(crate) fn follow(
    api: &ApiArgs,
    name: &str,
    on_interrupt: OnInterrupt,
    lines: Option<&mut mpsc::Receiver<String>>,
) -> Result<Value, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(Following { api, name, on_interrupt, told: 0, is_stopping: false }.until_it_ends(lines))
}

struct Following<'a> {
    api: &'a ApiArgs,
    name: &'a str,
    on_interrupt: OnInterrupt,
    /// Events that were shown.
    told: usize,
    is_stopping: bool,
}

impl Following<'_> {
    async fn until_it_ends(mut self, mut lines: Option<&mut mpsc::Receiver<String>>) -> Result<Value, Failure> {
        let mut misses = 0;
        loop {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = interrupted(self.on_interrupt) => self.stop("interrupted by whoever ran it").await?,
                line = next(&mut lines) => match line.as_str() {
                    "" => {}
                    "abort" | "a" => self.stop("aborted by people").await?,
                    note => self.note(note).await,
                },
            }
            let report = match self.call(&Call::new(Method::GET, path_of(self.name, "/report"))).await {
                Ok(report) => report,
                Err(failure) if failure.exit == Exit::Unreachable && misses < MISSES_MAX => {
                    misses += 1;
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            misses = 0;
            let timeline = report["timeline"].as_array().map(Vec::as_slice).unwrap_or_default();
            timeline.iter().skip(self.told).for_each(|event| output::say(&line(event)));
            self.told = self.told.max(timeline.len());
            if !report["verdict"].is_null() {
                return Ok(report);
            }
        }
    }

    async fn stop(&mut self, reason: &str) -> Result<(), Failure> {
        if self.is_stopping {
            let why =
                format!("left before the report was there; `squall experiment get {}` says how the run is", self.name);
            return Err(Failure::new(Exit::Failure, why));
        }
        self.is_stopping = true;
        output::say("stopping the run; once more leaves without waiting for its report");
        let stop = Call::new(Method::POST, path_of(self.name, "/stop")).with_body(json!({ "reason": reason }));
        match self.call(&stop).await {
            // It has just ended by itself.
            Err(failure) if failure.exit == Exit::Conflict => Ok(()),
            other => other.map(drop),
        }
    }

    async fn note(&self, text: &str) {
        let note = Call::new(Method::POST, path_of(self.name, "/notes")).with_body(json!({ "text": text }));
        if let Err(failure) = self.call(&note).await {
            output::say(&format!("not noted: {}", failure.text().trim_start_matches("error: ")));
        }
    }

    async fn call(&self, call: &Call) -> Result<Value, Failure> {
        send(&self.api.control, &self.api.credentials, call).await?.into_value()
    }
}

async fn interrupted(on_interrupt: OnInterrupt) {
    match on_interrupt {
        OnInterrupt::StopRun => drop(tokio::signal::ctrl_c().await),
        OnInterrupt::EndProcess => std::future::pending().await,
    }
}

/// The next line; never, when there will be none.
async fn next(lines: &mut Option<&mut mpsc::Receiver<String>>) -> String {
    let line = match lines {
        Some(lines) => lines.recv().await,
        None => None,
    };
    match line {
        Some(line) => line,
        None => std::future::pending().await,
    }
}

fn line(event: &Value) -> String {
    let at = event["at"].as_f64().unwrap_or_default();
    let (kind, text) = (event["kind"].as_str().unwrap_or_default(), event["text"].as_str().unwrap_or_default());
    format!("{at:8.1} s  {kind:<12}  {text}")
}
