//! Where a control or telemetry API is.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use squall_config::model::ControlAddress;

/// Where `squall run` puts its control API unless told otherwise.
pub(crate) const CONTROL_DEFAULT: &str = "http://127.0.0.1:9470";

/// Where a control or telemetry API is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// `http://host:port`.
    Http(String),
    /// `https://host:port`.
    Https(String),
    /// `unix:path`.
    Unix(PathBuf),
}

impl Base {
    /// Accepts `http://host:port`, `https://host:port` (both with or without `/` at their end), `host:port` and
    /// `unix:path`; the error says what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        const FORMS: &str = "write http://host:port, https://host:port or unix:/path";
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            let is_file = !path.is_empty() && !path.ends_with('/');
            return if is_file { Ok(Self::Unix(path.into())) } else { Err(FORMS.to_owned()) };
        }
        let (of, rest): (fn(String) -> Self, &str) = match text.strip_prefix("https://") {
            Some(rest) => (Self::Https, rest),
            None => (Self::Http, text.strip_prefix("http://").unwrap_or(text)),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let parsed: http::uri::Authority =
            authority.parse().map_err(|e| format!("{e}; {FORMS}, as in {CONTROL_DEFAULT}"))?;
        if parsed.port_u16().is_none_or(|port| port == 0) || parsed.host().is_empty() || authority.contains('@') {
            return Err(format!("{FORMS}, as in {CONTROL_DEFAULT}"));
        }
        Ok(of(authority.to_owned()))
    }

    /// Of a listening address with plain HTTP; one that listens everywhere is called on loopback.
    pub(crate) fn of(address: SocketAddr) -> Self {
        Self::Http(reachable(address).to_string())
    }

    /// Of the control API of a configuration.
    pub(crate) fn of_control(address: &ControlAddress, has_tls: bool) -> Self {
        match address {
            ControlAddress::Tcp(address) if has_tls => Self::Https(reachable(*address).to_string()),
            ControlAddress::Tcp(address) => Self::of(*address),
            ControlAddress::Unix(path) => Self::Unix(path.clone()),
        }
    }

    /// What a request names as its host.
    pub(super) fn host(&self) -> &str {
        match self {
            Self::Http(authority) | Self::Https(authority) => authority,
            Self::Unix(_) => "localhost",
        }
    }

    /// The socket, when it is one.
    pub(super) fn socket(&self) -> Option<&Path> {
        match self {
            Self::Unix(path) => Some(path),
            _ => None,
        }
    }

    /// The URL of a path there.
    pub(crate) fn url(&self, path: &str) -> String {
        match self {
            Self::Unix(_) => format!("http://localhost{path}"),
            _ => format!("{self}{path}"),
        }
    }
}

fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(authority) => write!(f, "http://{authority}"),
            Self::Https(authority) => write!(f, "https://{authority}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_a_scheme_with_host_and_port_or_a_socket() {
        for text in ["http://127.0.0.1:9470", "http://127.0.0.1:9470/", "127.0.0.1:9470"] {
            assert_eq!(Base::parse(text).unwrap().to_string(), "http://127.0.0.1:9470");
        }
        assert_eq!(Base::parse("[::1]:80").unwrap().to_string(), "http://[::1]:80");
        assert_eq!(Base::parse("https://squall.example:9470/").unwrap().to_string(), "https://squall.example:9470");
        for text in ["unix:/run/squall.sock", "unix:///run/squall.sock"] {
            let base = Base::parse(text).unwrap();
            assert_eq!(base.to_string(), "unix:/run/squall.sock");
            assert_eq!((base.url("/v1/rules"), base.host()), ("http://localhost/v1/rules".to_owned(), "localhost"));
        }
        for text in [
            "",
            "localhost",
            "http://",
            "https://a",
            "http://a:1/v1",
            "http://a:0",
            "u@h:1",
            "a b:1",
            "unix:",
            "unix:/a/",
        ] {
            assert!(Base::parse(text).is_err(), "{text}");
        }
        assert_eq!(Base::of("0.0.0.0:9470".parse().unwrap()).to_string(), "http://127.0.0.1:9470");
        let everywhere = ControlAddress::Tcp("[::]:9470".parse().unwrap());
        assert_eq!(Base::of_control(&everywhere, false).to_string(), "http://[::1]:9470");
        assert_eq!(Base::of_control(&everywhere, true).to_string(), "https://[::1]:9470");
        assert_eq!(Base::of_control(&ControlAddress::Unix("s".into()), false).to_string(), "unix:s");
    }
}
