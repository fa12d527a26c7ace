//! Server-Sent Events of the control API (HTML Standard §9.2), one after the other.

use std::ops::ControlFlow;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use super::connect::connect;
use super::{ANSWER_BYTES_MAX, Base, Call, Credentials, Reply, unreachable};
use crate::exit::{Exit, Failure};

/// Calls, and hands kind and data of each event to `on_event` until that breaks; the API's own end of it is a failure.
pub(crate) fn follow(
    (base, credentials): (&Base, &Credentials),
    call: &Call,
    on_event: impl FnMut(&str, &str) -> Result<ControlFlow<()>, Failure>,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let lost = |error: anyhow::Error| {
            Failure::new(
                Exit::Unreachable,
                format!("lost the control API at {base}: {error:#}; is squall running there?"),
            )
        };
        let request = call.request(base, credentials.token()?.as_ref()).map_err(anyhow::Error::from)?;
        let tls = matches!(base, Base::Https(_)).then(|| credentials.tls()).transpose()?;
        let socket = connect(base, tls).await.map_err(|error| unreachable(base, format_args!("{error:#}")))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await;
        let (mut sender, connection) = handshake.map_err(|error| lost(error.into()))?;
        let going = tokio::spawn(connection);
        let (head, body) = sender.send_request(request).await.map_err(|error| lost(error.into()))?.into_parts();
        let result = if head.status.is_success() {
            events(body, on_event).await.and_then(|end| end.ok_or_else(|| lost(anyhow::anyhow!("it ended"))))
        } else {
            let body =
                Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| lost(anyhow::anyhow!(error)))?;
            Reply { status: head.status, body: body.to_bytes() }.into_value().map(drop)
        };
        going.abort();
        result
    })
}

/// `None` when the stream ends before `on_event` had enough.
async fn events(
    mut body: Incoming,
    mut on_event: impl FnMut(&str, &str) -> Result<ControlFlow<()>, Failure>,
) -> Result<Option<()>, Failure> {
    let mut lines = Lines::default();
    while let Some(Ok(frame)) = body.frame().await {
        for (kind, data) in lines.take(&frame.into_data().unwrap_or_default()) {
            if on_event(&kind, &data)?.is_break() {
                return Ok(Some(()));
            }
        }
    }
    Ok(None)
}

/// Puts events together from pieces.
#[derive(Debug, Default)]
struct Lines {
    rest: Vec<u8>,
    kind: String,
    data: String,
}

impl Lines {
    fn take(&mut self, piece: &Bytes) -> Vec<(String, String)> {
        self.rest.extend_from_slice(piece);
        let mut events = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            match line.trim_end().split_once(':') {
                Some(("event", kind)) => self.kind = kind.trim_start().to_owned(),
                Some(("data", data)) => self.data.push_str(data.trim_start()),
                None if line.trim_end().is_empty() && !self.data.is_empty() => {
                    events.push((std::mem::take(&mut self.kind), std::mem::take(&mut self.data)));
                }
                _ => {}
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_any_pieces() {
        let text = ": watching\n\nevent: exchange\ndata: {\"a\":1}\n\n:\n\nevent: missed\ndata: {}\n\n";
        for size in [1, 2, 7, text.len()] {
            let mut lines = Lines::default();
            let events: Vec<_> =
                text.as_bytes().chunks(size).flat_map(|piece| lines.take(&Bytes::copy_from_slice(piece))).collect();
            let expected = [("exchange", "{\"a\":1}"), ("missed", "{}")].map(|(k, d)| (k.to_owned(), d.to_owned()));
            assert_eq!(events, expected, "{size}");
        }
    }
}
