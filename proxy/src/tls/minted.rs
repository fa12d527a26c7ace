//! Certificates that are made here.

use std::time::SystemTime;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::provider;

/// For whom a certificate is, and when it is good.
pub(super) struct Wanted<'a> {
    /// A host name or an IP address.
    pub(super) name: &'a str,
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
}

/// A server's certificate with a key of its own, vouched for by `issuer`, whose `chain` is shown with it. `None` when
/// the name can be in none, or the system gives no randomness.
pub(super) fn mint(
    wanted: &Wanted<'_>,
    issuer: &Issuer<'_, KeyPair>,
    chain: &[CertificateDer<'static>],
) -> Option<CertifiedKey> {
    let mut params = CertificateParams::new(vec![wanted.name.to_owned()]).ok()?;
    params.distinguished_name.push(DnType::CommonName, wanted.name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = wanted.not_before.into();
    params.not_after = wanted.not_after.into();
    let key = KeyPair::generate().ok()?;
    let certificate = params.signed_by(&key, issuer).ok()?;
    let signer = provider().key_provider.load_private_key(PrivateKeyDer::try_from(key.serialize_der()).ok()?).ok()?;
    let shown = std::iter::once(certificate.der().clone()).chain(chain.iter().cloned());
    Some(CertifiedKey::new(shown.collect(), signer))
}
