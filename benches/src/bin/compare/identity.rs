//! The certificate that all proxies show, and a client that knows it.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned};

use crate::work::exchange;

/// ECDSA on P-256, self-signed, in files.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    /// Both in one file.
    pub(crate) pair: PathBuf,
}

impl Identity {
    pub(crate) fn make(directory: &Path) -> anyhow::Result<Self> {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
        let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let write = |name: &str, text: &str| -> anyhow::Result<PathBuf> {
            let file = directory.join(name);
            std::fs::write(&file, text)?;
            Ok(file)
        };
        let pair = write("pair.pem", &format!("{cert}{key}"))?;
        Ok(Self { cert: write("cert.pem", &cert)?, key: write("key.pem", &key)?, pair })
    }

    /// Asks once under TLS 1.3, and makes sure that the answer is the origin's.
    pub(crate) fn check(&self, address: SocketAddr) -> anyhow::Result<()> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.cert)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let session = ClientConnection::new(Arc::new(config), ServerName::IpAddress(address.ip().into()))?;
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut stream = StreamOwned::new(session, socket);
        exchange(&mut stream)?;
        ensure!(stream.conn.protocol_version() == Some(ProtocolVersion::TLSv1_3), "not TLS 1.3");
        Ok(())
    }
}
