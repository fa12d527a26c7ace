//! Who gets orders, and who does not.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use squall_integration::eventually;
use squall_integration::kubernetes::{Manners, Token, ask};
use squall_integration::wait::pause;

use super::{PATIENCE, World};

const REVIEWS: &str = "POST /apis/authentication.k8s.io/v1/tokenreviews";

impl World {
    /// Status and body of one report.
    fn ask(&self, token: &str, report: &Value) -> (u16, Value) {
        let answer = ask(self.operator.https, &self.authority, token, report).unwrap();
        (answer.status, answer.json())
    }
}

#[test]
fn only_a_pod_with_a_token_for_the_controller_gets_orders() {
    let world = World::start(&[]);
    let good = Token::of_pod("shop", "a", "uid-a");
    let now = SystemTime::now();
    for (name, token) in [
        ("good", good.clone()),
        ("other", Token { audiences: vec!["https://kubernetes.default.svc".to_owned()], ..good.clone() }),
        ("user", Token { pod: None, ..good.clone() }),
        ("over", Token { expires: Some(now - Duration::from_secs(1)), ..good }),
    ] {
        world.server.know(name, token);
    }
    eventually("orders", PATIENCE, || (world.ask("good", &json!({})).0 == 200).then_some(()));
    for (token, status) in [("unknown", 401), ("other", 401), ("user", 403), ("over", 401), ("", 401)] {
        let (code, problem) = world.ask(token, &json!({}));
        assert_eq!(code, status, "{token}: {problem}");
        assert!(
            problem["detail"].is_string() && problem["hint"].is_string() && problem["status"] == status,
            "{problem}"
        );
    }
    let (code, orders) = world.ask("good", &json!({ "following": null, "colour": "red" }));
    assert_eq!((code, &orders["lease_ms"], &orders["rules"]), (200, &json!(5000), &json!([])));
    for wrong in [json!(7), json!({ "wait_ms": "long" }), json!({ "labels": ["x".repeat(2 << 20)] })] {
        assert_eq!(world.ask("good", &wrong).0, 400);
    }
    assert!(world.operator.metric("squall_kubernetes_answers_total{code=\"401\"}") >= 4.0);
}

#[test]
fn what_was_said_of_a_token_is_remembered_but_not_beyond_its_end() {
    let world = World::start(&[]);
    let _first = world.follower("shop", "first", Manners::default());
    let end = SystemTime::now() + Duration::from_secs(6);
    let claims = format!(r#"{{"exp":{}}}"#, end.duration_since(UNIX_EPOCH).unwrap().as_secs());
    let token = format!("e30.{}.c2ln", base64_url(claims.as_bytes()));
    world.server.know(&token, Token { expires: Some(end), ..Token::of_pod("shop", "a", "uid-a") });
    eventually("orders", PATIENCE, || (world.ask(&token, &json!({})).0 == 200).then_some(()));
    let reviews = world.server.calls(REVIEWS);
    for _ in 0..5 {
        assert_eq!(world.ask(&token, &json!({})).0, 200);
    }
    assert_eq!(world.server.calls(REVIEWS), reviews, "it was asked for once");
    while SystemTime::now() < end {
        pause(Duration::from_millis(50));
    }
    assert_eq!(world.ask(&token, &json!({})).0, 401);
}

#[test]
fn an_answer_waits_for_other_orders_or_until_its_time_is_over() {
    let world = World::start(&["--lease", "30s"]);
    let follower = world.follower("shop", "a", Manners::default());
    let orders = eventually("orders", PATIENCE, || follower.orders());
    world.server.know("b", Token::of_pod("shop", "a", &super::uid("shop", "a")));
    let asked = std::time::Instant::now();
    let (code, same) = world.ask("b", &json!({ "following": orders["revision"], "wait_ms": 1500 }));
    assert_eq!((code, &same["revision"]), (200, &orders["revision"]));
    assert!(asked.elapsed() >= Duration::from_millis(1500), "{:?}", asked.elapsed());
    let asked = std::time::Instant::now();
    assert_eq!(world.ask("b", &json!({ "following": "another", "wait_ms": 5000 })).0, 200);
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
}

/// RFC 4648 §5 without padding.
fn base64_url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let number =
            group.iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte)) << (8 * (3 - group.len()));
        for at in 0..=group.len() {
            text.push(char::from(LETTERS[number >> (18 - 6 * at) & 63]));
        }
    }
    text
}
