//! A request that the upstream gets twice.

use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Response, request};
use http_body::Body;
use squall_fault::snapshot::RuleState;

use crate::http::body::{BoxError, RequestBody, Source};
use crate::http::request::Incoming;
use crate::net::proxy_protocol::Ends;
use crate::upstream;
use crate::upstream::cluster::{ClusterState, EndpointState};

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
    /// Sends the request a second time, beside the exchange; what is answered is read and dropped. Gives the body back
    /// for the first time.
    pub(crate) async fn send(
        self,
        (cluster, endpoint): (&Rc<ClusterState>, &Rc<EndpointState>),
        carried: Ends,
        head: &request::Parts,
        body: RequestBody,
    ) -> RequestBody {
        let (body, whole) = read(body).await;
        let Some(whole) = whole else {
            self.rule.skipped_not_applicable.fetch_add(1, Relaxed);
            return body;
        };
        let (cluster, endpoint) = (Rc::clone(cluster), Rc::clone(endpoint));
        let copy = Incoming { head: Box::new(head.clone()), body: RequestBody::full(whole) };
        tokio::task::spawn_local(async move {
            tokio::time::sleep(self.after).await;
            let exchange = async {
                let (mut head, mut source) = (Response::new(()).into_parts().0, Source::Empty);
                let answer = (&mut head, &mut source);
                match upstream::send((&cluster, &endpoint), copy, &carried, (Instant::now(), None), answer).await {
                    Ok(()) => drop_answer(source).await,
                    Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "the copy failed"),
                }
            };
            // The copy is nobody's answer: it ends when it likes, or when it had its time.
            let _ = tokio::time::timeout(ANSWER_MAX, exchange).await;
        });
        body
    }
}

/// Reads a body, as far as it is copied; gives back all of it for the first time, and the copy if there is one.
async fn read(mut body: RequestBody) -> (RequestBody, Option<Bytes>) {
    let (mut frames, mut copy) = (VecDeque::new(), Vec::new());
    while !body.is_end_stream() {
        let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await else { break };
        let is_error = frame.is_err();
        if let Some(data) = frame.as_ref().ok().and_then(|frame| frame.data_ref()) {
            copy.extend_from_slice(data);
        }
        frames.push_back(frame);
        if is_error || copy.len() > BODY_MAX {
            return (body.resumed(frames), None);
        }
    }
    (body.resumed(frames), Some(copy.into()))
}

async fn drop_answer(mut source: Source) {
    let next = |source: &mut Source, cx: &mut std::task::Context<'_>| source.poll_upstream(cx);
    while let Some(Ok(_)) = std::future::poll_fn(|cx| next(&mut source, cx)).await {}
}

/// Frames that were read already.
pub(crate) type Frames = VecDeque<Result<http_body::Frame<Bytes>, BoxError>>;
