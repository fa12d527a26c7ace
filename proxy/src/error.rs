//! Failures of an exchange that nobody injected: who is to blame, what happened, what is answered.

use http::StatusCode;
use rustls::CertificateError;

/// Whatever went wrong with a body on its way.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// The endpoint's name has no address.
    ResolveFailed,
    /// Squall itself listens there.
    LeadsBack,
    /// Nobody listens there.
    ConnectRefused,
    /// No connection within the cluster's `connect_timeout`.
    ConnectTimeout,
    /// Any other failure to connect.
    ConnectFailed,
    /// Nobody whom the cluster trusts vouches for the endpoint's certificate.
    TlsUntrusted,
    /// The time of the endpoint's certificate is over, or has not begun.
    TlsExpired,
    /// The endpoint's certificate is for another name.
    TlsWrongName,
    /// The endpoint ended TLS with an alert: it wants a certificate, or another one, or speaks another version.
    TlsRefused,
    /// No TLS handshake within the cluster's `connect_timeout`.
    TlsTimeout,
    /// Any other failure of TLS, such as an endpoint that does not speak it.
    TlsFailed,
    /// The connection ended before a complete response head.
    Closed,
    /// The connection was reset before a complete response head.
    Reset,
    /// Not an HTTP response, or one that is framed in two ways.
    MalformedResponse,
    /// The cluster has as many connections or exchanges as it may.
    Overflow,
    /// No response head within the cluster's `response_timeout`.
    ResponseTimeout,
    /// No end of a response head within the cluster's `header_timeout`.
    HeaderTimeout,
    /// The response body ended early.
    Truncated,
    /// A defect of Squall; the exchange ends alone.
    Panic,
}

impl ErrorKind {
    /// The value of `x-squall-error`: `<blame>_<kind>`.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::ResolveFailed => "upstream_resolve_failed",
            Self::LeadsBack => "upstream_is_squall",
            Self::ConnectRefused => "upstream_connect_refused",
            Self::ConnectTimeout => "upstream_connect_timeout",
            Self::ConnectFailed => "upstream_connect_failed",
            Self::TlsUntrusted => "upstream_tls_untrusted",
            Self::TlsExpired => "upstream_tls_expired",
            Self::TlsWrongName => "upstream_tls_wrong_name",
            Self::TlsRefused => "upstream_tls_refused",
            Self::TlsTimeout => "upstream_tls_timeout",
            Self::TlsFailed => "upstream_tls_failed",
            Self::Closed => "upstream_closed",
            Self::Reset => "upstream_reset",
            Self::MalformedResponse => "upstream_malformed_response",
            Self::Overflow => "upstream_overflow",
            Self::ResponseTimeout => "upstream_response_timeout",
            Self::HeaderTimeout => "upstream_header_timeout",
            Self::Truncated => "upstream_truncated",
            Self::Panic => "squall_panic",
        }
    }

    /// Whether the endpoint was reached, but TLS with it was not to be had.
    pub(crate) fn is_of_tls(self) -> bool {
        matches!(
            self,
            Self::TlsUntrusted
                | Self::TlsExpired
                | Self::TlsWrongName
                | Self::TlsRefused
                | Self::TlsTimeout
                | Self::TlsFailed
        )
    }

    /// What downstream gets.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::ConnectTimeout | Self::TlsTimeout | Self::ResponseTimeout | Self::HeaderTimeout => {
                StatusCode::GATEWAY_TIMEOUT
            }
            Self::Overflow | Self::Panic => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// One sentence for the person who reads the answer.
    pub(crate) fn detail(self) -> &'static str {
        match self {
            Self::ResolveFailed => "the endpoint's name could not be resolved",
            Self::LeadsBack => "Squall itself listens at the endpoint; a request never comes back to it",
            Self::ConnectRefused => "the endpoint refused the connection; is the upstream running?",
            Self::ConnectTimeout => "the endpoint did not accept a connection in time",
            Self::ConnectFailed => "no connection to the endpoint could be made",
            Self::TlsUntrusted => {
                "nobody whom the cluster trusts (tls.ca, else the system's authorities) vouches for the endpoint's certificate"
            }
            Self::TlsExpired => "the endpoint's certificate is not valid at this time",
            Self::TlsWrongName => {
                "the endpoint's certificate is for another name; the cluster's tls.server_name says which is right"
            }
            Self::TlsRefused => {
                "the endpoint refused the TLS connection; does it want a certificate (tls.cert and tls.key)?"
            }
            Self::TlsTimeout => "the endpoint did not finish the TLS handshake in time",
            Self::TlsFailed => "no TLS connection to the endpoint could be made; does it speak TLS?",
            Self::Closed => "the upstream closed the connection before it answered",
            Self::Reset => "the upstream reset the connection before it answered",
            Self::MalformedResponse => "the upstream's answer is not valid HTTP",
            Self::Overflow => "the cluster has as many connections or requests at once as it may",
            Self::ResponseTimeout => "the upstream did not answer within response_timeout",
            Self::HeaderTimeout => "the upstream began an answer, but not all of its head came within header_timeout",
            Self::Truncated => "the upstream's answer ended early",
            Self::Panic => "a defect of Squall ended this exchange; please report it",
        }
    }
}

