//! Whom a connection to the control API belongs to.

use std::net::SocketAddr;
use std::sync::Arc;

use super::attempts::AttemptSource;

/// The other side of a connection; the server puts it into each request.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) end: End,
    /// The name in its certificate, when it showed one.
    pub(crate) certificate: Option<Arc<str>>,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Address(SocketAddr),
    /// A Unix socket, from a process of this user.
    User(u32),
}

impl Peer {
    pub(crate) fn of(end: End) -> Self {
        Self { end, certificate: None }
    }

    /// Where it comes from, for people.
    pub(crate) fn from(&self) -> String {
        match self.end {
            End::Address(address) => address.to_string(),
            End::User(_) => "unix".to_owned(),
        }
    }

    /// Where its tries of tokens are counted.
    pub(crate) fn source(&self) -> AttemptSource {
        match self.end {
            End::Address(address) => AttemptSource::of_address(address.ip()),
            End::User(uid) => AttemptSource::User(uid),
        }
    }
}

/// A name for people from a certificate that has been verified: its common name, else its first other name.
pub(crate) fn name_in(certificate: &[u8]) -> Option<Arc<str>> {
    use x509_parser::extensions::GeneralName;
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let common = certificate.subject().iter_common_name().find_map(|name| name.as_str().ok());
    if let Some(name) = common {
        return Some(name.into());
    }
    let others = certificate.subject_alternative_name().ok().flatten()?;
    others.value.general_names.iter().find_map(|name| match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) | GeneralName::RFC822Name(name) => Some((*name).into()),
        _ => None,
    })
}
