//! What comes of a request that is refused already.

use std::time::Duration;

use axum::body::BodyDataStream;
use futures_util::StreamExt;

/// More than anybody sends who means well: that of a review.
const BYTES_MAX: usize = 7 << 20;
/// The API server waits no longer for the whole answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Lets a client send the rest of what is not going to be read, within bounds: one that is still sending may not see the
/// answer.
pub(crate) async fn read_on(mut stream: BodyDataStream) {
    let rest = async {
        let mut n_left = BYTES_MAX;
        while let Some(Ok(part)) = stream.next().await {
            let Some(left) = n_left.checked_sub(part.len()) else { return };
            n_left = left;
        }
    };
    let _too_slow = tokio::time::timeout(TIMEOUT, rest).await;
}
