//! Certificates of an authority that lives as long as a test, and clients that trust it.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::message::{Answer, read_answer};
use crate::wait::PATIENCE;

/// An authority whose files are in a directory: `ca.crt`, and `NAME.crt` and `NAME.key` of what it issued.
#[derive(Debug)]
pub struct Authority {
    directory: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// When no key or file can be made.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        // Each its own: clients look for issuers by name.
        params.distinguished_name.push(DnType::CommonName, format!("authority {}", directory.path().display()));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate can be made");
        std::fs::write(directory.path().join("ca.crt"), issuer.pem()).expect("a file can be written");
        Self { directory, issuer }
    }

    /// A file of its directory, as text for a configuration.
    pub fn file(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// A file of its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Issues `NAME.crt` and `NAME.key` for localhost and 127.0.0.1.
    pub fn issue(&self, name: &str) {
        self.issue_with(name, &["localhost", "127.0.0.1"], SystemTime::now() + Duration::from_secs(3600));
    }

    /// Issues `NAME.crt` and `NAME.key` for these names, good until then.
    ///
    /// # Panics
    /// When no key or file can be made.
    pub fn issue_with(&self, name: &str, names: &[&str], end: SystemTime) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names are well formed");
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = (SystemTime::now() - Duration::from_secs(7200)).into();
        params.not_after = end.into();
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate can be made");
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).expect("a file can be written");
        std::fs::write(self.path(&format!("{name}.crt")), certificate.pem()).expect("a file can be written");
    }

    /// The fields of a listener that shows what was issued as `name`.
    pub fn listener(&self, name: &str) -> String {
        format!("tls: {{ cert: {}, key: {} }}", self.file(&format!("{name}.crt")), self.file(&format!("{name}.key")))
    }
}

/// A connection under TLS to Squall.
#[derive(Debug)]
pub struct TlsClient {
    reader: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

/// How a [`TlsClient`] is made.
#[derive(Debug, Default)]
pub struct TlsOptions<'a> {
    /// The name asked for; `localhost` when empty.
    pub server_name: &'a str,
    /// A certificate and key of the same authority, by name.
    pub identity: Option<&'a str>,
    /// Protocols offered.
    pub alpn: &'a [&'a str],
}

impl TlsClient {
    /// Connects and does the handshake.
    ///
    /// # Errors
    /// Whatever TLS or the socket say.
    ///
    /// # Panics
    /// When nobody listens, or the authority's files are not there.
    pub fn connect(address: SocketAddr, authority: &Authority, options: &TlsOptions<'_>) -> std::io::Result<Self> {
        let builder = trusting(authority);
        let mut config = match options.identity {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let key = PrivateKeyDer::from_pem_file(authority.path(&format!("{name}.key"))).expect("a key");
                let chain = certificates(&authority.path(&format!("{name}.crt")));
                builder.with_client_auth_cert(chain, key).expect("a pair that matches")
            }
        };
        config.alpn_protocols = options.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = if options.server_name.is_empty() { "localhost" } else { options.server_name }.to_owned();
        let name = name.try_into().expect("a well-formed name");
        let session = ClientConnection::new(Arc::new(config), name).map_err(std::io::Error::other)?;
        let socket = TcpStream::connect(address).unwrap_or_else(|e| panic!("cannot connect to {address}: {e}"));
        Self::handshake(socket, session)
    }

    /// Connects to `localhost` if anybody is there.
    ///
    /// # Errors
    /// Whatever TLS or the socket say.
    ///
    /// # Panics
    /// When the authority's files are not there.
    pub fn try_connect(address: SocketAddr, authority: &Authority) -> std::io::Result<Self> {
        let socket = TcpStream::connect(address)?;
        let name = "localhost".try_into().map_err(std::io::Error::other)?;
        let session = ClientConnection::new(Arc::new(trusting(authority).with_no_client_auth()), name);
        Self::handshake(socket, session.map_err(std::io::Error::other)?)
    }

    fn handshake(socket: TcpStream, session: ClientConnection) -> std::io::Result<Self> {
        socket.set_read_timeout(Some(PATIENCE)).expect("a connected socket takes options");
        let mut stream = StreamOwned::new(session, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self { reader: BufReader::new(stream) })
    }

    /// What both sides agreed to speak.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.reader.get_ref().conn.alpn_protocol()
    }

    /// The certificate that was shown.
    ///
    /// # Panics
    /// When there is none.
    pub fn peer_certificate(&self) -> Vec<u8> {
        let chain = self.reader.get_ref().conn.peer_certificates();
        chain.and_then(<[_]>::first).expect("a server has a certificate").to_vec()
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// When the peer is gone.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.reader.get_mut().write_all(bytes.as_ref()).expect("the peer takes bytes");
        self
    }

    /// Sends bytes, if the peer is still there.
    ///
    /// # Errors
    /// What keeps it from taking them.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.reader.get_mut().write_all(bytes.as_ref())
    }

    /// Reads one answer to a GET.
    ///
    /// # Errors
    /// What came in its place.
    pub fn answer(&mut self) -> std::io::Result<Answer> {
        read_answer(&mut self.reader, "GET")
    }

    /// Sends `GET path` and reads the answer.
    ///
    /// # Errors
    /// What came in its place.
    pub fn get(&mut self, path: &str) -> std::io::Result<Answer> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: b\r\n\r\n")).answer()
    }

    /// Reads exactly so many bytes.
    ///
    /// # Panics
    /// When fewer come.
    pub fn read_exact(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes).unwrap_or_else(|e| panic!("{count} bytes awaited: {e}"));
        bytes
    }

    /// Reads to the end. An end without `close_notify` is `UnexpectedEof`.
    ///
    /// # Errors
    /// What ended it.
    pub fn read_to_end(&mut self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader.read_to_end(&mut bytes).map(|_| bytes)
    }

    /// Says that it ends, and sends no more.
    ///
    /// # Panics
    /// When the peer is gone.
    pub fn say_end(&mut self) -> &mut Self {
        let stream = self.reader.get_mut();
        stream.conn.send_close_notify();
        stream.conn.write_tls(&mut stream.sock).expect("the peer takes bytes");
        self
    }

    /// The socket below.
    pub fn socket(&self) -> &TcpStream {
        &self.reader.get_ref().sock
    }
}

fn trusting(authority: &Authority) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&authority.path("ca.crt")) {
        roots.add(certificate).expect("an authority that was made here");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has all versions")
        .with_root_certificates(roots)
}

fn certificates(file: &Path) -> Vec<CertificateDer<'static>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).expect("a file").collect();
    all.expect("certificates")
}
