//! TLS to the endpoints of a cluster: nginx that asks for a certificate, and endpoints that are not who they should be.

use std::time::{Duration, SystemTime};

use squall_integration::origin::Origin;
use squall_integration::programs::Program;
use squall_integration::{Authority, RawClient, Settings, Squall, TlsClient, TlsOptions};

fn authority() -> Authority {
    let authority = Authority::new();
    authority.issue("server");
    authority.issue("client");
    authority
}

/// A listener without TLS, and a cluster with it.
fn to(program: &Program, protocol: &str, tls: &str) -> Settings {
    Settings::new().listener("to-b", "http", "b").cluster_with(
        "b",
        protocol,
        &[program.address],
        &format!("tls: {tls}"),
    )
}

fn identity(authority: &Authority, name: &str) -> String {
    let (cert, key) = (authority.file(&format!("{name}.crt")), authority.file(&format!("{name}.key")));
    format!("ca: {}, cert: {cert}, key: {key}", authority.file("ca.crt"))
}

#[test]
fn nginx_knows_who_calls() {
    let authority = authority();
    let Some(nginx) = Program::nginx_mutual_tls("nginx_knows_who_calls", &authority, "server") else { return };
    let identity = identity(&authority, "client");
    for (protocol, version) in [("http1", "HTTP/1.1"), ("http2", "HTTP/2.0")] {
        let squall = Squall::start(&to(&nginx, protocol, &format!("{{ {identity}, server_name: localhost }}")));
        let mut client = RawClient::connect(squall.to_b());
        for _ in 0..50 {
            assert_eq!(client.get("/").text(), format!("CN=client {version} https localhost"));
        }
        let made = squall.api().metrics().sum("squall_upstream_connections_total", &[("result", "ok")]);
        assert!(made < 2.5, "connections are kept: {made}");
        drop(squall);
    }
    // Bytes of a TCP listener, over TLS to the endpoint: this client speaks HTTP itself.
    let settings = Settings::new().listener("to-b", "tcp", "b");
    let settings = settings.cluster_with("b", "http1", &[nginx.address], &format!("tls: {{ {identity} }}"));
    let squall = Squall::start(&settings);
    assert_eq!(RawClient::connect(squall.to_b()).get("/").text(), "CN=client HTTP/1.1 https ");
}

#[test]
fn tls_on_both_sides() {
    let authority = authority();
    let Some(nginx) = Program::nginx_tls("tls_on_both_sides", &authority, "server") else { return };
    let more = authority.listener("client");
    for protocol in ["http", "tcp"] {
        let tls = format!("tls: {{ ca: {} }}", authority.file("ca.crt"));
        let settings = Settings::new().listener_with("to-b", protocol, "b", &more);
        let squall = Squall::start(&settings.cluster_with("b", "http1", &[nginx.address], &tls));
        let mut client = TlsClient::connect(squall.to_b(), &authority, &TlsOptions::default()).unwrap();
        for _ in 0..10 {
            assert_eq!(client.get("/").unwrap().text(), " HTTP/1.1 https ");
        }
    }
}

#[test]
fn an_endpoint_that_nobody_vouches_for_is_told_apart() {
    let test = "an_endpoint_that_nobody_vouches_for_is_told_apart";
    let (authority, stranger) = (authority(), authority());
    authority.issue_with("old", &["127.0.0.1"], SystemTime::now() - Duration::from_secs(60));
    authority.issue_with("other", &["other.example"], SystemTime::now() + Duration::from_secs(3600));
    let (ours, theirs) = (authority.file("ca.crt"), stranger.file("ca.crt"));
    for (shown, tls, error) in [
        ("server", format!("{{ ca: {ours} }}"), None),
        ("server", format!("{{ ca: {theirs} }}"), Some("upstream_tls_untrusted")),
        ("server", "{}".to_owned(), Some("upstream_tls_untrusted")),
        ("old", format!("{{ ca: {ours} }}"), Some("upstream_tls_expired")),
        ("other", format!("{{ ca: {ours} }}"), Some("upstream_tls_wrong_name")),
        ("other", format!("{{ ca: {ours}, server_name: other.example }}"), None),
    ] {
        let Some(nginx) = Program::nginx_tls(test, &authority, shown) else { return };
        for protocol in ["http1", "http2"] {
            let squall = Squall::start(&to(&nginx, protocol, &tls));
            let answer = RawClient::connect(squall.to_b()).get("/");
            assert_eq!(answer.header("x-squall-error"), error, "{shown} {tls}: {}", answer.text());
            assert_eq!(answer.status, if error.is_some() { 502 } else { 200 });
            let failed = squall.api().metrics().sum("squall_upstream_connections_total", &[("result", "tls")]);
            assert_eq!(failed > 0.5, error.is_some());
        }
    }
}

