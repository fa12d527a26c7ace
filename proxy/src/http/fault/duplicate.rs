//! A request that the upstream gets twice.

use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request;
use http_body::Body;
use squall_fault::snapshot::RuleState;

use crate::http::request::Incoming;
use crate::http::request_body::RequestBody;
use crate::http::response::{AnswerBody, Answered};
use crate::upstream::connect::Upstream;

/// How a request is to be sent a second time.
#[derive(Debug)]
pub(crate) struct Copy {
    pub(super) after: Duration,
    pub(super) rule: Arc<RuleState>,
}

/// A body that is longer is not copied, nor is its request sent twice.
const BODY_MAX: usize = 1024 * 1024;
/// How long the answer to the copy is waited for.
const ANSWER_MAX: Duration = Duration::from_secs(60);

impl Copy {
    /// Sends the request a second time, beside the exchange; what is answered is read and dropped. The body is as it was
    /// before, for the first time.
    pub(crate) async fn send(self, to: Upstream<'_>, head: &request::Parts, body: &mut RequestBody) {
        let Some(whole) = read(body).await else {
            self.rule.skipped_not_applicable.fetch_add(1, Relaxed);
            return;
        };
        let (cluster, endpoint, carried) = (Rc::clone(to.cluster), Rc::clone(to.endpoint), *to.carried);
        let copy = Incoming { head: Box::new(head.clone()), body: RequestBody::full(whole) };
        tokio::task::spawn_local(async move {
            tokio::time::sleep(self.after).await;
            let exchange = async {
                let mut answered = Answered::empty();
                let to = Upstream { cluster: &cluster, endpoint: &endpoint, carried: &carried };
                match to.send(copy, Instant::now(), None, &mut answered).await {
                    Ok(()) => drop_answer(answered.body).await,
                    Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "the copy failed"),
                }
            };
            // The copy is nobody's answer: it ends when it likes, or when it had its time.
            let _ = tokio::time::timeout(ANSWER_MAX, exchange).await;
        });
    }
}

/// Reads a body, as far as it is copied, and puts back what was read of it; the copy, if there is one.
async fn read(body: &mut RequestBody) -> Option<Bytes> {
    let (mut frames, mut copy, mut is_whole) = (VecDeque::new(), Vec::new(), true);
    while is_whole && !body.is_end_stream() {
        let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await else { break };
        is_whole = frame.is_ok();
        if let Some(data) = frame.as_ref().ok().and_then(|frame| frame.data_ref()) {
            copy.extend_from_slice(data);
        }
        frames.push_back(frame);
        is_whole &= copy.len() <= BODY_MAX;
    }
    *body = std::mem::take(body).resumed(frames);
    is_whole.then(|| copy.into())
}

async fn drop_answer(mut body: AnswerBody) {
    let next = |body: &mut AnswerBody, cx: &mut std::task::Context<'_>| body.poll_upstream(cx);
    while let Some(Ok(_)) = std::future::poll_fn(|cx| next(&mut body, cx)).await {}
}
