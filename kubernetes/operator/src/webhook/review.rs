//! AdmissionReview (`admission.k8s.io/v1`): what the API server asks, and what it is answered.
//!
//! Not the types of `kube`: those refuse a whole review for a field that nothing here needs, and write a patch as a list of
//! numbers where the API server documents base64.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use json_patch::Patch;
use serde::Serialize;
use serde_json::Value;

pub(crate) const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";
/// The API server cuts longer ones.
const WARNING_CHARS_MAX: usize = 256;
/// So many are read by people.
const WARNINGS_MAX: usize = 16;

/// A review that can be answered: it says who it is.
#[derive(Clone, Debug)]
pub(crate) struct Review {
    document: Value,
    uid: String,
}

impl Review {
    /// Reads a body.
    ///
    /// # Errors
    /// Why it cannot be answered as a review.
    pub(crate) fn read(body: &[u8]) -> Result<Self, String> {
        if body.is_empty() {
            return Err("there is no body; POST an AdmissionReview".to_owned());
        }
        let document: Value = serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))?;
        let uid = document.pointer("/request/uid").and_then(Value::as_str).map(str::to_owned);
        let uid = uid.ok_or_else(|| "the body has no request.uid; POST an AdmissionReview".to_owned())?;
        Ok(Self { document, uid })
    }

    /// What of it is not as it has to be, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        let text = |name: &str| self.document.get(name).and_then(Value::as_str).unwrap_or_default();
        let (version, kind) = (text("apiVersion"), text("kind"));
        (version != API_VERSION || kind != KIND)
            .then(|| format!("this is {kind:?} of {version:?}; only {KIND} of {API_VERSION} is understood"))
    }

    fn text(&self, pointer: &str) -> &str {
        self.document.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub(crate) fn operation(&self) -> &str {
        self.text("/request/operation")
    }

    /// Group and kind of the object; nothing when it is about a part of one, such as its status.
    pub(crate) fn kind(&self) -> Option<(&str, &str)> {
        self.text("/request/subResource")
            .is_empty()
            .then(|| (self.text("/request/kind/group"), self.text("/request/kind/kind")))
    }

    /// Where the object is going to be.
    pub(crate) fn namespace(&self) -> Option<&str> {
        Some(self.text("/request/namespace")).filter(|namespace| !namespace.is_empty())
    }

    /// Whether nothing of it will be kept.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.document.pointer("/request/dryRun") == Some(&Value::Bool(true))
    }

    /// The object as it is to be.
    pub(crate) fn object(&self) -> Option<&Value> {
        self.document.pointer("/request/object").filter(|object| object.is_object())
    }

    /// The object as it was, of an update.
    pub(crate) fn old_object(&self) -> Option<&Value> {
        self.document.pointer("/request/oldObject").filter(|object| object.is_object())
    }

    /// As people call it; the API server makes the name of a pod of a controller later.
    pub(crate) fn title(&self) -> String {
        let kind = self.text("/request/kind/kind");
        let names = ["/request/name", "/request/object/metadata/name", "/request/object/metadata/generateName"];
        let name = names.map(|pointer| self.text(pointer)).into_iter().find(|name| !name.is_empty());
        let place = self.namespace().map(|namespace| format!("{namespace}/")).unwrap_or_default();
        format!("{kind} {place}{}", name.unwrap_or_default())
    }

    /// An answer that lets it pass as it is.
    pub(crate) fn allow(&self) -> Answer {
        Answer {
            uid: self.uid.clone(),
            allowed: true,
            status: None,
            patch_type: None,
            patch: None,
            warnings: Vec::new(),
            audit_annotations: BTreeMap::new(),
        }
    }

    /// An answer that does not let it pass.
    pub(crate) fn deny(&self, code: u16, reason: &'static str, message: String) -> Answer {
        let status = Some(Status { code, reason, message });
        Answer { allowed: false, status, ..self.allow() }
    }
}

/// What the API server is told.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    uid: String,
    pub(crate) allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: BTreeMap<&'static str, String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Status {
    code: u16,
    reason: &'static str,
    message: String,
}

impl Answer {
    /// With changes to the object.
    pub(crate) fn with_patch(mut self, patch: &Patch) -> Self {
        if !patch.is_empty() {
            self.patch_type = Some("JSONPatch");
            self.patch = Some(STANDARD.encode(patch.to_string()));
        }
        self
    }

    /// With something that kubectl shows to whoever asked.
    pub(crate) fn with_warning(mut self, text: &str) -> Self {
        if self.warnings.len() < WARNINGS_MAX {
            let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            self.warnings.push(cut(&format!("squall: {line}")));
        }
        self
    }

    /// With a line in the audit log of the API server, under the name of the webhook.
    pub(crate) fn with_audit(mut self, name: &'static str, text: String) -> Self {
        self.audit_annotations.insert(name, text);
        self
    }

    /// Why, for the log.
    pub(crate) fn told(&self) -> String {
        let of_status = self.status.iter().map(|status| status.message.as_str());
        let all = of_status.chain(self.warnings.iter().map(String::as_str));
        let mut told: Vec<&str> = all.collect();
        if told.is_empty() {
            told.extend(self.audit_annotations.values().map(String::as_str));
        }
        told.join("; ")
    }

    /// The whole document.
    pub(crate) fn document(&self) -> Value {
        serde_json::json!({ "apiVersion": API_VERSION, "kind": KIND, "response": self })
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= WARNING_CHARS_MAX {
        return text.to_owned();
    }
    text.chars().take(WARNING_CHARS_MAX - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_says_who_it_is_can_be_answered() {
        let review = Review::read(br#"{"request": {"uid": "7"}}"#).unwrap();
        assert!(review.problem().unwrap().contains("only AdmissionReview of admission.k8s.io/v1"));
        assert_eq!(
            review.allow().document(),
            json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": { "uid": "7", "allowed": true } })
        );
        for (body, why) in [
            (&b""[..], "no body"),
            (b"{", "no JSON"),
            (b"[]", "no request.uid"),
            (br#"{"request": {"uid": 7}}"#, "no request.uid"),
            (b"\xff\xfe", "no JSON"),
        ] {
            assert!(Review::read(body).unwrap_err().contains(why), "{body:?}");
        }
    }

    #[test]
    fn warnings_are_lines_that_the_api_server_does_not_cut() {
        let review = Review::read(br#"{"request": {"uid": "7"}}"#).unwrap();
        let mut answer = review.allow().with_warning("a\nb").with_warning(&"ä".repeat(400));
        assert_eq!(answer.warnings[0], "squall: a b");
        assert_eq!(answer.warnings[1].chars().count(), 256);
        for _ in 0..40 {
            answer = answer.with_warning("more");
        }
        assert_eq!(answer.warnings.len(), WARNINGS_MAX);
    }

    #[test]
    fn a_title_has_what_there_is() {
        let review = |request: Value| Review::read(json!({ "request": request }).to_string().as_bytes()).unwrap();
        let pod = json!({ "uid": "1", "kind": { "kind": "Pod" }, "namespace": "shop",
            "object": { "metadata": { "generateName": "a-7d9f-" } } });
        assert_eq!(review(pod).title(), "Pod shop/a-7d9f-");
        assert_eq!(review(json!({ "uid": "1" })).title(), " ");
    }
}
