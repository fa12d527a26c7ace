//! A protocol switch: HTTP until the upstream says 101, bytes from then on (RFC 9110 §7.8).

use std::rc::Rc;

use http::header::HeaderValue;
use http::{Response, request};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::request::offered_upgrade;
use super::wire::Decision;
use crate::connection::Downstream;

/// Downstream's offer. Dropped without [`Upgrade::accept`], the connection goes on with HTTP.
#[derive(Debug)]
pub(crate) struct Upgrade {
    downstream: Rc<Downstream>,
    protocol: HeaderValue,
    on_downstream: Option<OnUpgrade>,
}

impl Upgrade {
    /// The offer of this request, if it makes one that can be tunnelled.
    ///
    /// The gate holds all input of a connection that offers any upgrade; an offer that is not passed on is declined
    /// here, so that the input flows again.
    pub(crate) fn offered(parts: &mut request::Parts, downstream: &Rc<Downstream>) -> Option<Self> {
        if !parts.headers.contains_key(http::header::UPGRADE) {
            return None;
        }
        let Some(protocol) = offered_upgrade(parts) else {
            downstream.wire.decide(Decision::Http);
            return None;
        };
        let on_downstream = parts.extensions.remove::<OnUpgrade>();
        Some(Self { downstream: Rc::clone(downstream), protocol, on_downstream })
    }

    pub(crate) fn protocol(&self) -> HeaderValue {
        self.protocol.clone()
    }

    /// The upstream switches: relays bytes both ways once both sides have.
    pub(crate) fn accept(mut self, response: &mut Response<Incoming>) {
        let Some(on_downstream) = self.on_downstream.take() else { return };
        let on_upstream = hyper::upgrade::on(response);
        let downstream = Rc::clone(&self.downstream);
        downstream.wire.decide(Decision::Tunnel);
        tokio::task::spawn_local(async move {
            // Holding the connection keeps it counted, so that a drain waits for the tunnel.
            let (upgraded, upstream) = match (on_downstream.await, on_upstream.await) {
                (Ok(downstream), Ok(upstream)) => (downstream, upstream),
                (Err(error), _) | (_, Err(error)) => return tracing::debug!(%error, "upgrade failed"),
            };
            let (mut a, mut b) = (TokioIo::new(upgraded), TokioIo::new(upstream));
            if let Err(error) = tokio::io::copy_bidirectional(&mut a, &mut b).await {
                tracing::debug!(%error, listener = %downstream.listener_name, "tunnel ended");
            }
        });
    }
}

impl Drop for Upgrade {
    fn drop(&mut self) {
        if self.on_downstream.is_some() {
            self.downstream.wire.decide(Decision::Http);
        }
    }
}