#[test]
fn an_endpoint_that_does_not_speak_tls_or_not_in_time() {
    let authority = authority();
    let with = |origin: &Origin| {
        let more = format!("connect_timeout: 300ms\ntls: {{ ca: {} }}", authority.file("ca.crt"));
        Settings::new().listener("to-b", "http", "b").cluster_with("b", "http1", &[origin.address], &more)
    };
    let silent = Origin::start(|mut peer| drop(peer.read_to_end()));
    let plain = Origin::start(|mut peer| {
        peer.read(100);
        peer.send("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    for (origin, status, error) in [(silent, 504, "upstream_tls_timeout"), (plain, 502, "upstream_tls_failed")] {
        let squall = Squall::start(&with(&origin));
        let answer = RawClient::connect(squall.to_b()).get("/");
        assert_eq!((answer.status, answer.header("x-squall-error")), (status, Some(error)));
    }
}

#[test]
fn an_endpoint_that_wants_a_certificate_says_so() {
    let (authority, origin) = (authority(), Origin::ok());
    let ca = authority.file("ca.crt");
    let more = authority.listener("server").replace(" }", &format!(", client_ca: {ca} }}"));
    let settings = Settings::new().listener_with("to-b", "http", "b", &more).cluster("b", "http1", &[origin.address]);
    let strict = Squall::start(&settings);
    for protocol in ["http1", "http2"] {
        let answer = |tls: &str| {
            let settings = Settings::new().listener("to-b", "http", "b");
            let squall = Squall::start(&settings.cluster_with("b", protocol, &[strict.to_b()], &format!("tls: {tls}")));
            RawClient::connect(squall.to_b()).get("/")
        };
        let refused = answer(&format!("{{ ca: {ca} }}"));
        assert_eq!(
            (refused.status, refused.header("x-squall-error")),
            (502, Some("upstream_tls_refused")),
            "{protocol}"
        );
        assert_eq!(answer(&format!("{{ {} }}", identity(&authority, "client"))).status, 200, "{protocol}");
    }
}

#[test]
fn health_checks_speak_tls_too() {
    let (authority, stranger) = (authority(), authority());
    let test = "health_checks_speak_tls_too";
    let Some(nginx) = Program::nginx_mutual_tls(test, &authority, "server") else { return };
    let check = "health_check: { path: /, interval: 100ms, unhealthy_threshold: 1, healthy_threshold: 1 }";
    let health = |protocol: &str, tls: &str| {
        let more = format!("{check}\ntls: {{ {tls} }}");
        let settings = Settings::new().listener("to-b", "http", "b");
        let squall = Squall::start(&settings.cluster_with("b", protocol, &[nginx.address], &more));
        squall_integration::wait::pause(Duration::from_millis(500));
        squall.api().json("/v1/status")["clusters"][0]["endpoints"][0]["health"].as_str().unwrap().to_owned()
    };
    for protocol in ["http1", "http2"] {
        assert_eq!(health(protocol, &identity(&authority, "client")), "healthy", "{protocol}");
        assert_eq!(health(protocol, &format!("ca: {}", stranger.file("ca.crt"))), "failing", "{protocol}");
    }
}
