//! What the API server answers.

use serde_json::{Value, json};

/// Status and body.
pub(super) type Answered = (u16, Value);

/// A failure, as clients of Kubernetes read it.
pub(super) fn failure(code: u16, reason: &str, message: &str) -> Answered {
    (code, status(code, reason, message))
}

/// The `Status` object of a failure.
pub(super) fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}
