//! The body of a received message: from framed bytes to frames.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;
use tokio::io::AsyncRead;

use super::chunks::{Chunks, Malformed, Next};
use super::input::Input;

/// Why a body did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the connection ended before the body did")]
    Truncated,
    #[error("reading failed")]
    Io(#[from] io::Error),
}

/// What is left of a body.
#[derive(Debug)]
pub(crate) enum Decoder {
    /// Nothing.
    Done,
    /// So many bytes, at least 1.
    Length(u64),
    Chunked(Box<Chunks>),
    /// Everything until the connection ends (responses only).
    UntilEnd,
}

impl Decoder {
    /// A body of so many bytes.
    pub(crate) fn length(bytes: u64) -> Self {
        if bytes == 0 { Self::Done } else { Self::Length(bytes) }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// The length, where the framing tells it.
    pub(crate) fn exact(&self) -> Option<u64> {
        match self {
            Self::Done => Some(0),
            Self::Length(left) => Some(*left),
            Self::Chunked(_) | Self::UntilEnd => None,
        }
    }

    /// Reads on until there is a frame, or the end.
    pub(crate) fn poll_frame<R: AsyncRead + Unpin>(
        &mut self,
        input: &mut Input,
        io: &mut R,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            if let Some(frame) = self.decode(input)? {
                return Poll::Ready(Some(Ok(frame)));
            }
            if self.is_done() {
                return Poll::Ready(None);
            }
            if !input.has_ended() {
                ready!(input.poll_fill(io, cx, self.wanted()))?;
            } else if matches!(self, Self::UntilEnd) {
                *self = Self::Done;
            } else {
                return Poll::Ready(Some(Err(BodyError::Truncated)));
            }
        }
    }

    /// The next frame that is in the input already.
    fn decode(&mut self, input: &mut Input) -> Result<Option<Frame<Bytes>>, Malformed> {
        if input.is_empty() {
            return Ok(None);
        }
        match self {
            Self::Done => Ok(None),
            Self::UntilEnd => Ok(Some(Frame::data(input.take(input.len())))),
            Self::Length(left) => {
                let n = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *self = Self::length(*left - n as u64);
                Ok(Some(Frame::data(input.take(n))))
            }
            Self::Chunked(chunks) => match chunks.advance(input.bytes())? {
                Next::More { framing } => {
                    input.take(framing);
                    Ok(None)
                }
                Next::Data { framing, data } => {
                    input.take(framing);
                    Ok(Some(Frame::data(input.take(data))))
                }
                Next::End { framing } => {
                    let trailers = chunks.trailers()?;
                    input.take(framing);
                    *self = Self::Done;
                    Ok(trailers.map(Frame::trailers))
                }
            },
        }
    }

    /// How many bytes are certain to come, or likely.
    fn wanted(&self) -> u64 {
        match self {
            Self::Done => 0,
            Self::Length(left) => *left,
            Self::Chunked(chunks) => chunks.left(),
            Self::UntilEnd => u64::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::task::Waker;

    use proptest::prelude::*;
    use tokio::io::ReadBuf;

    use super::*;

    /// A reader that yields its pieces one by one, then its end.
    struct Pieces(VecDeque<Vec<u8>>);

    impl AsyncRead for Pieces {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            if let Some(piece) = self.0.pop_front() {
                buf.put_slice(&piece);
            }
            Poll::Ready(Ok(()))
        }
    }

    /// Data, number of trailers, and what follows, of a body that comes in pieces of these sizes, over and over.
    fn decoded(mut decoder: Decoder, bytes: &[u8], sizes: &[usize]) -> Result<(Vec<u8>, usize, Vec<u8>), BodyError> {
        let (mut pieces, mut rest) = (VecDeque::new(), bytes);
        for size in sizes.iter().cycle() {
            let (piece, after) = rest.split_at((*size).min(rest.len()));
            if piece.is_empty() {
                break;
            }
            pieces.push_back(piece.to_vec());
            rest = after;
        }
        let (mut io, mut input, mut data, mut trailers) = (Pieces(pieces), Input::default(), Vec::new(), 0);
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(frame)) = decoder.poll_frame(&mut input, &mut io, &mut cx) {
            match frame?.into_data() {
                Ok(bytes) => data.extend_from_slice(&bytes),
                Err(frame) => trailers += frame.into_trailers().unwrap().len(),
            }
        }
        let rest: Vec<u8> = io.0.into_iter().flatten().collect();
        Ok((data, trailers, [input.bytes(), &rest[..]].concat()))
    }

    fn chunked() -> Decoder {
        Decoder::Chunked(Box::new(Chunks::new()))
    }

    const CHUNKED: &[u8] = b"5;q=1\r\nhello\r\n00000A\r\n0123456789\r\n0\r\nT: x\r\nU: y\r\n\r\nGET /";

    proptest! {
        #[test]
        fn pieces_do_not_matter(sizes in proptest::collection::vec(1usize..40, 1..20)) {
            let whole = decoded(chunked(), CHUNKED, &sizes).unwrap();
            prop_assert_eq!(whole, (b"hello0123456789".to_vec(), 2, b"GET /".to_vec()));
            let whole = decoded(Decoder::length(7), b"exactly and more", &sizes).unwrap();
            prop_assert_eq!(whole, (b"exactly".to_vec(), 0, b" and more".to_vec()));
            let whole = decoded(Decoder::UntilEnd, b"all of it", &sizes).unwrap();
            prop_assert_eq!(whole, (b"all of it".to_vec(), 0, Vec::new()));
        }

        #[test]
        fn any_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300), size in 1usize..300) {
            let _ = decoded(chunked(), &bytes, &[size]);
        }

        #[test]
        fn a_body_cut_short_is_an_error(cut in 0..CHUNKED.len() - 5, size in 1usize..40) {
            prop_assert!(matches!(decoded(chunked(), &CHUNKED[..cut], &[size]), Err(BodyError::Truncated)));
        }
    }

    #[test]
    fn what_breaks_the_grammar_is_malformed() {
        for bad in [
            &b"zz\r\n"[..],
            b"-1\r\n",
            b"1\nX\r\n0\r\n\r\n",
            b"1\r\nXY\r\n0\r\n\r\n",
            b"fffffffffffffffff\r\n",
            b"1;a\rb\r\nX\r\n0\r\n\r\n",
            b"1 \r\nX\r\n0\r\n\r\n",
            b"0\r\n folded: x\r\n\r\n",
            b"0\r\nno colon\r\n\r\n",
        ] {
            assert!(matches!(decoded(chunked(), bad, &[400]), Err(BodyError::Malformed(_))), "{bad:?}");
            assert!(Chunks::new().check(bad).is_err());
        }
        let extended = b"1;a=0123456789\r\nX\r\n".repeat(2000);
        assert!(Chunks::new().check(&extended[..extended.len() / 2]).is_ok());
        assert!(Chunks::new().check(&extended).is_err());
        let padded = Decoder::Chunked(Box::new(Chunks::of_response()));
        assert_eq!(decoded(padded, b"1 \r\nX\r\n0\r\n\r\n", &[400]).unwrap().0, b"X");
    }
}
