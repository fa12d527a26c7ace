//! Signals: how people and supervisors talk to a running squall.

use std::sync::Arc;
use std::time::Duration;

use squall_control::{Actor, Part};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::sidecar::Sidecar;
use crate::exit::{Exit, Failure, Outcome};
use crate::logging;

/// Handlers for all signals that mean something; also those without which process 1 could not be ended.
#[derive(Debug)]
pub(super) struct Signals {
    runtime: Runtime,
    streams: Streams,
}

#[derive(Debug)]
struct Streams {
    ends: Ends,
    hup: Signal,
    usr1: Signal,
}

/// The signals that end the process.
#[derive(Debug)]
struct Ends {
    term: Signal,
    int: Signal,
}

impl Signals {
    /// Installs the handlers; signals are kept until [`Self::serve`] looks. (Rust's runtime ignores SIGPIPE already:
    /// writing to a closed pipe is an error, not an end.)
    pub(super) fn install() -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let streams = {
            let _inside = runtime.enter();
            Streams {
                ends: Ends { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? },
                hup: signal(SignalKind::hangup())?,
                usr1: signal(SignalKind::user_defined1())?,
            }
        };
        Ok(Self { runtime, streams })
    }

    /// Serves signals until one ends the process.
    pub(super) fn serve(self, sidecar: Sidecar) -> Outcome {
        let Self { runtime, mut streams } = self;
        runtime.spawn(logging::say_repeats());
        let outcome = runtime.block_on(async {
            let name = streams.until_end(&sidecar).await;
            let app = Arc::clone(sidecar.app());
            let noted = tokio::task::spawn_blocking(move || {
                app.publisher().note_life(&Actor::Squall(Part::Signal), "stop", name);
            });
            let outcome = drain(&mut streams.ends, &sidecar).await;
            // A disk that hangs must not hold up the end.
            let _in_time = tokio::time::timeout(Duration::from_secs(1), noted).await;
            outcome
        });
        sidecar.finish();
        logging::say_all_repeats();
        // A reload that hangs on a slow file system must not hold up the end.
        runtime.shutdown_background();
        outcome
    }
}

impl Streams {
    /// Reloads and halts as asked; returns when the process is asked to end, with the name of the signal.
    async fn until_end(&mut self, sidecar: &Sidecar) -> &'static str {
        loop {
            let app = Arc::clone(sidecar.app());
            tokio::select! {
                name = self.ends.next() => return name,
                _ = self.hup.recv() => {
                    // Reads a file and binds sockets; the publisher logs what came of it.
                    drop(tokio::task::spawn_blocking(move || {
                        app.publisher().reload_file(Actor::Squall(Part::Signal));
                        app.reload_files();
                    }));
                }
                _ = self.usr1.recv() => {
                    app.publisher().halt(Actor::Squall(Part::Signal), "SIGUSR1");
                    // It is in force; that it stays so after a restart may take a disk's time.
                    drop(tokio::task::spawn_blocking(move || app.publisher().flush()));
                }
            }
        }
    }
}

impl Ends {
    /// Waits for one and gives its name. Safe to drop.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}

/// Not ready → `drain.delay` → no new connections, finish what is in flight, at most `drain.timeout`. A second signal
/// cuts everything at once, and so ends it with 0, too: it is what was asked for.
async fn drain(ends: &mut Ends, sidecar: &Sidecar) -> Outcome {
    let settings = sidecar.leave();
    tracing::info!(delay = ?settings.delay, timeout = ?settings.timeout, "draining; a second signal ends it now");
    let proxy = Arc::clone(sidecar.proxy());
    tokio::select! {
        () = tokio::time::sleep(settings.delay) => {}
        name = ends.next() => {
            tracing::warn!(signal = name, "cutting what is in flight");
            proxy.drain_now();
            return Ok(Exit::Ok);
        }
    }
    let mut drained = tokio::task::spawn_blocking({
        let proxy = Arc::clone(&proxy);
        move || proxy.drain(settings.timeout)
    });
    let drained = tokio::select! {
        drained = &mut drained => drained,
        name = ends.next() => {
            tracing::warn!(signal = name, "cutting what is in flight");
            proxy.drain_now();
            // The drain returns as soon as nothing is left; a bound, in case that it does not.
            match tokio::time::timeout(Duration::from_secs(1), drained).await {
                Ok(drained) => drained,
                Err(_) => return Ok(Exit::Ok),
            }
        }
    };
    let drained = drained.map_err(|error| Failure::caused_by(Exit::Failure, error).of("drain failed"))?;
    if drained.finished {
        tracing::info!("drained");
    } else {
        tracing::warn!(cut = drained.cut, "drain.timeout is over; what was left has been cut");
    }
    Ok(Exit::Ok)
}