/// A failure with its cause.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}", kind.label(), kind.detail())]
pub(crate) struct ProxyError {
    pub(crate) kind: ErrorKind,
    #[source]
    pub(crate) source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ProxyError {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self { kind, source: None }
    }

    pub(crate) fn caused_by(kind: ErrorKind, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { kind, source: Some(source.into()) }
    }

    /// A failure of a connection attempt.
    pub(crate) fn connect(error: std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::ConnectionRefused => ErrorKind::ConnectRefused,
            std::io::ErrorKind::TimedOut => ErrorKind::ConnectTimeout,
            _ => ErrorKind::ConnectFailed,
        };
        Self::caused_by(kind, error)
    }

    /// A failure of a TLS handshake.
    pub(crate) fn handshake(error: std::io::Error) -> Self {
        Self::caused_by(kind_of_tls(&error).unwrap_or(ErrorKind::TlsFailed), error)
    }

    /// A failure of a connection before there was a response head.
    pub(crate) fn io(error: std::io::Error) -> Self {
        let is_reset = error.kind() == std::io::ErrorKind::ConnectionReset;
        let kind = if is_reset { ErrorKind::Reset } else { kind_of_tls(&error).unwrap_or(ErrorKind::Closed) };
        Self::caused_by(kind, error)
    }

    /// A failure of an HTTP/2 connection before there was a response head.
    pub(crate) fn http2(error: h2::Error) -> Self {
        let kind = if let Some(kind) = error.get_io().and_then(kind_of_copied) {
            kind
        } else if error.is_library() {
            ErrorKind::MalformedResponse
        } else if is_reset(&error) {
            ErrorKind::Reset
        } else {
            ErrorKind::Closed
        };
        Self::caused_by(kind, error)
    }
}

fn is_reset(error: &h2::Error) -> bool {
    let is_reset_by_kernel = error.get_io().is_some_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset);
    is_reset_by_kernel || (error.is_remote() && error.reason().is_some())
}

/// What TLS itself has to say of an error.
pub(crate) fn tls_error(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// The kind of an error that TLS has caused.
fn kind_of_tls(error: &std::io::Error) -> Option<ErrorKind> {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
    };
    use rustls::Error::{AlertReceived, InvalidCertificate};
    Some(match tls_error(error)? {
        InvalidCertificate(Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. }) => {
            ErrorKind::TlsExpired
        }
        InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => ErrorKind::TlsWrongName,
        InvalidCertificate(_) => ErrorKind::TlsUntrusted,
        AlertReceived(_) => ErrorKind::TlsRefused,
        _ => ErrorKind::TlsFailed,
    })
}

/// [`kind_of_tls`] of an error that went through the HTTP/2 codec, which keeps its kind and its text alone.
fn kind_of_copied(error: &std::io::Error) -> Option<ErrorKind> {
    // Sockets have no such kind.
    let is_of_tls = error.kind() == std::io::ErrorKind::InvalidData;
    let is_alert = || error.to_string().contains("received fatal alert");
    is_of_tls.then(|| if is_alert() { ErrorKind::TlsRefused } else { ErrorKind::TlsFailed })
}
