//! Requests that a rule holds: so many and no more.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde_json::json;
use squall_integration::wait::pause;
use squall_integration::{RawClient, Settings, eventually};

use super::scene::{Scene, Seen, crowd, many};
use super::upstream::answer_ok;

/// What a held request may cost, its connection and all.
const HELD_KIB_MAX: f64 = 16.0;

#[test]
fn requests_that_a_rule_holds_are_bounded_and_others_pass() {
    let held_max = many();
    let scene = Scene::of(answer_ok, |origin| {
        Settings::http(origin).with(&format!("limits: {{ active_faults_max: {held_max} }}"))
    });
    let api = scene.squall.api();
    api.rule("hold", &json!({"percentage": 100, "match": {"path": "/held"}, "fault": {"blackhole": true}}));
    let is_held = |n: usize| (api.metrics().sum("chaos_active_faults", &[]) - n as f64).abs() < 0.5;
    let (most, address) = (AtomicU64::new(0), scene.squall.to_b());
    scene.withstands("requests that a rule holds", |is_over| {
        eventually("nothing is held", Duration::from_secs(10), || is_held(0).then_some(()));
        let before = scene.resident_kib();
        let held = crowd(held_max, address, "GET /held HTTP/1.1\r\nHost: b\r\n\r\n");
        eventually("all are held", Duration::from_secs(10), || is_held(held_max).then_some(()));
        // What was let go of in an earlier round is used again.
        let grown = most.fetch_max(scene.resident_kib().saturating_sub(before), Relaxed);
        let each = grown.max(most.load(Relaxed)) as f64 / held_max as f64;
        assert!(each < HELD_KIB_MAX, "{each:.1} KiB for each request that is held");
        let mut n_passed = 0;
        while n_passed < 50 || !is_over.load(Relaxed) {
            assert_eq!(RawClient::connect(address).get("/held").status, 200, "one too many passes");
            n_passed += 1;
            pause(Duration::from_millis(2));
        }
        assert!(is_held(held_max), "none was let go");
        drop(held);
        let load = format!("{held_max} held at {each:.1} KiB each, {n_passed} more");
        Seen { load, answers: format!("{n_passed} × 200") }
    });
    let skipped = api.metrics().sum("chaos_skipped_faults_total", &[("rule", "hold"), ("reason", "budget")]);
    assert!(skipped > 0.0, "what passes is counted: {skipped}");
}
