//! Why a request is answered by the proxy itself instead of being forwarded: downstream's mistakes.

use http::StatusCode;

/// A request that is not forwarded. Its connection is closed after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Bytes that are not an HTTP/1 request head.
    MalformedRequest,
    /// A line that ends in LF alone, or CR elsewhere than before LF (RFC 9112 §2.2).
    BareLineEnding,
    /// A header field continued on a second line (RFC 9112 §5.2).
    FoldedHeader,
    /// Control characters in a field value (RFC 9110 §5.5).
    InvalidHeaderValue,
    /// Not a token before the colon (RFC 9112 §5.1).
    InvalidHeaderName,
    /// No Host, more than one, or one that is no authority (RFC 9112 §3.2).
    InvalidHost,
    /// Both Content-Length and Transfer-Encoding (RFC 9112 §6.1).
    AmbiguousLength,
    /// A Content-Length that is not one number (RFC 9110 §8.6).
    InvalidContentLength,
    /// Transfer-Encoding on HTTP/1.0, or in more than one field (RFC 9112 §6.1).
    InvalidTransferEncoding,
    /// A transfer coding other than exactly `chunked` (RFC 9112 §6.1: 501).
    UnsupportedTransferEncoding,
    /// A chunked body that breaks its grammar (RFC 9112 §7.1).
    MalformedBody,
    /// CONNECT, which only a forward proxy serves.
    UnsupportedMethod,
    /// A forward proxy has to be told where a request goes: `http://host/…`, or CONNECT for TLS.
    NoDestination,
    /// The cluster's `destinations` do not list it.
    DestinationNotAllowed,
    /// Squall listens there itself.
    DestinationIsSquall,
    /// The head is larger than `limits.head_bytes_max`, or has too many fields.
    HeadTooLarge,
    /// The head was not complete within the listener's `header_timeout`.
    HeadTimeout,
    /// Nothing of the body came for the listener's `stall_timeout`.
    BodyTimeout,
}

impl Refusal {
    /// The stable name, for `x-squall-error` and metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::MalformedRequest => "malformed_request",
            Self::BareLineEnding => "bare_line_ending",
            Self::FoldedHeader => "folded_header",
            Self::InvalidHeaderValue => "invalid_header_value",
            Self::InvalidHeaderName => "invalid_header_name",
            Self::InvalidHost => "invalid_host",
            Self::AmbiguousLength => "ambiguous_length",
            Self::InvalidContentLength => "invalid_content_length",
            Self::InvalidTransferEncoding => "invalid_transfer_encoding",
            Self::UnsupportedTransferEncoding => "unsupported_transfer_encoding",
            Self::MalformedBody => "malformed_body",
            Self::UnsupportedMethod => "unsupported_method",
            Self::NoDestination => "no_destination",
            Self::DestinationNotAllowed => "destination_not_allowed",
            Self::DestinationIsSquall => "destination_is_squall",
            Self::HeadTooLarge => "head_too_large",
            Self::HeadTimeout => "head_timeout",
            Self::BodyTimeout => "body_timeout",
        }
    }

    /// What is answered.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::UnsupportedTransferEncoding | Self::UnsupportedMethod => StatusCode::NOT_IMPLEMENTED,
            Self::DestinationNotAllowed | Self::DestinationIsSquall => StatusCode::FORBIDDEN,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::HeadTimeout | Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// One sentence for the person who reads the answer.
    pub(crate) fn detail(self) -> &'static str {
        match self {
            Self::MalformedRequest => "this is not an HTTP/1.1 request",
            Self::BareLineEnding => "a line must end in CR LF",
            Self::FoldedHeader => "a header field must not continue on a second line",
            Self::InvalidHeaderValue => "a header value contains a control character",
            Self::InvalidHeaderName => "a header name contains a character that is not allowed there",
            Self::InvalidHost => "exactly one valid Host is required",
            Self::AmbiguousLength => "Content-Length and Transfer-Encoding must not come together",
            Self::InvalidContentLength => "Content-Length must be one number",
            Self::InvalidTransferEncoding => "Transfer-Encoding must come once, and not in HTTP/1.0",
            Self::UnsupportedTransferEncoding => "the only transfer coding understood is `chunked`",
            Self::MalformedBody => "the chunked body is malformed",
            Self::UnsupportedMethod => "CONNECT is not served on this listener",
            Self::NoDestination => {
                "this is a forward proxy: name the destination as in http://host:port/path, or use CONNECT"
            }
            Self::DestinationNotAllowed => "the destination is not listed in the cluster's destinations",
            Self::DestinationIsSquall => "Squall itself listens at the destination",
            Self::HeadTooLarge => "the request head is too large",
            Self::HeadTimeout => "the request head took too long to arrive",
            Self::BodyTimeout => "the request body did not go on",
        }
    }
}
