//! What no API server sends gets an answer all the same, and never an error of the server.

use serde_json::{Value, json};
use squall_integration::Authority;

use crate::{Curl, review};
use squall_integration::kubernetes::Operator;

#[test]
fn what_is_no_review_is_refused_with_a_reason() {
    let authority = Authority::new();
    let operator = Operator::webhooks(&authority, &[]);
    let Some(curl) = Curl::find(&authority, &operator, "webhook: malformed reviews") else { return };
    let directory = tempfile::tempdir().unwrap();
    let large = directory.path().join("large");
    std::fs::write(&large, vec![b'['; (7 << 20) + 1]).unwrap();
    let large = format!("@{}", large.display());
    let deep = "[".repeat(100_000);
    let json = ["--header", "Content-Type: application/json"];
    for path in ["/inject", "/validate"] {
        for (arguments, status, why) in [
            (&["--request", "POST"][..], 400, "there is no body"),
            (&["--data-binary", "a=b"], 400, "content type is not application/json"),
            (&["--data-binary", "{", json[0], json[1]], 400, "the body is no JSON"),
            (&["--data-binary", &deep, json[0], json[1]], 400, "the body is no JSON"),
            (&["--data-binary", "{}", json[0], json[1]], 400, "no request.uid"),
            (&["--data-binary", &large, json[0], json[1]], 413, "more than 7340032 bytes"),
            (&["--get"], 405, "POST an AdmissionReview"),
            (&["--request", "PUT", "--data-binary", "{}"], 405, "POST an AdmissionReview"),
        ] {
            let (got, body) = curl.call(path, arguments);
            assert_eq!(got, status, "{path}: {body}");
            let body: Value = serde_json::from_str(&body).unwrap();
            assert!(body["detail"].as_str().unwrap().contains(why), "{path}: {body}");
        }
    }
    assert_eq!(curl.call("/other", &[]).0, 404);
    assert_eq!(operator.metric("squall_kubernetes_unreadable_reviews_total"), 12.0);
}

/// As long as it says which one it is.
#[test]
fn a_review_that_is_wrong_somewhere_is_answered_as_one() {
    let authority = Authority::new();
    let operator = Operator::webhooks(&authority, &[]);
    let Some(curl) = Curl::find(&authority, &operator, "webhook: reviews that are wrong") else { return };
    for (place, value) in [
        ("/apiVersion", json!("admission.k8s.io/v1beta1")),
        ("/kind", json!("Pod")),
        ("/request/object", Value::Null),
        ("/request/object", json!([])),
        ("/request/object/spec", json!("none")),
        ("/request/object/metadata", json!(7)),
        ("/request/operation", json!({})),
        ("/request/kind", json!([])),
    ] {
        let mut wrong = review("replica-set-pod");
        *wrong.pointer_mut(place).unwrap() = value;
        let answer = curl.post("/inject", &wrong);
        assert_eq!(answer["response"]["uid"], wrong["request"]["uid"], "{place}");
        assert_eq!(
            (&answer["response"]["allowed"], &answer["response"]["patch"]),
            (&json!(true), &Value::Null),
            "{place}"
        );
    }
    let mut wrong = review("fault-rule");
    wrong["apiVersion"] = json!("admission.k8s.io/v1beta1");
    let answer = curl.post("/validate", &wrong);
    assert_eq!((&answer["response"]["allowed"], &answer["response"]["status"]["code"]), (&json!(false), &json!(400)));
}
