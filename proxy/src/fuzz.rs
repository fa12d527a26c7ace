//! What reads the bytes of strangers, for the targets of `integration/fuzz`. Nothing of a build without the feature `fuzz`.
//! Each function panics when what it reads depends on how the bytes were cut into pieces, or is not taken as it was meant.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use futures_util::FutureExt;
use squall_config::model::ListenerProtocol;
use tokio::io::{AsyncRead, ReadBuf};

use crate::http1::chunks::Chunks;
use crate::http1::decoder::Decoder;
use crate::http1::input::Input;
use crate::http1::response_head::AnswerTo;
use crate::http1::{request_head, response_head};
use crate::net::proxy_protocol;
use crate::protocol::classify;
use crate::tls::hello;

const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Comes in pieces of one size, then ends.
struct Pieces<'a> {
    rest: &'a [u8],
    size: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let n = self.size.min(self.rest.len()).min(buf.remaining());
        let (piece, rest) = self.rest.split_at(n);
        buf.put_slice(piece);
        self.rest = rest;
        Poll::Ready(Ok(()))
    }
}

/// A request: its head, and the body that the head announces.
pub fn request(bytes: &[u8], size: usize) {
    let at_once = head_of_request(bytes, bytes.len().max(1));
    assert_eq!(at_once, head_of_request(bytes, size.max(1)), "pieces of {size}");
}

/// What a request is taken for: the words of its head, the bytes of its body, and whether that came to its end.
fn head_of_request(bytes: &[u8], size: usize) -> Option<(String, Vec<u8>, bool)> {
    let (mut io, mut input, mut searched) = (Pieces { rest: bytes, size }, Input::default(), 0);
    let mut cx = Context::from_waker(Waker::noop());
    let head = loop {
        match request_head::take(&mut input, &mut searched, HEAD_BYTES_MAX) {
            Err(_) => return None,
            Ok(Some(head)) => break head,
            Ok(None) => {}
        }
        if !matches!(input.poll_fill(&mut io, &mut cx, 0), Poll::Ready(Ok(1..))) {
            return None;
        }
    };
    let words = format!("{:?} {:?} {:?}", head.parts.method, head.parts.uri, head.parts.headers);
    let is_chunked = matches!(head.body, Decoder::Chunked(_));
    match body(head.body, &mut input, &mut io) {
        // What is broken and came along is refused with the head.
        (_, false) if is_chunked => None,
        (data, is_whole) => Some((words, data, is_whole)),
    }
}

fn body(mut decoder: Decoder, input: &mut Input, io: &mut Pieces<'_>) -> (Vec<u8>, bool) {
    let (mut data, mut cx) = (Vec::new(), Context::from_waker(Waker::noop()));
    while let Poll::Ready(Some(frame)) = decoder.poll_frame(input, io, &mut cx) {
        let Ok(frame) = frame else { return (data, false) };
        data.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
    }
    (data, decoder.is_done())
}

/// The answer of an upstream: its head, and the body that the head announces.
pub fn response(bytes: &[u8], size: usize) {
    let (mut io, mut input) = (Pieces { rest: bytes, size: size.max(1) }, Input::default());
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        match response_head::take(&mut input, AnswerTo::Other) {
            Err(_) => return,
            Ok(Some(head)) => {
                body(head.body, &mut input, &mut io);
                return;
            }
            Ok(None) => {}
        }
        if !matches!(input.poll_fill(&mut io, &mut cx, 0), Poll::Ready(Ok(1..))) {
            return;
        }
    }
}

/// A chunked body, as of a request and as of an answer.
pub fn chunks(bytes: &[u8], size: usize) {
    for chunks in [Chunks::new(), Chunks::of_response()] {
        let decode = |size: usize| {
            let mut io = Pieces { rest: bytes, size: size.max(1) };
            body(Decoder::Chunked(Box::new(chunks.clone())), &mut Input::default(), &mut io)
        };
        assert_eq!(decode(bytes.len()), decode(size), "pieces of {size}");
    }
}

/// The first bytes of a connection: which protocol, and whose it is.
pub fn first_bytes(bytes: &[u8]) {
    for expected in [ListenerProtocol::Http, ListenerProtocol::Auto] {
        // More bytes do not change what the first ones have made clear.
        let clear = (0..=bytes.len().min(64)).find_map(|n| classify(&bytes[..n], expected));
        if let Some(clear) = clear {
            assert_eq!(classify(bytes, expected), Some(clear));
        }
    }
    if let Ok(Some(end)) = proxy_protocol::end_of_header(bytes) {
        assert!(end <= bytes.len(), "a header ends where there is something");
        let _ = proxy_protocol::parse(&bytes[..end]);
    }
}

/// A ClientHello that is looked at and passed on.
pub fn client_hello(bytes: &[u8], size: usize) {
    let name = |size: usize| {
        let (mut io, mut seen) = (Pieces { rest: bytes, size: size.max(1) }, BytesMut::new());
        hello::read(&mut io, &mut seen).now_or_never().map(Result::ok)
    };
    assert_eq!(name(bytes.len()), name(size), "pieces of {size}");
}
