//! Accepts the connections of one listener on one worker.

use std::future::ready;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use squall_config::model::Name;
use squall_fault::snapshot::Snapshot;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

use crate::balance::Claim;
use crate::connection;
use crate::downstream::Opened;
use crate::tenure::Tenure;
use crate::worker::{Closing, Command, Worker};

/// Pause after running out of descriptors or connections: a loop would only burn the processor.
const BACK_OFF: Duration = Duration::from_millis(50);

/// How long the server of a connection may take to see that it has ended.
const PATIENCE: Duration = Duration::from_secs(1);

/// Accepts until told to stop, then takes what already waits in the socket's queue: the kernel would reset it.
pub(crate) async fn accept(
    worker: Rc<Worker>,
    name: Name,
    socket: std::net::TcpListener,
    mut stopped: oneshot::Receiver<Closing>,
) {
    let socket = match TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return tracing::error!(listener = %name, %error, "cannot accept on this socket"),
    };
    let closing = 'stopped: loop {
        while worker.is_full() {
            tokio::select! {
                closing = &mut stopped => break 'stopped closing,
                () = tokio::time::sleep(BACK_OFF) => {}
            }
        }
        tokio::select! {
            biased;
            closing = &mut stopped => break closing,
            accepted = socket.accept() => {
                if let Some(error) = place(&worker, &name, accepted) {
                    tracing::warn!(listener = %name, %error, "cannot accept connections for a moment; raise the limit of open files");
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        }
    };
    while !worker.is_full()
        && let Some(accepted) = socket.accept().now_or_never()
    {
        place(&worker, &name, accepted);
    }
    drop(socket);
    drop(closing);
}

/// Has an accepted connection served; gives back an error that concerns the process and not one connection.
fn place(worker: &Rc<Worker>, name: &Name, accepted: io::Result<(TcpStream, SocketAddr)>) -> Option<io::Error> {
    match accepted {
        Ok((stream, source)) => {
            place_one(worker, name, stream, source);
            None
        }
        Err(error) if is_of_one_connection(&error) => None,
        Err(error) => Some(error),
    }
}

/// Serves an accepted connection, here or on a worker that has less to do.
fn place_one(worker: &Rc<Worker>, name: &Name, stream: TcpStream, source: SocketAddr) {
    let claim = worker.claim();
    if worker.has(&claim) {
        return serve(worker, name, stream, source, claim);
    }
    match stream.into_std() {
        Ok(stream) => worker.tell(claim.worker, Command::Serve { listener: name.clone(), stream, source, claim }),
        Err(error) => tracing::debug!(%error, listener = %name, "connection ended before it began"),
    }
}

/// Serves a connection on this worker, unless its listener is gone or off.
pub(crate) fn serve(worker: &Rc<Worker>, name: &Name, stream: TcpStream, source: SocketAddr, claim: Claim) {
    if let Some(listener) = worker.view().listener(name.as_str())
        && listener.compiled.listener.is_enabled
    {
        let opening = connection::open(Rc::clone(worker), Rc::clone(listener), stream, source, claim);
        // Boxed, because it is soon over, and the runtime moves what it is given several times over.
        match Tenure::of(listener) {
            None => tokio::task::spawn_local(connection::serve(Box::pin(opening))),
            Some(tenure) => {
                tokio::task::spawn_local(serve_within(tenure, name.clone(), worker.changes(), Box::pin(opening)))
            }
        };
    }
}

/// Serves a connection to its end, at the latest to that of its listener.
async fn serve_within(
    tenure: Tenure,
    listener: Name,
    changes: watch::Receiver<Arc<Snapshot>>,
    opening: Pin<Box<impl Future<Output = Option<Opened>>>>,
) {
    let mut over = pin!(tenure.over(listener, changes));
    let opened = tokio::select! {
        biased;
        () = &mut over => return,
        opened = opening => opened,
    };
    let Some(opened) = opened else { return };
    if opened.is_relayed() {
        return connection::serve(Box::pin(ready(Some(opened)))).await; // it looks itself, so that it can end in its own way
    }
    let socket = opened.second_handle();
    let mut serving = pin!(connection::serve(Box::pin(ready(Some(opened)))));
    tokio::select! {
        biased;
        () = &mut serving => return,
        () = &mut over => {}
    }
    // As if the client had gone: every exchange ends and is accounted for in the way in which it does then.
    if socket.is_ok_and(|socket| socket.shutdown(Shutdown::Read).is_ok()) {
        // Either end is fine; what still lies in front of the end may not be read.
        let _ = tokio::time::timeout(PATIENCE, serving).await;
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
