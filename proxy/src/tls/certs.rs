//! Certificates, keys and authorities, from files to what handshakes use.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Once};

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use squall_config::Problem;
use squall_config::model::{ClientTls, ClusterProtocol, KeyPairFiles, ListenerProtocol, ServerTls};

use super::{ALPN_HTTP1, ALPN_HTTP2, provider};

/// A chain of certificates is some kilobytes; a file of all authorities of the web some hundred.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Sessions to endpoints that a cluster can take up again.
const SESSIONS_MAX: usize = 256;

/// Why TLS cannot be had: which field, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoadError {
    /// The field that names the file.
    field: &'static str,
    detail: String,
    hint: &'static str,
}

impl LoadError {
    pub(super) fn new(field: &'static str, file: &Path, detail: impl fmt::Display, hint: &'static str) -> Self {
        Self { field, detail: format!("{}: {detail}", file.display()), hint }
    }

    /// As a problem of the document, below `path`.
    pub(crate) fn at(&self, path: &str) -> Problem {
        Problem::new(format!("{path}.{}", self.field), self.detail.clone()).with_hint(self.hint)
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.detail, self.hint)
    }
}

/// What was loaded, and until when its certificate is good.
#[derive(Debug)]
pub(crate) struct Dated<T> {
    pub(crate) loaded: T,
    /// The end of the own certificate, in seconds of Unix time; `None` where there is none.
    pub(crate) not_after: Option<i64>,
}

/// What is loaded from files.
pub(crate) trait Load: Clone + Eq + std::hash::Hash {
    /// What handshakes use.
    type Loaded: fmt::Debug;

    /// Reads the files and puts them together.
    fn load(&self) -> Result<Dated<Self::Loaded>, LoadError>;

    /// Every file.
    fn files(&self) -> Vec<&Path>;
}

/// The side of TLS that is called: a listener's, or the control API's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    tls: ServerTls,
    /// By ALPN, the preferred one first.
    speaks: &'static [&'static [u8]],
}

impl Server {
    pub(crate) fn of_listener(tls: &ServerTls, protocol: ListenerProtocol) -> Self {
        let speaks: &[&[u8]] = if protocol == ListenerProtocol::Tcp { &[] } else { &[ALPN_HTTP2, ALPN_HTTP1] };
        Self { tls: tls.clone(), speaks }
    }

    pub(crate) fn of_control(tls: &ServerTls) -> Self {
        Self { tls: tls.clone(), speaks: &[ALPN_HTTP1] }
    }

    /// The file with the certificate that it shows.
    pub(crate) fn certificate(&self) -> &Path {
        &self.tls.identity.cert
    }
}

impl Load for Server {
    type Loaded = ServerConfig;

    fn load(&self) -> Result<Dated<Self::Loaded>, LoadError> {
        let Dated { loaded: key, not_after } = key_pair(&self.tls.identity)?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("invariant: the provider has suites for TLS 1.2 and 1.3");
        let builder = match &self.tls.client_ca {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let roots = Arc::new(authorities("client_ca", file)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
                builder.with_client_cert_verifier(
                    verifier.map_err(|error| LoadError::new("client_ca", file, error, AUTHORITIES_HINT))?,
                )
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key)));
        config.alpn_protocols = self.speaks.iter().map(|protocol| protocol.to_vec()).collect();
        // Tickets that the client keeps: no memory for each session, and no lock that workers share.
        config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(|error| {
            LoadError::new("key", &self.tls.identity.key, error, "the system has no source of randomness")
        })?;
        Ok(Dated { loaded: config, not_after })
    }

    fn files(&self) -> Vec<&Path> {
        self.tls.files().collect()
    }
}

/// A cluster's side of TLS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Client {
    tls: ClientTls,
    is_http2: bool,
}

impl Client {
    pub(crate) fn new(tls: &ClientTls, protocol: ClusterProtocol) -> Self {
        Self { tls: tls.clone(), is_http2: protocol == ClusterProtocol::Http2 }
    }
}

/// What connections to a cluster use.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    /// For HTTP: says which.
    pub(crate) http: Arc<ClientConfig>,
    /// For bytes of which nothing is known.
    pub(crate) bytes: Arc<ClientConfig>,
}

impl Load for Client {
    type Loaded = Connector;

