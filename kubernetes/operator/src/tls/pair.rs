//! A certificate with its key, from PEM to what handshakes use.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};

/// Why a pair cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    /// The certificate.
    #[error("the certificate cannot be used: {0}")]
    Certificate(String),
    /// The key.
    #[error("the key cannot be used: {0}")]
    Key(String),
    /// Both are well, but not together.
    #[error("the key is not that of the certificate")]
    Apart,
}

/// A certificate with its key.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) key: Arc<CertifiedKey>,
    /// Seconds of Unix time.
    pub(crate) not_before: i64,
    /// Seconds of Unix time.
    pub(crate) not_after: i64,
}

/// The one implementation of cryptography.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

impl Pair {
    /// Reads both; the certificate comes first, then those between it and its root.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn read(cert: &[u8], key: &[u8]) -> Result<Self, Unusable> {
        let chain = certificates(cert)?;
        let first = chain.first().ok_or_else(|| Unusable::Certificate("there is none".to_owned()))?;
        let (not_before, not_after) = time(first)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| Unusable::Key(error.to_string()))?;
        let key = provider().key_provider.load_private_key(key).map_err(|error| Unusable::Key(error.to_string()))?;
        let pair = CertifiedKey::new(chain, key);
        match pair.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
                Ok(Self { key: Arc::new(pair), not_before, not_after })
            }
            Err(_) => Err(Unusable::Apart),
        }
    }

    /// When two thirds of its time are over, in seconds of Unix time: what is made anew then has a third in which that can
    /// fail.
    pub(crate) fn renewal(&self) -> i64 {
        renewal((self.not_before, self.not_after))
    }

    /// Whether somebody who trusts `authority` takes it for each of these names now, as clients find out.
    pub(crate) fn is_trusted(&self, authority: &[u8], names: &[String], now: i64) -> bool {
        let trusted = || -> Option<bool> {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(authority).ok()?);
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().ok()?;
            let (own, between) = self.key.cert.split_first()?;
            let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::try_from(now).ok()?));
            Some(names.iter().all(|name| {
                let name = ServerName::try_from(name.as_str());
                name.is_ok_and(|name| verifier.verify_server_cert(own, between, &name, &[], now).is_ok())
            }))
        };
        trusted().unwrap_or(false)
    }
}

/// When two thirds of a time are over.
pub(crate) fn renewal((not_before, not_after): (i64, i64)) -> i64 {
    not_before + (not_after - not_before) / 3 * 2
}

/// When a certificate is good, in seconds of Unix time.
pub(crate) fn time(certificate: &CertificateDer<'_>) -> Result<(i64, i64), Unusable> {
    let parsed = x509_parser::parse_x509_certificate(certificate);
    let (_, parsed) = parsed.map_err(|error| Unusable::Certificate(error.to_string()))?;
    Ok((parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp()))
}

/// All certificates in a PEM text.
pub(crate) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    all.map_err(|error| Unusable::Certificate(error.to_string()))
}
