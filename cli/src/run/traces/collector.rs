//! The way to the collector: HTTP/1.1, kept alive, over TLS where the endpoint says so.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_http::{HttpClient, HttpError};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use squall_config::Chain;

use super::environment::{TlsFiles, Wanted};
use crate::exit::{Exit, Failure};
use crate::trust;

/// A collector that answers at greater length has nothing to say.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Why the last attempt to send failed, in words; the exporter itself does not say.
pub(super) type LastError = Arc<Mutex<Option<String>>>;

/// A client of the collector.
#[derive(Debug)]
pub(super) struct Collector {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
    last_error: LastError,
}

impl Collector {
    /// Loads the files of TLS when it is needed.
    ///
    /// # Errors
    /// Which of them is not good.
    pub(super) fn new(wanted: &Wanted) -> Result<Self, Failure> {
        let tls = if wanted.is_https { tls(&wanted.tls)? } else { client_config(RootCertStore::empty(), None)? };
        let connector =
            hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(connector);
        Ok(Self { client, timeout: wanted.timeout, last_error: LastError::default() })
    }

    /// Where it says why an attempt failed.
    pub(super) fn errors(&self) -> LastError {
        Arc::clone(&self.last_error)
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let result = match tokio::time::timeout(self.timeout, self.ask(request)).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {:?}", self.timeout).into()),
        };
        let error = result.as_ref().err().map(|error| Chain(error.as_ref()).to_string());
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = error;
        result
    }

    async fn ask(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = self.client.request(request.map(Full::new)).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    }
}

impl HttpClient for Collector {
    // As async-trait, which the trait is written with, has it.
    fn send_bytes<'a, 'b>(&'a self, request: Request<Bytes>) -> BoxFuture<'b, Result<Response<Bytes>, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.exchange(request))
    }
}

fn tls(files: &TlsFiles) -> Result<ClientConfig, Failure> {
    let roots = trust::roots(files.ca.as_deref()).map_err(refuse)?;
    let identity = match (&files.certificate, &files.key) {
        (Some(certificate), Some(key)) => {
            let chain = trust::certificates(certificate).map_err(refuse)?;
            Some((
                chain,
                PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| refuse(format_args!("{}: {error}", key.display())))?,
            ))
        }
        (None, None) => None,
        _ => {
            let message =
                "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY go together; one is missing";
            return Err(Failure::new(Exit::Usage, message));
        }
    };
    client_config(roots, identity)
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn client_config(roots: RootCertStore, identity: Option<Identity>) -> Result<ClientConfig, Failure> {
    let builder = trust::trusting(roots).map_err(refuse)?;
    match identity {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(refuse),
    }
}

fn refuse(why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, format!("TLS to the collector of traces: {why}"))
}
