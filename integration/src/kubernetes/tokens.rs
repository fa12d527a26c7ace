//! Tokens of service accounts, and what a TokenReview says of them.

use std::time::SystemTime;

use serde_json::{Value, json};

/// A token that the API server knows.
#[derive(Clone, Debug)]
pub struct Token {
    /// Of the service account.
    pub namespace: String,
    /// Name and uid of the pod that it is bound to.
    pub pod: Option<(String, String)>,
    /// Whom it is for.
    pub audiences: Vec<String>,
    /// Until then.
    pub expires: Option<SystemTime>,
}

impl Token {
    /// As the projected volume of a pod has it for the controller.
    pub fn of_pod(namespace: &str, name: &str, uid: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            pod: Some((name.to_owned(), uid.to_owned())),
            audiences: vec!["squall-controller".to_owned()],
            expires: None,
        }
    }
}

/// Answers a review of a token.
pub(super) fn review(mut review: Value, token: Option<&Token>) -> Value {
    let asked: Vec<&str> =
        review["spec"]["audiences"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let is_good = token.filter(|token| token.expires.is_none_or(|expires| SystemTime::now() < expires));
    let status = match is_good {
        None => json!({ "authenticated": false, "error": "[invalid bearer token, token has expired or is unknown]" }),
        Some(token) => {
            let common: Vec<&String> =
                token.audiences.iter().filter(|audience| asked.contains(&audience.as_str())).collect();
            if common.is_empty() {
                json!({ "authenticated": false, "error": "token audiences are invalid for the target audiences" })
            } else {
                let mut extra = json!({});
                if let Some((name, uid)) = &token.pod {
                    extra["authentication.kubernetes.io/pod-name"] = json!([name]);
                    extra["authentication.kubernetes.io/pod-uid"] = json!([uid]);
                }
                let username = format!("system:serviceaccount:{}:default", token.namespace);
                let user = json!({ "username": username, "uid": "1", "extra": extra });
                json!({ "authenticated": true, "audiences": common, "user": user })
            }
        }
    };
    review["status"] = status;
    review
}
