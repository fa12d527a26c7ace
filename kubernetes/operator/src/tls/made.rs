//! An authority and a certificate of it, made here. Pure but for the keys.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, Error, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;

use super::pair::{Pair, certificates, renewal, time};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Clocks of other machines may be behind.
const BEFORE: Duration = Duration::from_secs(60 * 60);
const AUTHORITY_TIME: Duration = Duration::from_secs(10 * 365 * DAY.as_secs());
const TIME: Duration = Duration::from_secs(365 * DAY.as_secs());

/// What the Secret keeps, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Material {
    pub(crate) cert: String,
    pub(crate) key: String,
    /// The certificates of the authority; behind the one that issues, those before it that somebody may still trust alone.
    pub(crate) authority: String,
    pub(crate) authority_key: String,
}

impl Material {
    /// A new authority, and a certificate of it for these names.
    ///
    /// # Errors
    /// When no key can be made, or a name can be in no certificate.
    pub(crate) fn new(names: &[String], now: SystemTime) -> Result<Self, Error> {
        let mut params = CertificateParams::default();
        limit(&mut params, now, AUTHORITY_TIME);
        // Each its own name: clients look for issuers by it.
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        params.distinguished_name.push(DnType::CommonName, format!("Squall authority {since}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority_key = KeyPair::generate()?;
        let authority = params.self_signed(&authority_key)?.pem();
        let authority_key = authority_key.serialize_pem();
        let empty = Self { cert: String::new(), key: String::new(), authority, authority_key };
        empty.with_certificate(names, now)
    }

    /// This authority with another certificate.
    fn with_certificate(self, names: &[String], now: SystemTime) -> Result<Self, Error> {
        let issuer = Issuer::from_ca_cert_pem(&self.authority, KeyPair::from_pem(&self.authority_key)?)?;
        let mut params = CertificateParams::new(names.to_vec())?;
        limit(&mut params, now, TIME);
        // At most 64 characters fit in here, and clients look at the names alone.
        params.distinguished_name.push(DnType::CommonName, "squall");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &issuer)?.pem();
        Ok(Self { cert, key: key.serialize_pem(), ..self })
    }

    /// What is to be kept from now on, when this cannot stay as it is; `None` when it can.
    ///
    /// # Errors
    /// When no key can be made, or a name can be in no certificate.
    pub(crate) fn renewed(&self, names: &[String], now: SystemTime) -> Result<Option<Self>, Error> {
        let seconds = seconds(now);
        if !self.authority_is_good(seconds) {
            let mut new = Self::new(names, now)?;
            let is_kept = |old: &CertificateDer<'_>| time(old).is_ok_and(|(_, end)| end > seconds);
            let old = certificates(self.authority.as_bytes()).unwrap_or_default();
            for old in old.iter().filter(|old| is_kept(old)).take(1) {
                new.authority.push_str(&pem(old));
            }
            return Ok(Some(new));
        }
        let pair = Pair::read(self.cert.as_bytes(), self.key.as_bytes());
        let is_good = pair
            .is_ok_and(|pair| seconds < pair.renewal() && pair.is_trusted(self.authority.as_bytes(), names, seconds));
        if is_good { Ok(None) } else { self.clone().with_certificate(names, now).map(Some) }
    }

    /// Whether certificates can be issued with it.
    fn authority_is_good(&self, now: i64) -> bool {
        let good = || -> Option<bool> {
            let all = certificates(self.authority.as_bytes()).ok()?;
            let first = all.first()?;
            let (_, parsed) = x509_parser::parse_x509_certificate(first).ok()?;
            let times = time(first).ok()?;
            let matches = Pair::read(pem(first).as_bytes(), self.authority_key.as_bytes()).is_ok();
            Some(parsed.is_ca() && matches && times.0 <= now && now < renewal(times))
        };
        good().unwrap_or(false)
    }
}

fn limit(params: &mut CertificateParams, now: SystemTime, time: Duration) {
    params.not_before = (now - BEFORE).into();
    params.not_after = (now + time).into();
}

/// Seconds of Unix time.
pub(crate) fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        ["squall.chaos.svc", "squall.chaos.svc.cluster.local"].map(str::to_owned).to_vec()
    }

    fn days(n: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs((20_000 + n) * DAY.as_secs())
    }

    fn is_trusted(material: &Material, authority: &str, name: &str, now: SystemTime) -> bool {
        let pair = Pair::read(material.cert.as_bytes(), material.key.as_bytes()).unwrap();
        pair.is_trusted(authority.as_bytes(), &[name.to_owned()], seconds(now))
    }

    #[test]
    fn what_is_made_is_trusted_for_its_names_and_no_others() {
        let made = Material::new(&names(), days(0)).unwrap();
        for name in names() {
            assert!(is_trusted(&made, &made.authority, &name, days(1)));
        }
        assert!(!is_trusted(&made, &made.authority, "squall.other.svc", days(1)));
        assert!(!is_trusted(&made, &made.authority, &names()[0], days(366)));
        let other = Material::new(&names(), days(0)).unwrap();
        assert!(!is_trusted(&made, &other.authority, &names()[0], days(1)));
        assert_eq!(made.renewed(&names(), days(1)).unwrap(), None);
    }

    #[test]
    fn a_certificate_is_renewed_when_two_thirds_of_its_time_are_over() {
        let made = Material::new(&names(), days(0)).unwrap();
        assert_eq!(made.renewed(&names(), days(242)).unwrap(), None);
        let renewed = made.renewed(&names(), days(244)).unwrap().unwrap();
        assert_eq!((&renewed.authority, &renewed.authority_key), (&made.authority, &made.authority_key));
        assert!(is_trusted(&renewed, &made.authority, &names()[0], days(600)));
    }

    #[test]
    fn another_name_needs_another_certificate() {
        let made = Material::new(&names(), days(0)).unwrap();
        let more = [names(), vec!["squall.example".to_owned()]].concat();
        let renewed = made.renewed(&more, days(1)).unwrap().unwrap();
        assert_eq!(renewed.authority, made.authority);
        assert!(is_trusted(&renewed, &made.authority, "squall.example", days(2)));
    }

    #[test]
    fn a_new_authority_comes_with_the_one_before() {
        let made = Material::new(&names(), days(0)).unwrap();
        let late = days(3650 * 2 / 3 + 1);
        let renewed = made.renewed(&names(), late).unwrap().unwrap();
        assert!(renewed.authority.ends_with(&made.authority), "{}\n{}", renewed.authority, made.authority);
        assert_ne!(renewed.authority_key, made.authority_key);
        assert!(is_trusted(&renewed, &renewed.authority, &names()[0], late));
        assert_eq!(renewed.renewed(&names(), late).unwrap(), None);
        let again = renewed.renewed(&names(), late + AUTHORITY_TIME).unwrap().unwrap();
        assert_eq!(again.authority.matches("BEGIN").count(), 1, "what is over is not kept");
    }

    #[test]
    fn what_is_broken_is_made_anew() {
        let made = Material::new(&names(), days(0)).unwrap();
        let other = Material::new(&names(), days(0)).unwrap();
        let (good, text) = (made.clone(), || "text".to_owned());
        for (broken, keeps_authority) in [
            (Material { cert: text(), ..good.clone() }, true),
            (Material { key: other.key.clone(), ..good.clone() }, true),
            (Material { cert: other.cert, key: other.key, ..good.clone() }, true),
            (Material { authority: text(), ..good.clone() }, false),
            (Material { authority_key: other.authority_key, ..good.clone() }, false),
            (Material { authority: good.cert.clone(), authority_key: good.key.clone(), ..good.clone() }, false),
        ] {
            let renewed = broken.renewed(&names(), days(1)).unwrap().unwrap();
            assert!(is_trusted(&renewed, &renewed.authority, &names()[0], days(1)));
            assert_eq!(renewed.authority == made.authority, keeps_authority);
        }
    }
}
