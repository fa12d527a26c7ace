//! HTTPS to third parties that a forward proxy opens: curl and Python trust an authority that `squall certs` made, and
//! nginx is the third party.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use squall_integration::foreign;
use squall_integration::programs::{Program, find};
use squall_integration::wait::PATIENCE;
use squall_integration::{Authority, End, RawClient, Settings, Squall, eventually, squall};

/// A third party, Squall between, and curl.
struct World {
    curl: PathBuf,
    nginx: Program,
    /// Who vouches for the third party.
    theirs: Authority,
    /// Files of the authority that vouches for Squall.
    own: tempfile::TempDir,
    squall: Squall,
}

impl World {
    /// `names` are intercepted. `None` when a program is not there.
    fn new(test: &str, names: &str) -> Option<Self> {
        let (curl, theirs, own) = (find("curl", test)?, Authority::new(), tempfile::tempdir().unwrap());
        theirs.issue("server");
        make_authority(own.path());
        let nginx = Program::nginx_tls(test, &theirs, "server")?;
        let (cert, key) = (own.path().join("ca.crt"), own.path().join("ca.key"));
        let intercept = format!("intercept: {{ names: {names}, cert: {}, key: {} }}", cert.display(), key.display());
        let cluster = format!("destinations: [\"*:*\"]\ntls: {{ ca: {} }}", theirs.file("ca.crt"));
        let settings = Settings::new().listener_with("dev", "http", "outside", &intercept);
        let squall = Squall::start(&settings.cluster_with("outside", "http1", &[], &cluster));
        Some(Self { curl, nginx, theirs, own, squall })
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/", self.nginx.address.port())
    }

    /// Who vouches for Squall.
    fn trusting(&self) -> PathBuf {
        self.own.path().join("ca.crt")
    }

    /// How curl ended, and what it said, body first.
    fn curl_trusting(&self, authority: &Path, arguments: &[&str]) -> (Option<i32>, String) {
        let proxy = format!("http://{}", self.squall.address("dev"));
        let common = ["-w", " %{http_version} %{http_code}", "-x", &proxy];
        foreign::curl_trusting(&self.curl, authority, &[&common, arguments].concat())
    }

    fn curl(&self, arguments: &[&str]) -> (Option<i32>, String) {
        self.curl_trusting(&self.trusting(), arguments)
    }

    fn rule(&self, rule: &serde_json::Value) {
        self.squall.api().rule("r", rule);
    }
}

