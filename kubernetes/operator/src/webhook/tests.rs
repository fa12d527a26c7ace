use axum::body::Body;
use axum::http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::serve::metrics::Metrics;

fn webhooks() -> (Router, Metrics) {
    let metrics = Metrics::new().unwrap();
    let webhook = Webhook {
        options: Box::new(Options::default),
        check: Box::new(|kind, object| {
            assert_ne!(kind, "Panic");
            let is_right = kind != "FaultRule" || object["spec"]["fault"].is_object();
            if is_right { Vec::new() } else { vec!["spec.fault: is required".to_owned()] }
        }),
        admissions: Admissions::new(&metrics).unwrap(),
    };
    (router(webhook), metrics)
}

fn request(method: Method, path: &str, body: impl Into<Body>) -> Request {
    let request = axum::http::Request::builder().method(method).uri(path);
    request.header("content-type", "application/json").body(body.into()).unwrap()
}

/// Status and document.
async fn ask(router: &Router, request: Request) -> (u16, Value) {
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{error}: {bytes:?}")))
}

fn review(kind: &str) -> Value {
    json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1", "kind": { "group": "squall.dev", "kind": kind }, "operation": "CREATE", "object": { "spec": {} },
    } })
}

#[tokio::test]
async fn what_is_no_review_is_told_what_is_missing() {
    let (router, metrics) = webhooks();
    let large = vec![b' '; body::BODY_BYTES_MAX + 1];
    for path in ["/inject", "/validate"] {
        for (given, status, why) in [
            (request(Method::POST, path, ""), 400, "there is no body"),
            (request(Method::POST, path, "text"), 400, "no JSON"),
            (request(Method::POST, path, "{\"request\": {}}"), 400, "no request.uid"),
            (request(Method::POST, path, large.clone()), 413, "more than"),
            (request(Method::GET, path, ""), 405, "POST an AdmissionReview"),
            (request(Method::DELETE, path, ""), 405, "POST an AdmissionReview"),
        ] {
            let (got, document) = ask(&router, given).await;
            assert_eq!(got, status);
            assert!(document["detail"].as_str().unwrap().contains(why), "{document}");
        }
    }
    let mut form = request(Method::POST, "/inject", "a=b");
    form.headers_mut().insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
    let (status, document) = ask(&router, form).await;
    assert_eq!(status, 400);
    assert!(document["detail"].as_str().unwrap().contains("content type"), "{document}");
    let text = metrics.text();
    assert!(text.contains("squall_kubernetes_unreadable_reviews_total 9"), "{text}");
}

#[tokio::test]
async fn an_error_of_ours_keeps_no_rule_waiting() {
    let (router, metrics) = webhooks();
    let (status, document) = ask(&router, request(Method::POST, "/validate", review("Panic").to_string())).await;
    assert_eq!((status, &document["response"]["allowed"]), (200, &json!(false)));
    let (status, document) = ask(&router, request(Method::POST, "/validate", review("FaultRule").to_string())).await;
    assert_eq!((status, &document["response"]["status"]["code"]), (200, &json!(422)));
    assert_eq!(
        ask(&router, request(Method::POST, "/validate", review("Other").to_string())).await.1["response"]["allowed"],
        true
    );
    assert!(metrics.text().contains("squall_kubernetes_validations_total{outcome=\"denied\"} 2"));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_review() {
    let (router, _) = webhooks();
    let parts = [Ok("{\"request\":"), Err(std::io::Error::other("gone"))];
    let body = Body::from_stream(futures_util::stream::iter(parts));
    let (status, document) = ask(&router, request(Method::POST, "/inject", body)).await;
    assert_eq!((status, document["detail"].as_str().unwrap()), (400, "the body broke off"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let (router, _) = webhooks();
    let body = Body::from_stream(futures_util::stream::pending::<Result<&str, std::io::Error>>());
    assert_eq!(ask(&router, request(Method::POST, "/inject", body)).await.0, 408);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_gets_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300), is_json in any::<bool>()) {
        let (router, _) = webhooks();
        let body = if is_json { json!({ "request": { "uid": "1", "object": String::from_utf8_lossy(&bytes) } }).to_string().into_bytes() } else { bytes };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for path in ["/inject", "/validate"] {
            let (status, document) = runtime.block_on(ask(&router, request(Method::POST, path, body.clone())));
            if is_json {
                prop_assert_eq!((status, &document["response"]["uid"]), (200, &json!("1")));
                prop_assert!(document["response"]["allowed"].is_boolean());
            } else {
                prop_assert_eq!(status, 400);
            }
        }
    }
}
