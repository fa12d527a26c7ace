//! The bytes of a review, within bounds: nobody has to show who he is before they are read.

use std::time::Duration;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use futures_util::StreamExt;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::refused::Refused;
use super::review::Review;
use crate::serve::rest::read_on;

/// An object has at most 1.5 MiB in the API server's store, and a review of an update has two of them. The number is that of
/// other webhooks.
pub(super) const BODY_BYTES_MAX: usize = 7 << 20;
/// Of all reviews that are being read.
const BYTES_MAX: usize = 64 << 20;
/// The API server waits no longer for the whole answer.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// What all bodies together may take.
#[derive(Debug)]
pub(super) struct Bodies(Semaphore);

impl Default for Bodies {
    fn default() -> Self {
        Self(Semaphore::new(BYTES_MAX))
    }
}

impl Bodies {
    /// Reads a review.
    pub(super) async fn review(&self, request: Request) -> Result<Review, Refused> {
        let content_type = request.headers().get(header::CONTENT_TYPE).cloned();
        let read = tokio::time::timeout(READ_TIMEOUT, self.bytes(request)).await;
        let (bytes, _held) = read.unwrap_or_else(|_elapsed| {
            Err(Refused(StatusCode::REQUEST_TIMEOUT, format!("the body took longer than {READ_TIMEOUT:?}")))
        })?;
        Review::read(&bytes).map_err(|detail| {
            let is_json = content_type.as_ref().is_none_or(|value| value.as_bytes().starts_with(b"application/json"));
            let hint = if is_json { "" } else { "; the content type is not application/json" };
            Refused(StatusCode::BAD_REQUEST, format!("{detail}{hint}"))
        })
    }

    async fn bytes(&self, request: Request) -> Result<(Vec<u8>, Option<SemaphorePermit<'_>>), Refused> {
        let (mut bytes, mut held) = (Vec::new(), None::<SemaphorePermit<'_>>);
        let mut stream = request.into_body().into_data_stream();
        while let Some(part) = stream.next().await {
            let part = part.map_err(|_error| Refused(StatusCode::BAD_REQUEST, "the body broke off".to_owned()))?;
            if bytes.len() + part.len() > BODY_BYTES_MAX {
                drop((bytes, held));
                read_on(stream).await;
                let detail = format!("the body has more than {BODY_BYTES_MAX} bytes");
                return Err(Refused(StatusCode::PAYLOAD_TOO_LARGE, detail));
            }
            let n = u32::try_from(part.len()).unwrap_or(u32::MAX);
            let more = self
                .0
                .try_acquire_many(n)
                .map_err(|_full| Refused(StatusCode::SERVICE_UNAVAILABLE, "too many reviews at once".to_owned()))?;
            match &mut held {
                Some(held) => held.merge(more),
                None => held = Some(more),
            }
            bytes.extend_from_slice(&part);
        }
        Ok((bytes, held))
    }
}
