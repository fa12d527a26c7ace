//! What Squall stands before: one upstream for the neighbour and for the attackers, which takes the time of the one for itself
//! and that of the others elsewhere.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use squall_integration::origin::Peer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::cores::{Place, run_at_once};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const NEIGHBOUR: &[u8] = b"GET /neighbour";

/// How a request that is not the neighbour's is served, by its first line; whether the connection goes on.
type WithOthers = dyn Fn(&mut Peer, &str) -> bool + Send + Sync;

/// Runs until the process ends.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    /// Whole requests that came on connections of others than the neighbour.
    others: Arc<AtomicUsize>,
}

impl Upstream {
    /// One thread where this one runs, for all connections; those that carry a request of somebody else move to a thread each
    /// beside the attackers.
    pub(crate) fn start(with_others: impl Fn(&mut Peer, &str) -> bool + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        // As many as an attack opens at once.
        socket2::SockRef::from(&listener).listen(4096).unwrap();
        let (address, others) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let (count, with_others) = (Arc::clone(&others), Arc::new(with_others) as Arc<WithOthers>);
        // Threads start where the one runs that starts them.
        let (elsewhere, moved) = channel::<std::net::TcpStream>();
        std::thread::spawn(move || {
            Place::Attack.enter();
            for stream in moved {
                let (count, with_others) = (Arc::clone(&count), Arc::clone(&with_others));
                std::thread::spawn(move || serve_others(stream, &count, &*with_others));
            }
        });
        std::thread::spawn(move || {
            run_at_once();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, elsewhere.clone()));
                }
            });
        });
        Self { address, others }
    }

    /// How many whole requests of others than the neighbour came.
    pub(crate) fn others(&self) -> usize {
        self.others.load(Relaxed)
    }
}

async fn serve(mut stream: TcpStream, elsewhere: Sender<std::net::TcpStream>) {
    let _ = stream.set_nodelay(true);
    let mut line = [0; NEIGHBOUR.len()];
    while let Ok(1..) = stream.peek(&mut line).await {
        if line != NEIGHBOUR {
            return elsewhere.send(stream.into_std().unwrap()).unwrap();
        }
        // One read has all of it: it is one small write of Squall's.
        let mut request = [0; 1024];
        if stream.read(&mut request).await.is_err() || stream.write_all(OK).await.is_err() {
            return;
        }
    }
}

fn serve_others(stream: std::net::TcpStream, others: &AtomicUsize, with_others: &WithOthers) {
    let _ = stream.set_nonblocking(false);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
    let mut peer = Peer::new(stream);
    while let Some(request) = peer.request() {
        others.fetch_add(1, Relaxed);
        let goes_on = match request.line.contains("/neighbour") {
            true => answer_ok(&mut peer, ""),
            false => with_others(&mut peer, &request.line),
        };
        if !goes_on {
            return;
        }
    }
}

/// Answers 200, and goes on.
pub(crate) fn answer_ok(peer: &mut Peer, _line: &str) -> bool {
    peer.send(OK);
    true
}
