//! A downstream client that sees bytes, FIN, RST and silence apart.

use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::message::{Answer, read_answer};
use crate::wait::PATIENCE;

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The peer closed in order.
    Fin,
    /// The peer sent RST (ECONNRESET).
    Reset,
    /// It is still open, and silent.
    Silence,
}

/// A TCP connection to Squall.
#[derive(Debug)]
pub struct RawClient {
    reader: BufReader<TcpStream>,
    /// A write met a reset: the kernel tells of it once, and reads see an end afterwards.
    was_reset: bool,
}

impl RawClient {
    /// Connects, with [`PATIENCE`] for every read.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap_or_else(|e| panic!("cannot connect to {address}: {e}"))
    }

    /// Connects to where a reset may come at once: one that comes before the connecting call has returned is the error
    /// of that call (`ConnectionReset`), although the handshake was complete.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true).expect("a connected socket takes options");
        stream.set_read_timeout(Some(PATIENCE)).expect("a connected socket takes options");
        stream.set_write_timeout(Some(PATIENCE)).expect("a connected socket takes options");
        Ok(Self { reader: BufReader::new(stream), was_reset: false })
    }

    /// Bounds each read from now on.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        self.stream().set_read_timeout(Some(patience)).expect("a connected socket takes options");
        self
    }

    /// The socket, for what this type does not do.
    pub fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// When the peer is gone; see [`Self::try_send`].
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.try_send(bytes).expect("the peer takes bytes");
        self
    }

    /// Sends bytes, as long as the peer takes them.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let sent = self.reader.get_mut().write_all(bytes.as_ref());
        self.was_reset |= sent.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset);
        sent
    }

    /// Sends FIN; answers can still be read.
    pub fn half_close(&mut self) -> &mut Self {
        self.stream().shutdown(Shutdown::Write).expect("an open socket can be half closed");
        self
    }

    /// Sends `GET path` on a connection that stays open and reads the answer.
    ///
    /// # Panics
    /// As [`Self::answer`].
    pub fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: b\r\n\r\n")).answer()
    }

    /// Reads one answer to a GET.
    ///
    /// # Panics
    /// When none comes.
    pub fn answer(&mut self) -> Answer {
        self.answer_to("GET")
    }

    /// Reads one answer to a request of this method.
    ///
    /// # Panics
    /// When none comes.
    pub fn answer_to(&mut self, method: &str) -> Answer {
        self.try_answer(method).unwrap_or_else(|e| panic!("no answer: {e} ({:?})", e.kind()))
    }

    /// Reads one answer, or tells what came in its place.
    pub fn try_answer(&mut self, method: &str) -> io::Result<Answer> {
        read_answer(&mut self.reader, method)
    }

    /// Reads exactly so many bytes.
    ///
    /// # Panics
    /// When fewer come.
    pub fn read_exact(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes).unwrap_or_else(|e| panic!("{count} bytes awaited: {e}"));
        bytes
    }

    /// Reads what comes until the stream ends or nothing comes for the patience of this client.
    ///
    /// # Panics
    /// On errors that are neither an end nor silence.
    pub fn read_to_end(&mut self) -> (Vec<u8>, End) {
        let mut bytes = Vec::new();
        let end = match self.reader.read_to_end(&mut bytes) {
            Ok(_) if self.was_reset => End::Reset,
            Ok(_) => End::Fin,
            Err(e) => end_of(&e).unwrap_or_else(|| panic!("neither FIN, RST nor silence: {e}")),
        };
        (bytes, end)
    }

    /// Whether nothing at all comes for this long.
    ///
    /// # Panics
    /// When the socket does not take the time limit.
    pub fn is_silent_for(&mut self, time: Duration) -> bool {
        let before = self.stream().read_timeout().expect("a socket knows its options");
        self.stream().set_read_timeout(Some(time)).expect("a connected socket takes options");
        let (bytes, end) = self.read_to_end();
        self.stream().set_read_timeout(before).expect("a connected socket takes options");
        bytes.is_empty() && end == End::Silence
    }

    /// Closes with RST.
    ///
    /// # Panics
    /// When the socket does not take the option.
    pub fn reset(self) {
        let socket = socket2::Socket::from(self.reader.into_inner());
        socket.set_linger(Some(Duration::ZERO)).expect("a connected socket takes options");
    }
}

/// Sends a request on a connection of its own and reads until the end: bytes, how it ended and how long it took.
pub fn exchange(address: SocketAddr, request: impl AsRef<[u8]>) -> (Vec<u8>, End, Duration) {
    let begin = Instant::now();
    let mut client = RawClient::connect(address);
    // A peer that refuses early may have closed before all was sent; what it answered still counts.
    let sent = client.try_send(request);
    let (bytes, end) = client.read_to_end();
    if let Err(e) = sent {
        assert!(!bytes.is_empty() || end == End::Reset, "neither taken nor answered: {e}");
    }
    (bytes, end, begin.elapsed())
}

/// The end that an error of a read stands for.
pub fn end_of(error: &io::Error) -> Option<End> {
    match error.kind() {
        ErrorKind::ConnectionReset => Some(End::Reset),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Some(End::Silence),
        ErrorKind::UnexpectedEof => Some(End::Fin),
        _ => None,
    }
}