fn make_authority(directory: &Path) {
    let done = squall::output(&["certs", "init", &directory.display().to_string()]);
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn rules_see_what_is_inside() {
    let Some(world) = World::new("rules_see_what_is_inside", "[localhost]") else { return };
    let url = world.url("localhost");
    assert_eq!(world.curl(&["--http1.1", &url]), (Some(0), " HTTP/1.1 https localhost 1.1 200".to_owned()));
    assert_eq!(world.curl(&["--http2", &url]), (Some(0), " HTTP/1.1 https localhost 2 200".to_owned()));
    world.rule(&json!({
        "match": {"authority": "localhost", "path": {"prefix": "/pay"}, "cluster": "outside"},
        "percentage": 100, "fault": {"delay": "300ms", "abort": 429}
    }));
    let begun = Instant::now();
    for version in ["--http1.1", "--http2"] {
        let (code, said) = world.curl(&[version, "-D", "-", "-o", "/dev/null", &format!("{url}pay/1")]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("x-squall-fault: rule=r; kind=delay") && said.ends_with(" 429"), "{said}");
    }
    assert!(begun.elapsed() >= Duration::from_millis(600));
    assert!(world.curl(&[&url]).1.ends_with(" 200"), "other paths are left alone");
    let metrics = world.squall.api().metrics();
    let count = |origin| metrics.sum("squall_requests_total", &[("cluster", "outside"), ("origin", origin)]);
    // Five CONNECTs are requests, too; they are answered here.
    assert_eq!((count("injected"), count("upstream")), (2.0, 3.0 + 5.0));
    assert_eq!(metrics.sum("squall_tls_handshakes_total", &[("listener", "dev"), ("result", "ok")]), 5.0);
    assert_eq!(world.squall.api().injected("r"), 2);
}

#[test]
fn connections_are_kept_on_both_sides() {
    let Some(world) = World::new("connections_are_kept_on_both_sides", "[localhost]") else { return };
    let url = world.url("localhost");
    let (code, said) = world.curl(&[&url, &url, &url, &url, "-w", " %{num_connects}\n"]);
    assert_eq!(code, Some(0), "{said}");
    let connects: Vec<&str> = said.lines().filter_map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(connects, ["1", "0", "0", "0"], "{said}");
    let metrics = world.squall.api().metrics();
    assert_eq!(metrics.sum("squall_upstream_connections_total", &[("result", "ok")]), 1.0);
    eventually("no open connection", PATIENCE, || {
        (world.squall.api().metrics().sum("squall_active_connections", &[("listener", "dev")]) == 0.0).then_some(())
    });
}

#[test]
fn only_names_that_are_listed_are_opened() {
    let Some(world) = World::new("only_names_that_are_listed_are_opened", "[127.0.0.1, \"*.localhost\"]") else {
        return;
    };
    let theirs = world.theirs.path("ca.crt");
    // Opened: their authority is not the one that vouches.
    assert!(world.curl(&[&world.url("127.0.0.1")]).1.ends_with(" 200"));
    assert_eq!(world.curl_trusting(&theirs, &[&world.url("127.0.0.1")]).0, Some(60));
    // Passed on: only their authority is.
    assert!(world.curl_trusting(&theirs, &[&world.url("localhost")]).1.ends_with(" 200"));
    assert_eq!(world.curl(&[&world.url("localhost")]).0, Some(60));
}

#[test]
fn a_third_party_that_nobody_vouches_for_is_not_passed_off_as_good() {
    let test = "a_third_party_that_nobody_vouches_for_is_not_passed_off_as_good";
    let Some(world) = World::new(test, "[localhost]") else { return };
    let stranger = Authority::new();
    stranger.issue("server");
    std::fs::copy(stranger.path("ca.crt"), world.theirs.path("ca.crt")).unwrap();
    // Awaited before the first call, because a connection that is open already stays in use.
    let reloaded = || world.squall.api().metrics().sum("squall_tls_reloads_total", &[("result", "ok")]);
    eventually("other authorities in use", PATIENCE, || (reloaded() > 0.0).then_some(()));
    let said = world.curl(&["-D", "-", "-o", "/dev/null", &world.url("localhost")]).1;
    assert!(said.contains("x-squall-error: upstream_tls_untrusted"), "{said}");
}

#[test]
fn handshakes_go_wrong_when_rules_say_so() {
    let Some(world) = World::new("handshakes_go_wrong_when_rules_say_so", "[localhost]") else { return };
    let url = world.url("localhost");
    world.rule(&json!({"percentage": 100, "fault": {"tls": {"certificate": "expired"}}}));
    assert_eq!(world.curl(&[&url]).0, Some(60));
    world.rule(&json!({"percentage": 100, "fault": {"tls": {"handshake": "stall"}}}));
    assert_eq!(world.curl(&["-m", "1", &url]).0, Some(28));
    world.squall.api().remove("r");
    assert_eq!(world.curl(&[&url]).0, Some(0));
}

#[test]
fn the_authority_is_replaced_while_squall_runs() {
    let Some(world) = World::new("the_authority_is_replaced_while_squall_runs", "[localhost]") else { return };
    let (url, other) = (world.url("localhost"), tempfile::tempdir().unwrap());
    make_authority(other.path());
    assert_eq!(world.curl(&[&url]).0, Some(0));
    let before = world.own.path().join("before.crt");
    std::fs::copy(world.trusting(), &before).unwrap();
    // A certificate whose key is another one: that before goes on.
    std::fs::copy(other.path().join("ca.crt"), world.trusting()).unwrap();
    let failed = || world.squall.api().metrics().sum("squall_tls_reloads_total", &[("result", "error")]);
    eventually("a reload that failed", PATIENCE, || (failed() > 0.0).then_some(()));
    assert_eq!(world.curl_trusting(&before, &[&url]).0, Some(0));
    std::fs::copy(other.path().join("ca.key"), world.own.path().join("ca.key")).unwrap();
    eventually("the other authority in use", PATIENCE, || (world.curl(&[&url]).0 == Some(0)).then_some(()));
    assert_eq!(world.curl_trusting(&before, &[&url]).0, Some(60));
}

#[test]
fn a_client_that_does_not_speak_tls_is_turned_away() {
    let test = "a_client_that_does_not_speak_tls_is_turned_away";
    let Some(world) = World::new(test, "[localhost]") else { return };
    let to = format!("localhost:{}", world.nginx.address.port());
    let connect = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n");
    let mut client = RawClient::connect(world.squall.address("dev"));
    assert_eq!(client.send(&connect).answer_to("CONNECT").status, 200);
    // An alert and the end.
    let (said, end) = client.send("GET / HTTP/1.1\r\nHost: b\r\n\r\n").read_to_end();
    assert_eq!((said.first(), end), (Some(&21), End::Fin), "{said:?}");
    // Before it was told that there is a tunnel.
    let mut client = RawClient::connect(world.squall.address("dev"));
    let answer = client.send(format!("{connect}\u{16}\u{3}\u{1}")).answer_to("CONNECT");
    assert_eq!((answer.status, client.read_to_end().0.len()), (200, 0));
    let labels = [("listener", "dev"), ("result", "failed")];
    let failed = || world.squall.api().metrics().sum("squall_tls_handshakes_total", &labels);
    eventually("two failed handshakes", PATIENCE, || (failed() == 2.0).then_some(()));
}

#[test]
fn https_targets_in_absolute_form_are_put_under_tls() {
    let test = "https_targets_in_absolute_form_are_put_under_tls";
    let Some(world) = World::new(test, "[other.example]") else { return };
    let mut client = RawClient::connect(world.squall.address("dev"));
    let request = format!("GET {} HTTP/1.1\r\nHost: b\r\n\r\n", world.url("localhost"));
    let to = format!("localhost:{}", world.nginx.address.port());
    assert_eq!(client.send(request).answer().text(), " HTTP/1.1 https localhost");
    // In the clear it is another destination.
    assert_eq!(client.send(format!("GET http://{to}/ HTTP/1.1\r\nHost: b\r\n\r\n")).answer().status, 400);
}

#[test]
fn python_meets_a_fault_of_its_https_upstream() {
    let test = "python_meets_a_fault_of_its_https_upstream";
    let (Some(python), Some(world)) = (find("python3", test), World::new(test, "[localhost]")) else { return };
    world.rule(&json!({"match": {"path": "/broken"}, "percentage": 100, "fault": {"abort": 503}}));
    let script = "import sys, urllib.request, urllib.error\n\
                  for url in sys.argv[1:]:\n    \
                      try: print(urllib.request.urlopen(url, timeout=10).status)\n    \
                      except urllib.error.HTTPError as error: print(error.code, error.headers['x-squall-fault'])";
    let mut command = Command::new(python);
    command.env("https_proxy", format!("http://{}", world.squall.address("dev"))).env("no_proxy", "");
    command.env("SSL_CERT_FILE", world.trusting()).args(["-c", script]);
    let url = world.url("localhost");
    let done = command.args([url.clone(), format!("{url}broken")]).output().unwrap();
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert_eq!(said, "200\n503 rule=r; kind=abort\n");
}
