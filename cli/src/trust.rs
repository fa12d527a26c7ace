//! Whom outgoing TLS trusts.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, client::WantsClientCert};

/// The authorities of a PEM file; without one those of the system, and in an image that has none the usual ones.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn roots(ca: Option<&Path>) -> Result<RootCertStore, String> {
    ca.map_or_else(|| Ok(squall_proxy::authorities_of_system()), |file| roots_in(file, &content(file)?))
}

/// The authorities of a PEM file that has been read already.
///
/// # Errors
/// What is wrong with the content.
pub(crate) fn roots_in(file: &Path, content: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates_in(file, content)? {
        roots.add(certificate).map_err(|error| format!("{}: not an authority: {error}", file.display()))?;
    }
    Ok(roots)
}

/// All certificates of a PEM file, which has one at least.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    certificates_in(file, &content(file)?)
}

fn content(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| unreadable(file, &error))
}

fn certificates_in(file: &Path, content: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(content).collect();
    match all {
        Ok(all) if all.is_empty() => Err(format!("{}: there is no certificate in it", file.display())),
        Ok(all) => Ok(all),
        Err(error) => Err(unreadable(file, &error)),
    }
}

fn unreadable(file: &Path, why: &dyn fmt::Display) -> String {
    format!("cannot read certificates from {}: {why}", file.display())
}

/// Handshakes that trust these.
///
/// # Errors
/// What rustls has against it.
pub(crate) fn trusting(roots: RootCertStore) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_is_trusted_and_a_file_without_certificates_is_refused() {
        assert!(!roots(None).unwrap().is_empty(), "whether this machine has authorities or not");
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = roots(Some(file.path())).unwrap_err();
        assert_eq!(refused, format!("{}: there is no certificate in it", file.path().display()));
        std::fs::write(file.path(), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        let refused = roots(Some(file.path())).unwrap_err();
        assert!(refused.starts_with(&format!("{}: not an authority: ", file.path().display())), "{refused}");
        let gone = file.path().with_extension("gone");
        let refused = roots(Some(&gone)).unwrap_err();
        assert!(refused.starts_with(&format!("cannot read certificates from {}: ", gone.display())), "{refused}");
    }
}
