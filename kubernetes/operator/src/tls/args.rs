//! Where certificates come from.

use std::path::PathBuf;

use clap::Args;

/// The TLS part of `squall-kubernetes run`.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Certificates")]
pub(crate) struct TlsArgs {
    /// PEM file of the certificate to show; read again when it changes. Without it, one is made and kept in a Secret
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// PEM file of its key
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// PEM file of the authority that sidecars are told to trust [default: without a file, what is in --tls-cert]
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_ca: Option<PathBuf>,
    /// The Secret that keeps what is made here
    #[arg(long, value_name = "NAME", default_value = "squall-tls")]
    tls_secret: String,
    /// The webhook configurations whose caBundle is set to the authority that is made here
    #[arg(long, value_name = "NAME", default_value = "squall")]
    webhook_configuration: String,
}

/// Where certificates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CertificateSource {
    /// Files that somebody else looks after.
    Given {
        /// The certificate, then those between it and its root.
        cert: PathBuf,
        /// Its key.
        key: PathBuf,
        /// The authority; what is in `cert` when there is none.
        ca: Option<PathBuf>,
    },
    /// They are made here.
    Made {
        /// The Secret that keeps them.
        secret: String,
        /// The name of the webhook configurations.
        webhook_configuration: String,
    },
}

impl TlsArgs {
    /// What the flags say.
    pub(crate) fn source(&self) -> CertificateSource {
        match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => {
                CertificateSource::Given { cert: cert.clone(), key: key.clone(), ca: self.tls_ca.clone() }
            }
            _ => CertificateSource::Made {
                secret: self.tls_secret.clone(),
                webhook_configuration: self.webhook_configuration.clone(),
            },
        }
    }
}
