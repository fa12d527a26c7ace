//! An upstream that does exactly what a script says, byte for byte.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::message::{Answer, Fields, read_chunked, read_head};
use crate::programs::free_address;
use crate::wait::PATIENCE;

/// A request as it came over the wire.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Start line.
    pub line: String,
    /// Names in lower case, in order.
    pub headers: Fields,
    /// Without framing.
    pub body: Vec<u8>,
}

impl Seen {
    /// All values of a header.
    pub fn header_all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect()
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_all(name).first().copied()
    }
}

/// One accepted connection.
#[derive(Debug)]
pub struct Peer {
    /// 0 for the first connection.
    pub number: usize,
    reader: BufReader<TcpStream>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Peer {
    /// A connection that the caller has accepted.
    pub fn new(stream: TcpStream) -> Self {
        Self { number: 0, reader: BufReader::new(stream), seen: Arc::default() }
    }

    /// Reads one request (head and body) and notes it; `None` when the peer ends before all of it came.
    pub fn request(&mut self) -> Option<Seen> {
        let (line, headers) = read_head(&mut self.reader).ok().flatten()?;
        let mut seen = Seen { line, headers, body: Vec::new() };
        if seen.header("transfer-encoding").is_some() {
            let mut answer = Answer { headers: seen.headers.clone(), ..Default::default() };
            read_chunked(&mut self.reader, &mut answer).ok()?;
            if !answer.complete {
                return None;
            }
            seen.body = answer.body;
        } else if let Some(length) = seen.header("content-length").and_then(|v| v.parse::<u64>().ok()) {
            (&mut self.reader).take(length).read_to_end(&mut seen.body).ok()?;
            if seen.body.len() as u64 != length {
                return None;
            }
        }
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(seen.clone());
        Some(seen)
    }

    /// Reads the head of a request, gives its first line, and lets the body be; `None` when the peer ends before all of it came.
    pub fn read_head(&mut self) -> Option<String> {
        let (line, _) = read_head(&mut self.reader).ok().flatten()?;
        Some(line)
    }

    /// Sends bytes; a peer that is gone is not our affair.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.reader.get_mut().write_all(bytes.as_ref());
    }

    /// Reads up to `count` bytes; fewer mean the end.
    pub fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = (&mut self.reader).take(count as u64).read_to_end(&mut bytes);
        bytes
    }

    /// Reads to the end and tells whether that was FIN, RST or nothing for so long.
    pub fn read_to_end(&mut self) -> (Vec<u8>, crate::raw::End) {
        let mut bytes = Vec::new();
        let end = match self.reader.read_to_end(&mut bytes) {
            Ok(_) => crate::raw::End::Fin,
            Err(e) => crate::raw::end_of(&e).unwrap_or(crate::raw::End::Reset),
        };
        (bytes, end)
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// Closes with RST.
    pub fn reset(self) {
        let socket = socket2::Socket::from(self.reader.into_inner());
        let _ = socket.set_linger(Some(Duration::ZERO));
    }
}

/// A listening script. Its threads end with the process; they hold nothing but a socket.
#[derive(Debug)]
pub struct Origin {
    /// Where it listens.
    pub address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Origin {
    /// Runs `script` on a thread of its own for each connection.
    ///
    /// # Panics
    /// When no socket can be had.
    pub fn start(script: impl Fn(Peer) + Send + Sync + 'static) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), script)
    }

    /// Runs `script` on a thread of its own for each connection, at an address of the loopback network, such as 127.0.0.2.
    ///
    /// # Panics
    /// When the port is not free.
    pub fn start_at(address: SocketAddr, script: impl Fn(Peer) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).expect("a loopback port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        // As many as may come at once, where the standard library lets 128 wait.
        socket2::SockRef::from(&listener).listen(4096).expect("a bound socket can listen");
        let (accepted, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let origin = Self { address, accepted: Arc::clone(&accepted), seen: Arc::clone(&seen) };
        let script = Arc::new(script);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let number = accepted.fetch_add(1, Ordering::SeqCst);
                let _ = stream.set_nodelay(true);
                let _ = stream.set_read_timeout(Some(PATIENCE * 3));
                let peer = Peer { number, reader: BufReader::new(stream), seen: Arc::clone(&seen) };
                let script = Arc::clone(&script);
                std::thread::spawn(move || script(peer));
            }
        });
        origin
    }

    /// Answers every request with these bytes and keeps the connection open.
    pub fn answering(bytes: impl Into<Vec<u8>>) -> Self {
        Self::answering_at(SocketAddr::from(([127, 0, 0, 1], 0)), bytes)
    }

    /// Answers every request with these bytes and keeps the connection open, at an address of the loopback network.
    pub fn answering_at(address: SocketAddr, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start_at(address, move |mut peer| {
            while peer.request().is_some() {
                peer.send(&bytes);
            }
        })
    }

    /// Answers 200 with its own name as the body, so that a test can tell who answered.
    pub fn named(name: &str) -> Self {
        Self::named_at(name, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Answers 200 with its own name as the body, at an address of the loopback network.
    pub fn named_at(name: &str, address: SocketAddr) -> Self {
        Self::answering_at(address, format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()))
    }

    /// Answers the first request of each connection with these bytes and closes.
    pub fn answering_once(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |mut peer| {
            if peer.request().is_some() {
                peer.send(&bytes);
            }
        })
    }

    /// Answers 200 with the body `ok`.
    pub fn ok() -> Self {
        Self::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    }

    /// Sends every byte back, and FIN for FIN.
    pub fn mirror() -> Self {
        Self::start(|mut peer| {
            let mut buffer = [0; 16 * 1024];
            while let Ok(count @ 1..) = peer.reader.read(&mut buffer) {
                peer.send(&buffer[..count]);
            }
        })
    }

    /// How many connections came.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// The requests that were read whole.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

/// An address on which nobody listens: connections are refused.
///
/// # Panics
/// When no socket can be had.
pub fn refusing() -> SocketAddr {
    free_address()
}

/// A listener whose queue is full, so that further connections hang in SYN. Hold on to what is returned.
///
/// # Panics
/// When no socket can be had.
pub fn black_hole() -> (SocketAddr, Vec<socket2::Socket>) {
    let make =
        || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket can be made");
    let listener = make();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a loopback port is free");
    listener.listen(0).expect("a bound socket can listen");
    let address = listener.local_addr().ok().and_then(|a| a.as_socket()).expect("a bound socket has an address");
    let mut held = vec![listener];
    for _ in 0..4 {
        let client = make();
        client.set_nonblocking(true).expect("a socket takes options");
        let _ = client.connect(&address.into());
        held.push(client);
    }
    (address, held)
}
