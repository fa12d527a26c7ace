//! Keeps web pages away from the control API.
//!
//! A page can make a browser on this machine send requests here: to a name of its own that resolves to loopback (DNS
//! rebinding), or straight to the address. The first names a host that is no IP address; the second carries the page's
//! origin. There is no CORS.
//!
//! Where callers have to show who they are (off loopback) or what they call has a certificate (TLS), the API may be called
//! by any name: a page that gave its own name to this address still has no token, and no certificate of its name is here.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::uri::Authority;
use http::{HeaderMap, StatusCode, Uri, header};

use crate::access::Refused;
use crate::app::App;
use crate::error::ApiError;

/// Middleware: 403 for what only a foreign web page sends.
pub(crate) async fn refuse_web_pages(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match admit(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// Refuses, and counts, what only a foreign web page sends.
pub(crate) fn admit(app: &App, request: &Request) -> Result<(), ApiError> {
    let access = &app.access;
    check(request.uri(), request.headers(), access.takes_names()).inspect_err(|_| {
        access.count(Refused::WebPage);
        tracing::warn!(method = %request.method(), path = request.uri().path(), "refused a call from a web page");
    })
}

fn check(uri: &Uri, headers: &HeaderMap, takes_names: bool) -> Result<(), ApiError> {
    let forbid = |path, detail: String, hint| Err(ApiError::new(StatusCode::FORBIDDEN, path, detail, hint));
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = uri.authority().map(Authority::as_str).or(text(header::HOST));
    if let Some(host) = host.filter(|host| !is_ours(host) && !takes_names) {
        let detail = format!("the host {host:?} is neither an IP address nor localhost");
        return forbid("Host", detail, "call the control API by its address, as in http://127.0.0.1:9470");
    }
    if let Some(origin) = text(header::ORIGIN) {
        let is_same = host.is_some_and(|host| origin.split_once("://").is_some_and(|(_, authority)| authority == host));
        if !is_same {
            return forbid("Origin", format!("the page {origin:?} is not one of Squall's"), "call without Origin");
        }
    }
    if text(header::HeaderName::from_static("sec-fetch-site")) == Some("cross-site") {
        return forbid("Sec-Fetch-Site", "another web site made this request".to_owned(), "call without a browser");
    }
    Ok(())
}

/// An IP address or `localhost`, with or without port.
fn is_ours(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    !host.contains('@') && (name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_allowed(headers: &[(&'static str, &str)]) -> bool {
        is_allowed_where(false, headers)
    }

    fn is_allowed_where(takes_names: bool, headers: &[(&'static str, &str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_str(value).expect("a header value"))
        });
        check(&Uri::from_static("/v1/rules"), &headers.collect(), takes_names).is_ok()
    }

    #[test]
    fn test_own_hosts_pass() {
        for host in ["127.0.0.1:9470", "[::1]:9470", "[::1]", "localhost", "LOCALHOST:1", "10.1.2.3:9470"] {
            assert!(is_allowed(&[("host", host)]), "{host}");
        }
        assert!(is_allowed(&[]), "HTTP/1.0 has no Host");
        assert!(is_allowed(&[
            ("host", "127.0.0.1:1"),
            ("origin", "http://127.0.0.1:1"),
            ("sec-fetch-site", "same-origin")
        ]));
    }

    #[test]
    fn test_names_are_taken_where_callers_show_who_they_are_and_pages_of_others_still_are_not() {
        assert!(is_allowed_where(true, &[("host", "squall.example:9470")]));
        assert!(is_allowed_where(true, &[("host", "squall.example"), ("origin", "https://squall.example")]));
        assert!(!is_allowed_where(true, &[("host", "squall.example"), ("origin", "https://evil.example")]));
        assert!(!is_allowed_where(true, &[("host", "squall.example"), ("sec-fetch-site", "cross-site")]));
    }

    #[test]
    fn test_web_pages_are_refused() {
        for host in
            ["evil.example:9470", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", ""]
        {
            assert!(!is_allowed(&[("host", host)]), "{host}");
        }
        for origin in ["http://evil.example", "null", "http://127.0.0.1:2", "http://127.0.0.1:1.evil.example"] {
            assert!(!is_allowed(&[("host", "127.0.0.1:1"), ("origin", origin)]), "{origin}");
        }
        assert!(!is_allowed(&[("host", "127.0.0.1:1"), ("sec-fetch-site", "cross-site")]));
    }
}
