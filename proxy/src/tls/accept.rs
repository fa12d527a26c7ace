//! The handshake with a client.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::{AlertDescription, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{FallibleAccept, TlsAcceptor};

use super::certs::Server;
use super::store::Cell;
use crate::error::tls_error;
use crate::net::linger::linger;
use crate::net::session::Session;

/// How a handshake with a client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handshake {
    Done,
    /// The client took too long.
    TimedOut,
    /// The client closed the connection.
    Closed,
    /// The client did not like what it saw, such as the certificate.
    RefusedByClient,
    /// The client has no certificate, or none that can be trusted.
    ClientCertificate,
    /// A rule ended it.
    Injected,
    /// What the client sent is not TLS, or there is nothing that both sides speak.
    Failed,
}

impl Handshake {
    pub(crate) const ALL: [Self; 7] = [
        Self::Done,
        Self::TimedOut,
        Self::Closed,
        Self::RefusedByClient,
        Self::ClientCertificate,
        Self::Injected,
        Self::Failed,
    ];

    /// The value of the metric label.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::TimedOut => "timeout",
            Self::Closed => "closed",
            Self::RefusedByClient => "refused_by_client",
            Self::ClientCertificate => "client_certificate",
            Self::Injected => "injected",
            Self::Failed => "failed",
        }
    }

    fn of(error: &io::Error) -> Self {
        match tls_error(error) {
            Some(rustls::Error::AlertReceived(AlertDescription::CloseNotify | AlertDescription::UserCanceled)) => {
                Self::Closed
            }
            Some(rustls::Error::AlertReceived(_)) => Self::RefusedByClient,
            Some(rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_)) => {
                Self::ClientCertificate
            }
            Some(_) => Self::Failed,
            None => Self::Closed,
        }
    }
}

/// What a handshake on a listener uses now.
///
/// # Errors
/// When nothing is loaded, which should not be.
pub(crate) fn current(server: &Cell<Server>) -> Result<Arc<ServerConfig>, Failed> {
    server.current().ok_or_else(|| {
        debug_assert!(false, "a listener accepts after its certificates were loaded");
        Failed::silent(Handshake::Failed, io::Error::other("no certificate is loaded"))
    })
}

/// Does the handshake, at most for `limit`. A client that cannot be served gets an alert that says why.
///
/// # Errors
/// How it ended, the error behind that, and the socket when the client has to be told.
pub(crate) async fn accept(stream: TcpStream, config: Arc<ServerConfig>, limit: Duration) -> Result<Session, Failed> {
    finish(TlsAcceptor::from(config).accept(stream).into_fallible(), limit).await
}

/// Brings a handshake that has begun to its end.
pub(crate) async fn finish(handshake: FallibleAccept<TcpStream>, limit: Duration) -> Result<Session, Failed> {
    match tokio::time::timeout(limit, handshake).await {
        Ok(Ok(stream)) => Ok(Session::new(stream)),
        Ok(Err((error, socket))) => Err(Failed { told: Some(socket), ..Failed::of(error) }),
        Err(_elapsed) => Err(Failed::silent(Handshake::TimedOut, io::ErrorKind::TimedOut.into())),
    }
}

/// A handshake that did not succeed.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) end: Handshake,
    pub(crate) error: io::Error,
    /// With an alert on its way.
    told: Option<TcpStream>,
}

impl Failed {
    /// What an error of a handshake says.
    pub(crate) fn of(error: io::Error) -> Self {
        Self { end: Handshake::of(&error), error, told: None }
    }

    /// Without an alert.
    pub(crate) fn silent(end: Handshake, error: io::Error) -> Self {
        Self { end, error, told: None }
    }

    /// Closes the connection so that the alert arrives.
    pub(crate) async fn close(self) {
        let Some(mut socket) = self.told.filter(|_| self.end != Handshake::Closed) else { return };
        linger(&mut socket).await;
    }
}
