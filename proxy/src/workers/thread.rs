//! The thread of one worker: what it is asked for, and what it does again and again.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use std::{io, thread};

use squall_config::model::Name;
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::{spawn_local, yield_now};

use crate::listener::{accept, serve};
use crate::worker::{Closing, Command, Worker, WorkerParts};

/// How often time limits of connections, and the load of the workers, are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_millis(250);

/// Starts a worker's thread; the receiver fails once the thread has ended.
pub(super) fn spawn(parts: WorkerParts) -> io::Result<Receiver<()>> {
    let (alive, ended) = mpsc::channel();
    let (runtime, index) = (runtime::Builder::new_current_thread(), parts.index);
    thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
        let _alive: mpsc::Sender<()> = alive;
        let mut runtime = runtime;
        match runtime.enable_all().build_local(runtime::LocalOptions::default()) {
            Ok(runtime) => runtime.block_on(run(parts)),
            Err(error) => tracing::error!(%error, worker = index, "a worker cannot start"),
        }
    })?;
    Ok(ended)
}

/// Runs a worker until it is cut or the process forgets it.
async fn run(parts: WorkerParts) {
    let (worker, mut commands) = Worker::new(parts);
    let mut accepting: HashMap<Name, oneshot::Sender<Closing>> = HashMap::new();
    spawn_local(sweep_regularly(Rc::clone(&worker)));
    spawn_local(adopt_changes(Rc::clone(&worker)));
    while let Some(command) = commands.recv().await {
        match command {
            Command::Listen(name, socket) => {
                let (stop, stopped) = oneshot::channel();
                spawn_local(accept(Rc::clone(&worker), name.clone(), socket, stopped));
                // Dropping the sender of the replaced socket stops it, after the new one has begun.
                accepting.insert(name, stop);
            }
            Command::Unlisten(name, closing) => {
                if let Some(stop) = accepting.remove(&name) {
                    // A socket that cannot be accepted on is closed already.
                    let _ = stop.send(closing);
                }
            }
            Command::Drain => {
                accepting.clear();
                worker.begin_drain();
            }
            Command::Serve { listener, stream, source, claim } => match TcpStream::from_std(stream) {
                Ok(stream) => serve(&worker, &listener, stream, source, claim),
                Err(error) => tracing::debug!(%error, %listener, "connection ended before it began"),
            },
            Command::Tap => worker.look_at_taps(),
            Command::Observe(observation) => worker.observe(observation),
            Command::ServeStream(serve) => serve(&worker),
            Command::Cut => {
                worker.cut();
                // Lets the relays end in their own way before the runtime drops them.
                yield_now().await;
                return;
            }
        }
    }
}

async fn sweep_regularly(worker: Rc<Worker>) {
    // Not at once: what happened in no time would look like a worker that is always busy.
    let mut last = Instant::now();
    let mut ticks = tokio::time::interval_at((last + SWEEP_INTERVAL).into(), SWEEP_INTERVAL);
    loop {
        ticks.tick().await;
        worker.sweep();
        worker.look_at_load(last.elapsed());
        last = Instant::now();
    }
}

/// Adopts snapshots while there is no traffic too, so that connections to endpoints that are gone are closed.
async fn adopt_changes(worker: Rc<Worker>) {
    let mut changes = worker.changes();
    while changes.changed().await.is_ok() {
        worker.view();
    }
}
