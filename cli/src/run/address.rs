//! Addresses and upstreams as flags and variables say them.

use std::net::SocketAddr;
use std::str::FromStr;

use squall_config::model::ControlAddress;

/// `--upstream`: where it is and what is spoken there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upstream {
    pub(super) address: String,
    pub(super) protocol: &'static str,
}

impl FromStr for Upstream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (protocol, rest) = match text.split_once("://") {
            Some(("http", rest)) => ("http", rest),
            Some(("tcp", rest)) => ("tcp", rest),
            Some(("https", _)) => {
                return Err("TLS needs a file: `squall config init` writes one; its cluster gets `tls: {}`".to_owned());
            }
            Some((other, _)) => return Err(format!("{other}:// is not known; use http://, tcp:// or host:port")),
            None => ("auto", text),
        };
        let address = rest.strip_suffix('/').unwrap_or(rest);
        if address.contains(['/', '?', '#', '@']) {
            return Err("an upstream is a host and a port; paths stay as the client asks for them".to_owned());
        }
        let has_port =
            address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        match (has_port, protocol) {
            (true, _) => Ok(Self { address: address.to_owned(), protocol }),
            (false, "http") if !address.is_empty() && !address.contains(':') => {
                Ok(Self { address: format!("{address}:80"), protocol })
            }
            _ => Err("the port is missing; write host:port".to_owned()),
        }
    }
}

/// `--control` of `run`: an address, or `unix:` and a path.
pub(crate) fn parse_control(text: &str) -> Result<ControlAddress, String> {
    match text.strip_prefix("unix:") {
        Some(path) => Ok(ControlAddress::Unix(path.into())),
        None => parse_address(text).map(ControlAddress::Tcp).map_err(|why| format!("{why}, or unix:/run/squall.sock")),
    }
}

/// An address of a flag of `run`. Takes `http://…` too: the client verbs read a URL from the same variable.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let address = text.strip_prefix("http://").or(text.strip_prefix("https://")).unwrap_or(text);
    let address = address.trim_end_matches('/');
    let address =
        address.strip_prefix("localhost:").map_or_else(|| address.to_owned(), |port| format!("127.0.0.1:{port}"));
    address.parse().map_err(|_| "write an IP address and a port, as in 127.0.0.1:8080".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_of_the_upstream_is_the_protocol() {
        for (text, address, protocol) in [
            ("http://b:9000", "b:9000", "http"),
            ("http://b:9000/", "b:9000", "http"),
            ("http://b", "b:80", "http"),
            ("tcp://127.0.0.1:6379", "127.0.0.1:6379", "tcp"),
            ("[::1]:9000", "[::1]:9000", "auto"),
        ] {
            assert_eq!(text.parse(), Ok(Upstream { address: address.to_owned(), protocol }), "{text}");
        }
        for text in ["", "b", "tcp://b", ":80", "https://b:1", "http://b:1/v1", "http://u@b:1", "b:70000"] {
            assert!(text.parse::<Upstream>().is_err(), "{text}");
        }
        assert!("https://b:1".parse::<Upstream>().unwrap_err().contains("tls: {}"));
    }

    #[test]
    fn addresses_may_be_urls_because_the_client_verbs_share_the_variable() {
        for text in ["127.0.0.1:9470", "http://127.0.0.1:9470", "http://localhost:9470/", "localhost:9470"] {
            assert_eq!(parse_address(text), Ok("127.0.0.1:9470".parse().unwrap()), "{text}");
        }
        assert!(parse_address("9470").is_err());
        assert_eq!(
            parse_control("https://127.0.0.1:9470/"),
            Ok(ControlAddress::Tcp("127.0.0.1:9470".parse().unwrap()))
        );
        assert_eq!(parse_control("unix:/run/s.sock"), Ok(ControlAddress::Unix("/run/s.sock".into())));
        assert!(parse_control("/run/s.sock").unwrap_err().contains("unix:"));
    }
}
