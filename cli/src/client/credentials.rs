//! How a client verb shows who calls, and whom it trusts.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use rustls::ClientConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use super::shell;
use crate::trust;

/// Holds the token where no file does. There is no option for it: other users of the machine can see command lines.
const TOKEN_VARIABLE: &str = "SQUALL_TOKEN";

/// Of these options in the help; said with each, as it would otherwise hold for what follows them, too.
const HEADING: &str = "Access";

/// How a client verb shows who calls, and whom it trusts.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Credentials {
    /// A file that holds the token alone [default: the token in SQUALL_TOKEN]
    #[arg(long, value_name = "FILE", env = "SQUALL_TOKEN_FILE", global = true, help_heading = HEADING)]
    token_file: Option<PathBuf>,
    /// A PEM file of the authorities that vouch for an https:// control API [default: those of the system]
    #[arg(long, value_name = "FILE", env = "SQUALL_CA", global = true, help_heading = HEADING)]
    ca: Option<PathBuf>,
    /// A PEM file of the certificate to show to an https:// control API that asks for one; with --key
    #[arg(long, value_name = "FILE", env = "SQUALL_CERT", global = true, help_heading = HEADING)]
    cert: Option<PathBuf>,
    /// A PEM file of the private key of --cert
    #[arg(long, value_name = "FILE", env = "SQUALL_KEY", global = true, help_heading = HEADING)]
    key: Option<PathBuf>,
}

/// A token; never printed.
pub(crate) struct Token(String);

impl Token {
    /// The value of the Authorization field.
    pub(super) fn field(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Credentials {
    /// Those of somebody whose token is in the environment, to write them into a line for a shell.
    pub(crate) fn of_environment() -> Self {
        Self::default()
    }

    /// The token to show; `None` when there is none.
    pub(super) fn token(&self) -> anyhow::Result<Option<Token>> {
        let (text, place) = match &self.token_file {
            Some(file) => {
                let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
                (text, file.display().to_string())
            }
            None => match std::env::var(TOKEN_VARIABLE) {
                Ok(text) if !text.is_empty() => (text, TOKEN_VARIABLE.to_owned()),
                _ => return Ok(None),
            },
        };
        let text = text.trim();
        let is_token = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        anyhow::ensure!(
            is_token,
            "{place} does not hold a token alone; write the third word of a line of control.token_file to it"
        );
        Ok(Some(Token(text.to_owned())))
    }

    /// The words that give the same to curl, without any secret.
    pub(super) fn curl(&self, is_tls: bool, needs_token: bool) -> String {
        let mut words = String::new();
        let mut file = |option: &str, file: &Option<PathBuf>| {
            if let Some(file) = file.as_ref().filter(|_| is_tls) {
                words.push_str(&format!(" {option} {}", shell::quoted(&file.display().to_string())));
            }
        };
        file("--cacert", &self.ca);
        file("--cert", &self.cert);
        file("--key", &self.key);
        if let Some(file) = &self.token_file {
            let file = shell::quoted(&file.display().to_string());
            words.push_str(&format!(" -H \"Authorization: Bearer $(cat {file})\""));
        } else if needs_token || std::env::var_os(TOKEN_VARIABLE).is_some_and(|token| !token.is_empty()) {
            words.push_str(&format!(" -H \"Authorization: Bearer ${TOKEN_VARIABLE}\""));
        }
        words
    }

    /// What a handshake with the control API uses.
    pub(super) fn tls(&self) -> anyhow::Result<Arc<ClientConfig>> {
        let roots = trust::roots(self.ca.as_deref()).map_err(anyhow::Error::msg)?;
        let builder = trust::trusting(roots)?;
        let mut config = match (&self.cert, &self.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(cert), Some(key)) => {
                let chain = trust::certificates(cert).map_err(anyhow::Error::msg)?;
                let key = PrivateKeyDer::from_pem_file(key)
                    .with_context(|| format!("{}: there is no usable private key in it", key.display()))?;
                builder.with_client_auth_cert(chain, key).context("--cert and --key do not fit together")?
            }
            _ => anyhow::bail!("--cert and --key need each other"),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}
