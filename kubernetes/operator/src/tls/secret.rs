//! What is made here is kept in a Secret: replicas and restarts show the same, and the last to write does not win.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use squall_config::Chain;
use tokio::sync::watch;

use super::bundle::{self, Published};
use super::made::Material;
use super::pair::Pair;
use super::shown::Certificates;

/// How often the Secret and the webhook configurations are looked at: another replica may have renewed the one, and whoever
/// installs anew may have emptied the others.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How often the Secret and the webhook configurations are looked at while something is missing.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Each conflict means that another replica has written what can be read now.
const TRIES: usize = 5;
/// Whose Secret it is: one that somebody else has made is never overwritten.
const OWNER: (&str, &str) = ("app.kubernetes.io/managed-by", "squall-kubernetes");

#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    /// The API server did not do it.
    #[error("the API server does not do it")]
    Api(#[from] Box<kube::Error>),
    /// Keys or names.
    #[error("a certificate cannot be made")]
    Make(#[from] rcgen::Error),
    /// It has no label of ours.
    #[error(
        "Secret {0} is somebody else's: name another one with --tls-secret, or mount it and name its files with --tls-cert and --tls-key"
    )]
    NotOurs(String),
    /// Others write it all the time.
    #[error("Secret {0} was changed by others {TRIES} times in a row")]
    Conflicts(String),
    /// What was just made.
    #[error(transparent)]
    Unusable(#[from] super::pair::Unusable),
}

impl From<kube::Error> for KeepError {
    fn from(error: kube::Error) -> Self {
        Self::Api(Box::new(error))
    }
}

/// Keeps the Secret, what is shown and what the API server trusts in step.
#[derive(Clone)]
pub(crate) struct Keeper {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    /// The name of the Secret.
    pub(crate) secret: String,
    /// For which names the certificate is.
    pub(crate) names: Vec<String>,
    /// The name of the webhook configurations.
    pub(crate) webhook_configuration: String,
}

impl Keeper {
    /// Keeps them until `stopped`.
    pub(crate) async fn run(self, certificates: Arc<Certificates>, mut stopped: watch::Receiver<bool>) {
        let (mut shown, mut told) = (None, None);
        loop {
            let missing = self.turn(&mut shown, &certificates, SystemTime::now()).await;
            let missing = missing.unwrap_or_else(|error| {
                let why = Chain(&error).to_string();
                certificates.fail(&why);
                Some(why)
            });
            // Said when it begins and when it ends, and not each time between.
            if missing != told {
                match &missing {
                    Some(missing) => tracing::warn!(missing, "certificates are not as they should be; trying again"),
                    None => tracing::info!(secret = self.secret, "certificates are as they should be"),
                }
                told = missing.clone();
            }
            let pause = if missing.is_some() { RETRY_AFTER } else { LOOK_EVERY };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ended = stopped.wait_for(|stopped| *stopped) => return,
            }
        }
    }

    /// One look; the text says what is missing still.
    async fn turn(
        &self,
        shown: &mut Option<Material>,
        certificates: &Certificates,
        now: SystemTime,
    ) -> Result<Option<String>, KeepError> {
        let material = self.kept(now).await?;
        if shown.as_ref() != Some(&material) {
            let pair = Pair::read(material.cert.as_bytes(), material.key.as_bytes())?;
            certificates.show(&pair, material.authority.clone());
            *shown = Some(material.clone());
        }
        let name = &self.webhook_configuration;
        let published = bundle::publish(&self.client, name, &material.authority).await?;
        Ok((published == Published::Absent)
            .then(|| format!("there is no webhook configuration {name}: pods are not injected, rules not checked")))
    }

    /// What the Secret has, made or renewed when it has to be.
    async fn kept(&self, now: SystemTime) -> Result<Material, KeepError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        for _try in 0..TRIES {
            let written = match api.get_opt(&self.secret).await? {
                None => {
                    let made = Material::new(&self.names, now)?;
                    let secret = self.secret_of(&made);
                    api.create(&PostParams::default(), &secret).await.map(|_| made)
                }
                Some(mut secret) => {
                    let kept = material(&secret);
                    let Some(renewed) = kept.renewed(&self.names, now)? else { return Ok(kept) };
                    if !is_ours(&secret) {
                        return Err(KeepError::NotOurs(self.secret.clone()));
                    }
                    secret.data = Some(data(&renewed));
                    // With the version that was read: a conflict when it is another one by now.
                    api.replace(&self.secret, &PostParams::default(), &secret).await.map(|_| renewed)
                }
            };
            match written {
                Ok(material) => {
                    tracing::info!(secret = self.secret, "a new certificate was made");
                    return Ok(material);
                }
                // Another replica was faster, or the Secret has just been removed.
                Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KeepError::Conflicts(self.secret.clone()))
    }

    fn secret_of(&self, material: &Material) -> Secret {
        let (name, value) = OWNER;
        let labels =
            [(name.to_owned(), value.to_owned()), ("app.kubernetes.io/part-of".to_owned(), "squall".to_owned())];
        Secret {
            metadata: ObjectMeta {
                name: Some(self.secret.clone()),
                namespace: Some(self.namespace.clone()),
                labels: Some(labels.into()),
                ..ObjectMeta::default()
            },
            type_: Some("kubernetes.io/tls".to_owned()),
            data: Some(data(material)),
            ..Secret::default()
        }
    }
}

fn is_ours(secret: &Secret) -> bool {
    let (name, value) = OWNER;
    secret.metadata.labels.as_ref().and_then(|labels| labels.get(name)).is_some_and(|label| label == value)
}

fn data(material: &Material) -> BTreeMap<String, ByteString> {
    let Material { cert, key, authority, authority_key } = material;
    let fields = [("tls.crt", cert), ("tls.key", key), ("ca.crt", authority), ("ca.key", authority_key)];
    fields.map(|(name, text)| (name.to_owned(), ByteString(text.clone().into_bytes()))).into()
}

fn material(secret: &Secret) -> Material {
    let text = |name: &str| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(name));
        bytes.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned()).unwrap_or_default()
    };
    Material { cert: text("tls.crt"), key: text("tls.key"), authority: text("ca.crt"), authority_key: text("ca.key") }
}

#[cfg(test)]
mod tests;
