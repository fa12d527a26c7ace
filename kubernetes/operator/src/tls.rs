//! The certificate that is shown, and the authority that vouches for it: from files, or made here.
//!
//! ```text
//! files (given) ──────────────▶ pair ─▶ Certificates ─▶ every handshake
//! Secret (made, renewed) ─────▶   │         └─▶ the authority that injected sidecars are told of
//!        └─▶ caBundle of the webhook configurations
//! ```

mod args;
mod bundle;
mod given;
mod made;
mod pair;
mod secret;
mod shown;

pub(crate) use args::{CertificateSource, TlsArgs};
pub(crate) use given::Given;
pub(crate) use secret::Keeper;
pub(crate) use shown::Certificates;

/// The part of the health that has to do with certificates.
pub(crate) const PART: &str = "tls";

#[cfg(test)]
mod tests;
