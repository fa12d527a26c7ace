//! TLS, both sides (RFC 8446, RFC 5246): [`accept`] with clients, [`connect`] with endpoints, [`certs`] from files,
//! [`store`] for what is in use, [`hello`] where TLS is only passed on, [`authority`] where it is opened on its way to third
//! parties, [`throwaway`] for certificates that rules want to be wrong.

pub(crate) mod accept;
pub(crate) mod authority;
pub(crate) mod certs;
pub(crate) mod connect;
pub(crate) mod hello;
mod minted;
pub(crate) mod store;
pub(crate) mod throwaway;

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;

/// ALPN of HTTP/2 (RFC 9113 §3.2).
pub(crate) const ALPN_HTTP2: &[u8] = b"h2";
/// ALPN of HTTP/1.1 (RFC 7301 §6).
pub(crate) const ALPN_HTTP1: &[u8] = b"http/1.1";

/// The one provider of algorithms.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));
    Arc::clone(&PROVIDER)
}
