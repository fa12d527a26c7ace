//! Whom the API server trusts when it calls the webhooks: `caBundle` of their configurations.

use std::fmt::Debug;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use json_patch::{AddOperation, Patch as Operations, PatchOperation, TestOperation, jsonptr::PointerBuf};
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Published {
    /// The configurations that there are have it.
    Done,
    /// There is none.
    Absent,
}

/// Sets `caBundle` in each webhook of both configurations of a name; nothing is written where it is so already.
///
/// # Errors
/// What the API server says.
pub(crate) async fn publish(client: &Client, name: &str, authority: &str) -> Result<Published, kube::Error> {
    let bundle = STANDARD.encode(authority);
    let mutating = publish_in::<MutatingWebhookConfiguration>(Api::all(client.clone()), name, &bundle).await?;
    let validating = publish_in::<ValidatingWebhookConfiguration>(Api::all(client.clone()), name, &bundle).await?;
    // Who wants injection alone has no second one.
    Ok(if mutating || validating { Published::Done } else { Published::Absent })
}

/// Whether there is one.
async fn publish_in<K>(api: Api<K>, name: &str, bundle: &str) -> Result<bool, kube::Error>
where
    K: Resource + Clone + Debug + DeserializeOwned + Serialize,
{
    let Some(configuration) = api.get_opt(name).await? else { return Ok(false) };
    let document = serde_json::to_value(&configuration).map_err(kube::Error::SerdeError)?;
    let operations = operations(&document, bundle);
    if !operations.is_empty() {
        api.patch(name, &PatchParams::default(), &Patch::Json::<()>(operations)).await?;
        tracing::info!(name, "the API server is told whom to trust");
    }
    Ok(true)
}

/// By place, and each only where the name is still the one that was read.
fn operations(configuration: &Value, bundle: &str) -> Operations {
    let webhooks = configuration["webhooks"].as_array().into_iter().flatten().enumerate();
    let others = webhooks.filter(|(_, webhook)| webhook["clientConfig"]["caBundle"] != bundle);
    let set = others.flat_map(|(index, webhook)| {
        let path = |rest: &[&str]| {
            let index = index.to_string();
            PointerBuf::from_tokens(["webhooks", &index].iter().chain(rest).copied())
        };
        let value = webhook["name"].clone();
        let test = PatchOperation::Test(TestOperation { path: path(&["name"]), value });
        let value = bundle.into();
        [test, PatchOperation::Add(AddOperation { path: path(&["clientConfig", "caBundle"]), value })]
    });
    Operations(set.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_webhook_that_has_another_one_gets_it() {
        let given = json!({ "webhooks": [
            { "name": "a", "clientConfig": { "service": {} } },
            { "name": "b", "clientConfig": { "caBundle": "bmV3" } },
            { "name": "c", "clientConfig": { "caBundle": "b2xk" } },
        ] });
        let mut after = given.clone();
        json_patch::patch(&mut after, &operations(&given, "bmV3")).unwrap();
        for index in 0..3 {
            assert_eq!(after["webhooks"][index]["clientConfig"]["caBundle"], "bmV3");
        }
        assert_eq!(after["webhooks"][0]["clientConfig"]["service"], json!({}));
        assert!(operations(&after, "bmV3").is_empty());
        let mut moved = json!({ "webhooks": [{ "name": "other", "clientConfig": {} }] });
        assert!(json_patch::patch(&mut moved, &operations(&given, "bmV3")).is_err());
        assert!(operations(&json!({}), "bmV3").is_empty());
    }
}
