//! Certificates that are wrong on purpose, of an authority that lives in memory and that nobody knows.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use squall_config::model::WrongCertificate;

use super::minted::{Wanted, mint};

/// Clients choose the names that are asked for; so many certificates are kept.
const KEPT_MAX: usize = 64;
const HOUR: Duration = Duration::from_secs(60 * 60);
/// Asked for by nobody (RFC 6761 §6.4).
const OTHER_NAME: &str = "wrong-name.invalid";

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// `None` when the system gives no randomness.
static AUTHORITY: LazyLock<Option<Issuer>> = LazyLock::new(|| {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Squall throw-away authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    CertifiedIssuer::self_signed(params, KeyPair::generate().ok()?).ok()
});

/// By what is wrong with them, and for which name.
type Kept = HashMap<(WrongCertificate, String), Arc<CertifiedKey>>;

static KEPT: LazyLock<Mutex<Kept>> = LazyLock::new(Mutex::default);

/// What a handshake uses in the place of `right`: the same in everything (also in whose clients are served) but for its
/// certificate, and that no session is taken up again, for then none would be shown. `name` is what the client
/// asks for. `None` when no certificate can be made.
pub(crate) fn instead_of(right: &ServerConfig, wrong: WrongCertificate, name: &str) -> Option<Arc<ServerConfig>> {
    let key = key(wrong, name)?;
    let mut config = right.clone();
    config.cert_resolver = Arc::new(SingleCertAndKey::from(key));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Arc::new(NoTickets);
    config.send_tls13_tickets = 0;
    Some(Arc::new(config))
}

fn key(wrong: WrongCertificate, name: &str) -> Option<Arc<CertifiedKey>> {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = (wrong, name.to_owned());
    if let Some(known) = kept.get(&wanted) {
        return Some(Arc::clone(known));
    }
    let made = Arc::new(make(wrong, name)?);
    if kept.len() >= KEPT_MAX {
        kept.clear();
    }
    kept.insert(wanted, Arc::clone(&made));
    Some(made)
}

fn make(wrong: WrongCertificate, name: &str) -> Option<CertifiedKey> {
    let authority = AUTHORITY.as_ref()?;
    let name = if wrong == WrongCertificate::WrongName { OTHER_NAME } else { name };
    let now = SystemTime::now();
    let not_after = if wrong == WrongCertificate::Expired { now - HOUR } else { now + 24 * 365 * HOUR };
    let wanted = Wanted { name, not_before: now - 48 * HOUR, not_after };
    mint(&wanted, authority, &[authority.der().clone()])
}

/// No ticket is made, and none is taken.
#[derive(Debug)]
struct NoTickets;

impl ProducesTickets for NoTickets {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _plain: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _cipher: &[u8]) -> Option<Vec<u8>> {
        None
    }
}
