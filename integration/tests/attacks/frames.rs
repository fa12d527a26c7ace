//! HTTP/2, frame by frame and byte by byte (RFC 9113 §4.1): a client that does what no library would.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use std::io::{Read, Write};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// `GET /` of `http://b`, in the static table and literals (RFC 7541).
pub(crate) const GET: &[u8] = &[0x82, 0x84, 0x86, 0x41, 0x01, b'b'];
/// `POST /` of the same.
pub(crate) const POST: &[u8] = &[0x83, 0x84, 0x86, 0x41, 0x01, b'b'];

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A connection whose preface and SETTINGS are sent.
pub(crate) struct Wire {
    stream: TcpStream,
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::with_settings(address, &[])
    }

    /// With entries of SETTINGS: identifier and value.
    pub(crate) fn with_settings(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
        let entries: Vec<u8> =
            settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
        let mut wire = Self { stream };
        assert!(wire.send(&[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &entries)].concat()));
        wire
    }

    /// Whether the bytes were taken.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends these bytes over and over while they are taken, at most so often, until a GOAWAY comes; its code.
    pub(crate) fn flood(&mut self, bytes: &[u8], times: usize) -> Option<u32> {
        let mut reader = Self { stream: self.stream.try_clone().unwrap() };
        std::thread::scope(|scope| {
            // What is not read is lost when the peer closes.
            let goaway = scope.spawn(move || {
                let code = reader.goaway();
                let _is_gone = reader.stream.shutdown(std::net::Shutdown::Both);
                code
            });
            self.pour(bytes, times);
            goaway.join().unwrap()
        })
    }

    fn pour(&mut self, bytes: &[u8], times: usize) {
        let at_once = (16 * 1024 / bytes.len()).max(1);
        let many = bytes.repeat(at_once);
        let mut left = times;
        while left > 0 && self.send(&many[..left.min(at_once) * bytes.len()]) {
            left = left.saturating_sub(at_once);
        }
    }

    /// The next frame: kind, flags, stream and payload. `None` at the end of the connection, however it ends.
    pub(crate) fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).ok()?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        Some((head[3], head[4], stream, payload))
    }

    /// Reads on to the first frame of this kind; `None` when the connection ends before.
    pub(crate) fn next_of(&mut self, kind: u8) -> Option<(u8, u32, Vec<u8>)> {
        std::iter::from_fn(|| self.next())
            .find(|frame| frame.0 == kind)
            .map(|(_, flags, stream, bytes)| (flags, stream, bytes))
    }

    /// The code of the GOAWAY that ends the connection.
    pub(crate) fn goaway(&mut self) -> Option<u32> {
        let (_, _, payload) = self.next_of(GOAWAY)?;
        Some(u32::from_be_bytes(payload.get(4..8)?.try_into().ok()?))
    }

    /// The code of the RST_STREAM of a stream.
    pub(crate) fn reset_of(&mut self, stream: u32) -> Option<u32> {
        loop {
            let (_, of, payload) = self.next_of(RST_STREAM)?;
            if of == stream {
                return Some(u32::from_be_bytes(payload.get(..4)?.try_into().ok()?));
            }
        }
    }
}
