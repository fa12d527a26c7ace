//! A, which calls B for each request and passes on its ids, and B. As small as they can be: a thread for each connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::{Context, ensure};

/// What both answer, head and body.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 64\r\n\r\n\
    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Where B listens, which answers at once.
pub(crate) fn b() -> anyhow::Result<SocketAddr> {
    listen(|stream| {
        let mut messages = Messages::new(stream);
        while messages.next_head()?.is_some() {
            messages.stream.write_all(ANSWER)?;
        }
        Ok(())
    })
}

/// Where A listens, which calls B there.
pub(crate) fn a(to_b: SocketAddr) -> anyhow::Result<SocketAddr> {
    listen(move |stream| {
        let mut messages = Messages::new(stream);
        let mut calls = Messages::connect(to_b)?;
        while let Some(head) = messages.next_head()? {
            let mut call = String::from("GET /v1/price HTTP/1.1\r\nhost: b\r\nuser-agent: a/1.0\r\naccept: */*\r\n");
            for line in head.split("\r\n").filter(|line| is_id(line)) {
                call.push_str(line);
                call.push_str("\r\n");
            }
            call.push_str("\r\n");
            ensure!(calls.ask(call.as_bytes())?.starts_with("HTTP/1.1 200"), "B does not answer");
            messages.stream.write_all(ANSWER)?;
        }
        Ok(())
    })
}

fn is_id(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or_default();
    name.eq_ignore_ascii_case("traceparent") || name.eq_ignore_ascii_case("x-request-id")
}

fn listen(serve: impl Fn(TcpStream) -> anyhow::Result<()> + Clone + Send + 'static) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            // How a connection ends is the load's business.
            std::thread::spawn(move || drop(serve(stream)));
        }
    });
    Ok(address)
}

/// A connection on which messages come that have no body, or the one of [`ANSWER`].
pub(crate) struct Messages {
    pub(crate) stream: TcpStream,
    received: Vec<u8>,
}

impl Messages {
    fn new(stream: TcpStream) -> Self {
        Self { stream, received: Vec::new() }
    }

    /// Opens one.
    pub(crate) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self::new(stream))
    }

    /// Sends a request; the head of its answer.
    pub(crate) fn ask(&mut self, request: &[u8]) -> anyhow::Result<String> {
        self.stream.write_all(request)?;
        let head = self.next_head()?.context("no answer")?;
        let lengths = head.split("\r\n").filter_map(|line| line.split_once(": "));
        let length = lengths.filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).map(|(_, n)| n.parse());
        let length: usize = length.last().context("a length")??;
        while self.received.len() < length {
            ensure!(self.read()? > 0, "the answer is cut");
        }
        self.received.drain(..length);
        Ok(head)
    }

    /// The next head; `None` at the end.
    fn next_head(&mut self) -> anyhow::Result<Option<String>> {
        loop {
            if let Some(at) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.received.drain(..at + 4).collect();
                return Ok(Some(String::from_utf8(head)?));
            }
            if self.read()? == 0 {
                return Ok(None);
            }
        }
    }

    fn read(&mut self) -> anyhow::Result<usize> {
        let mut chunk = [0; 4096];
        let n = self.stream.read(&mut chunk)?;
        self.received.extend_from_slice(&chunk[..n]);
        Ok(n)
    }
}
