//! Handshakes that rules let go wrong, as other people's clients see them.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use squall_integration::foreign::curl_trusting;
use squall_integration::origin::Origin;
use squall_integration::programs::find;
use squall_integration::wait::PATIENCE;
use squall_integration::{Authority, Settings, Squall, TlsClient, TlsOptions, eventually};

struct World {
    authority: Authority,
    squall: Squall,
}

impl World {
    fn new() -> Self {
        let (authority, origin) = (Authority::new(), Origin::ok());
        authority.issue("b");
        let settings = Settings::new()
            .listener_with("to-b", "http", "b", &authority.listener("b"))
            .listener("plain", "http", "b")
            .cluster("b", "http1", &[origin.address]);
        Self { squall: Squall::start(&settings), authority }
    }

    fn fault(&self, fault: &Value) {
        self.squall.api().rule("r", &json!({"percentage": 100, "fault": {"tls": fault}}));
    }

    /// How curl ended, and what it said.
    fn curl(&self, curl: &Path, seconds: &str) -> (Option<i32>, String) {
        let url = format!("https://localhost:{}/", self.squall.to_b().port());
        curl_trusting(curl, &self.authority.path("ca.crt"), &["-m", seconds, &url])
    }

    /// What openssl has to say of the handshake.
    fn openssl(&self, openssl: &Path) -> String {
        let mut command = Command::new(openssl);
        command.args(["s_client", "-connect", &self.squall.to_b().to_string(), "-servername", "localhost"]);
        command.args(["-verify_hostname", "localhost", "-CAfile"]).arg(self.authority.path("ca.crt"));
        let done = command.stdin(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
    }

    fn connect(&self) -> std::io::Result<TlsClient> {
        TlsClient::connect(self.squall.to_b(), &self.authority, &TlsOptions::default())
    }

    fn counted(&self) -> u64 {
        self.squall.api().injected("r")
    }
}

#[test]
fn curl_and_openssl_are_shown_wrong_certificates() {
    let test = "curl_and_openssl_are_shown_wrong_certificates";
    let (Some(curl), Some(openssl)) = (find("curl", test), find("openssl", test)) else { return };
    let world = World::new();
    assert_eq!(world.curl(&curl, "10"), (Some(0), "ok".to_owned()));
    for (certificate, says, is_silent_of) in [
        ("untrusted", "num=19", &["certificate has expired", "hostname mismatch"][..]),
        ("expired", "certificate has expired", &["hostname mismatch"]),
        ("wrong_name", "hostname mismatch", &["certificate has expired"]),
    ] {
        world.fault(&json!({"certificate": certificate}));
        let (code, said) = world.curl(&curl, "10");
        assert!(code == Some(60) && said.contains("certificate"), "{certificate}: {code:?} {said}");
        let said = world.openssl(&openssl);
        assert!(said.contains(says) && said.contains("throw-away"), "{certificate}: {said}");
        assert!(is_silent_of.iter().all(|other| !said.contains(other)), "{certificate}: {said}");
    }
    world.squall.api().remove("r");
    assert_eq!(world.curl(&curl, "10"), (Some(0), "ok".to_owned()));
    let metrics = world.squall.api().metrics();
    let injected = metrics.sum("chaos_injected_faults_total", &[("kind", "tls"), ("listener", "to-b")]);
    assert!((injected - 6.0).abs() < 0.5, "{injected}");
}

#[test]
fn a_client_that_is_known_shows_its_certificate_to_a_wrong_one_too() {
    let (authority, origin) = (Authority::new(), Origin::ok());
    authority.issue("b");
    let test = "a_client_that_is_known_shows_its_certificate_to_a_wrong_one_too";
    let Some(curl) = find("curl", test) else { return };
    let tls = authority.listener("b").replace(" }", &format!(", client_ca: {} }}", authority.file("ca.crt")));
    let settings = Settings::new().listener_with("to-b", "http", "b", &tls).cluster("b", "http1", &[origin.address]);
    let squall = Squall::start(&settings);
    squall.api().rule("r", &json!({"percentage": 100, "fault": {"tls": {"certificate": "expired"}}}));
    let url = format!("https://{}/", squall.to_b());
    let (cert, key) = (authority.file("b.crt"), authority.file("b.key"));
    let run = |more: &[&str]| Command::new(&curl).args(["-sSk", "-m", "10", &url]).args(more).output().unwrap();
    assert!(!run(&[]).status.success(), "who has no certificate is not served, whatever the rule says");
    assert_eq!(run(&["--cert", &cert, "--key", &key]).stdout, b"ok");
}

#[test]
fn an_alert_ends_the_handshake() {
    let test = "an_alert_ends_the_handshake";
    let (Some(curl), Some(openssl)) = (find("curl", test), find("openssl", test)) else { return };
    let world = World::new();
    world.fault(&json!({"handshake": "alert"}));
    let (code, said) = world.curl(&curl, "10");
    assert!(code == Some(35) && said.contains("handshake failure"), "{code:?} {said}");
    let said = world.openssl(&openssl);
    assert!(said.contains("alert handshake failure"), "{said}");
    assert_eq!(world.counted(), 2);
    let ended = world.squall.api().metrics().sum("squall_tls_handshakes_total", &[("result", "injected")]);
    assert!((ended - 2.0).abs() < 0.5);
}

#[test]
fn a_stalled_handshake_lasts_as_long_as_its_rule() {
    let test = "a_stalled_handshake_lasts_as_long_as_its_rule";
    let Some(curl) = find("curl", test) else { return };
    let world = World::new();
    world.fault(&json!({"handshake": "stall"}));
    let (code, said) = world.curl(&curl, "0.5");
    assert!(code == Some(28), "curl gives up: {code:?} {said}");
    let api = world.squall.api();
    let active = || api.json("/v1/status")["active_faults"].as_u64().unwrap();
    eventually("the client that left is let go", PATIENCE, || (active() == 0).then_some(()));
    for release in ["halt", "remove"] {
        std::thread::scope(|scope| {
            let held = scope.spawn(|| world.connect().unwrap().get("/").unwrap().status);
            eventually("a handshake is held", PATIENCE, || (active() == 1).then_some(()));
            assert!(!held.is_finished());
            match release {
                "halt" => api.halt(),
                _ => api.remove("r"),
            }
            assert_eq!(held.join().unwrap(), 200, "it goes on");
        });
        api.resume();
    }
}

#[test]
fn a_slow_handshake_is_as_slow_as_told() {
    let world = World::new();
    world.fault(&json!({"handshake": {"slow": "400ms"}}));
    let begin = Instant::now();
    let mut client = world.connect().unwrap();
    let took = begin.elapsed();
    assert!((Duration::from_millis(400)..Duration::from_millis(900)).contains(&took), "{took:?}");
    let begin = Instant::now();
    assert_eq!(client.get("/").unwrap().status, 200);
    assert!(begin.elapsed() < Duration::from_millis(300), "the connection itself is as ever");
    world.fault(&json!({"handshake": {"slow": "300ms"}, "certificate": "untrusted"}));
    let begin = Instant::now();
    let error = world.connect().unwrap_err().to_string();
    assert!(error.contains("UnknownIssuer") && begin.elapsed() >= Duration::from_millis(300), "{error}");
}

#[test]
fn a_share_of_the_handshakes_and_the_budget_bound_it() {
    let world = World::new();
    let api = world.squall.api();
    let rule = json!({"percentage": 25, "sample": {"mode": "exact"}, "fault": {"tls": {"certificate": "expired"}}});
    api.rule("r", &rule);
    let failed = (0..100).filter(|_| world.connect().is_err()).count();
    assert_eq!(failed, 25);
    let status = api.rule_status("r");
    assert_eq!((status["matched"].as_u64(), status["injected"].as_u64()), (Some(100), Some(25)));
    assert_eq!(status["unit"], "connection");
    api.rule(
        "r",
        &json!({"match": {"source": "192.0.2.0/24"}, "percentage": 100, "fault": {"tls": {"handshake": "alert"}}}),
    );
    world.connect().unwrap();
}

#[test]
fn what_cannot_be_is_refused() {
    let world = World::new();
    let put = |rule: &Value| {
        let answer = world.squall.api().put("/v1/rules/r", &rule.to_string());
        (answer.status, answer.text())
    };
    for (matches, fault, says) in [
        (json!({"listener": "plain"}), json!({"handshake": "stall"}), "TLS ends at no listener"),
        (json!({"path": "/x"}), json!({"handshake": "stall"}), "nothing of this is known"),
        (json!({"endpoint": "127.0.0.1:9"}), json!({"handshake": "stall"}), "nothing of this is known"),
        (json!({}), json!({}), "it says nothing"),
        (json!({}), json!({"handshake": "wait"}), "not one of stall, alert"),
        (json!({}), json!({"handshake": {"slow": "0s"}}), "longer than 0s"),
        (json!({}), json!({"handshake": {"slow": "2h"}}), "limits.delay_max"),
        (json!({}), json!({"certificate": "old"}), "not one of expired"),
        (json!({}), json!({"handshake": "alert", "certificate": "expired"}), "before a certificate is shown"),
    ] {
        let (status, said) = put(&json!({"match": matches, "percentage": 1, "fault": {"tls": fault}}));
        assert!((400..500).contains(&status) && said.contains(says), "{says}: {status} {said}");
    }
    let (status, said) = put(&json!({"percentage": 1, "fault": {"tls": {"handshake": "stall"}, "delay": "1s"}}));
    assert!((400..500).contains(&status) && said.contains("alone in its rule"), "{said}");
}
