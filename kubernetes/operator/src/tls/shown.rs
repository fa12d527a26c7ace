//! What handshakes show, replaced under their hands.

use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::PART;
use super::pair::{Pair, provider};
use crate::serve::health::Health;
use crate::serve::metrics::TlsMetrics;

/// The certificate in use and its authority; nothing before the first was loaded.
pub(crate) struct Certificates {
    key: ArcSwapOption<CertifiedKey>,
    authority: ArcSwap<String>,
    metrics: TlsMetrics,
    health: Health,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").finish_non_exhaustive()
    }
}

impl Certificates {
    /// Without any as yet: not ready.
    pub(crate) fn new(metrics: TlsMetrics, health: Health) -> Arc<Self> {
        health.waits(PART, "no certificate as yet");
        Arc::new(Self { key: ArcSwapOption::empty(), authority: ArcSwap::default(), metrics, health })
    }

    /// The next handshake shows this. `authority` is PEM.
    pub(crate) fn show(&self, pair: &Pair, authority: String) {
        self.key.store(Some(Arc::clone(&pair.key)));
        self.authority.store(Arc::new(authority));
        self.metrics.loaded.inc();
        self.metrics.not_after.set(pair.not_after);
        self.health.is_well(PART);
    }

    /// There is no other to show, and why; what was shown before still is.
    pub(crate) fn fail(&self, why: &str) {
        self.metrics.failed.inc();
        if self.key.load().is_none() {
            self.health.waits(PART, why);
        }
    }

    /// What vouches for it, as PEM; empty before the first was loaded.
    pub(crate) fn authority(&self) -> Arc<String> {
        self.authority.load_full()
    }

    /// TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub(crate) fn server(self: &Arc<Self>) -> Result<Arc<ServerConfig>, rustls::Error> {
        let resolver = Arc::clone(self);
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Tickets that the client keeps: no memory for each session.
        config.ticketer = rustls::crypto::ring::Ticketer::new()?;
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.key.load_full()
    }
}