    fn load(&self) -> Result<Dated<Self::Loaded>, LoadError> {
        let roots = match &self.tls.ca {
            Some(file) => authorities("ca", file)?,
            None => authorities_of_system(),
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("invariant: the provider has suites for TLS 1.2 and 1.3")
            .with_root_certificates(roots);
        let (mut bytes, not_after) = match &self.tls.identity {
            None => (builder.with_no_client_auth(), None),
            Some(files) => {
                let Dated { loaded: key, not_after } = key_pair(files)?;
                let resolver = Arc::new(rustls::sign::SingleCertAndKey::from(key));
                (builder.with_client_cert_resolver(resolver), not_after)
            }
        };
        bytes.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
        let mut http = bytes.clone();
        http.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
        http.alpn_protocols = vec![if self.is_http2 { ALPN_HTTP2.to_vec() } else { ALPN_HTTP1.to_vec() }];
        Ok(Dated { loaded: Connector { http: Arc::new(http), bytes: Arc::new(bytes) }, not_after })
    }

    fn files(&self) -> Vec<&Path> {
        self.tls.files().collect()
    }
}

/// A certificate with the key that belongs to it.
pub(super) fn key_pair(files: &KeyPairFiles) -> Result<Dated<CertifiedKey>, LoadError> {
    const CERT_HINT: &str = "write a PEM file with the certificate first, then those between it and its root";
    const KEY_HINT: &str = "write a PEM file with one private key (PKCS#8, PKCS#1 or SEC1), without a passphrase";
    let cert_error = |detail: &dyn fmt::Display| LoadError::new("cert", &files.cert, detail, CERT_HINT);
    let key_error = |detail: &dyn fmt::Display| LoadError::new("key", &files.key, detail, KEY_HINT);
    let chain = certificates("cert", &files.cert, CERT_HINT)?;
    let (_, first) = chain
        .first()
        .ok_or_else(|| cert_error(&"there is no certificate in it"))
        .and_then(|first| x509_parser::parse_x509_certificate(first).map_err(|error| cert_error(&error)))?;
    let not_after = first.validity().not_after.timestamp();
    let text = read("key", &files.key)?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => key_error(&"there is no private key in it"),
        other => key_error(&other),
    })?;
    let key = provider().key_provider.load_private_key(key).map_err(|error| key_error(&error))?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(Dated { loaded: pair, not_after: Some(not_after) })
        }
        Err(_) => {
            let detail = format!("it is not the key of the certificate in {}", files.cert.display());
            Err(LoadError::new("key", &files.key, detail, "name the key that the certificate was made for"))
        }
    }
}

const AUTHORITIES_HINT: &str = "write a PEM file with the certificates of the authorities";

fn authorities(field: &'static str, file: &Path) -> Result<RootCertStore, LoadError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(field, file, AUTHORITIES_HINT)? {
        roots.add(certificate).map_err(|error| LoadError::new(field, file, error, AUTHORITIES_HINT))?;
    }
    if roots.is_empty() {
        return Err(LoadError::new(field, file, "there is no certificate in it", AUTHORITIES_HINT));
    }
    Ok(roots)
}

/// Those that the system trusts; on a system that has none, those of the web's browsers as of this build.
pub fn authorities_of_system() -> RootCertStore {
    authorities_or_usual(rustls_native_certs::load_native_certs().certs)
}

fn authorities_or_usual(of_system: Vec<CertificateDer<'static>>) -> RootCertStore {
    static TOLD: Once = Once::new();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(of_system);
    if roots.is_empty() {
        TOLD.call_once(|| {
            tracing::info!("the system has no certificates of authorities; taking those that Squall was built with");
        });
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

fn certificates(
    field: &'static str,
    file: &Path,
    hint: &'static str,
) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let text = read(field, file)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    certificates.map_err(|error| LoadError::new(field, file, error, hint))
}

/// The content of a file; never waits for a pipe, never reads without bound.
pub(crate) fn read(field: &'static str, file: &Path) -> Result<Vec<u8>, LoadError> {
    let fail = |detail: &dyn fmt::Display, hint| LoadError::new(field, file, detail, hint);
    let unreadable = |error: std::io::Error| fail(&format!("cannot be read: {error}"), "check the name and the rights");
    let facts = std::fs::metadata(file).map_err(unreadable)?;
    if !facts.is_file() {
        return Err(fail(&"is not a file", "name a PEM file"));
    }
    if facts.len() > FILE_BYTES_MAX {
        return Err(fail(&format!("has {} bytes", facts.len()), "name a PEM file; they are some kilobytes long"));
    }
    std::fs::read(file).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_authorities_stand_in_where_the_system_has_none() {
        let own = rcgen::generate_simple_self_signed(["authority".to_owned()]).unwrap().cert.der().clone();
        assert_eq!(authorities_or_usual(vec![own]).len(), 1);
        assert_eq!(authorities_or_usual(Vec::new()).len(), webpki_roots::TLS_SERVER_ROOTS.len());
    }
}
