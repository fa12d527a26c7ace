//! The operator's own authority: it vouches for the names whose HTTPS a listener opens.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rcgen::{Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::sign::SingleCertAndKey;
use squall_config::model::KeyPairFiles;

use super::certs::{self, Dated, Load, LoadError};
use super::minted::{Wanted, mint};
use super::{ALPN_HTTP1, ALPN_HTTP2, provider};

/// Clients choose the names that are asked for, among those that are listed; so many certificates are kept.
const KEPT_MAX: usize = 256;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Clocks of other machines may be behind.
const GOOD_SINCE: Duration = DAY;
/// Browsers take no certificate that is good for more than 398 days; one is made anew each day.
const GOOD_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// An authority, in files.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Authority(pub(crate) KeyPairFiles);

/// What makes certificates with it.
#[derive(Debug)]
pub(crate) struct Minter {
    issuer: Issuer<'static, KeyPair>,
    chain: Vec<CertificateDer<'static>>,
    /// By the name that they are for.
    kept: Mutex<HashMap<Box<str>, Minted>>,
}

#[derive(Debug)]
struct Minted {
    config: Arc<ServerConfig>,
    made: Instant,
}

impl Load for Authority {
    type Loaded = Minter;

    fn load(&self) -> Result<Dated<Self::Loaded>, LoadError> {
        const HINT: &str = "name the files of an authority; `squall certs init` makes one";
        let Self(files) = self;
        let Dated { loaded: pair, not_after } = certs::key_pair(files)?;
        let cert_error = |detail: &dyn std::fmt::Display| LoadError::new("cert", &files.cert, detail, HINT);
        let key_error = |detail: &dyn std::fmt::Display| LoadError::new("key", &files.key, detail, HINT);
        let Some(own) = pair.cert.first() else { return Err(cert_error(&"there is no certificate in it")) };
        let is_authority = x509_parser::parse_x509_certificate(own).is_ok_and(|(_, parsed)| parsed.is_ca());
        if !is_authority {
            return Err(cert_error(&"it is not the certificate of an authority"));
        }
        let key = certs::read("key", &files.key)?;
        let key = KeyPair::from_pem(&String::from_utf8_lossy(&key)).map_err(|error| key_error(&error))?;
        let issuer = Issuer::from_ca_cert_der(own, key).map_err(|error| cert_error(&error))?;
        Ok(Dated { loaded: Minter { issuer, chain: pair.cert.clone(), kept: Mutex::default() }, not_after })
    }

    fn files(&self) -> Vec<&Path> {
        self.0.files().collect()
    }
}

impl Minter {
    /// What a handshake uses to pose as this host, for HTTP/2 and HTTP/1.1. `None` when no certificate can be made.
    pub(crate) fn server(&self, host: &str) -> Option<Arc<ServerConfig>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.get(host).filter(|known| known.made.elapsed() < DAY) {
            return Some(Arc::clone(&known.config));
        }
        let config = Arc::new(self.make(host)?);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(host.into(), Minted { config: Arc::clone(&config), made: Instant::now() });
        Some(config)
    }

    fn make(&self, host: &str) -> Option<ServerConfig> {
        let now = SystemTime::now();
        let wanted = Wanted { name: host, not_before: now - GOOD_SINCE, not_after: now + GOOD_FOR };
        let key = mint(&wanted, &self.issuer, &self.chain)?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("invariant: the provider has suites for TLS 1.2 and 1.3");
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        config.alpn_protocols = vec![ALPN_HTTP2.to_vec(), ALPN_HTTP1.to_vec()];
        Some(config)
    }
}
