//! Clusters by the name that a client asks for, where TLS ends at Squall and where it passes through.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use serde_json::json;
use squall_integration::origin::Origin;
use squall_integration::programs::{Program, find};
use squall_integration::wait::PATIENCE;
use squall_integration::{Authority, Settings, Squall, TlsClient, TlsOptions, eventually};

const NAMES: &str = "server_names: { a.example: a, \"*.b.example\": b }";

fn answering(text: &'static str) -> Origin {
    Origin::answering(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()))
}

#[test]
fn where_tls_ends_the_name_chooses_the_cluster() {
    let authority = Authority::new();
    let names = ["localhost", "a.example", "x.b.example", "y.z.b.example"];
    authority.issue_with("s", &names, std::time::SystemTime::now() + PATIENCE * 60);
    let (a, b, other) = (answering("a"), answering("b"), answering("other"));
    for protocol in ["http", "tcp"] {
        let more = format!("{}\n{NAMES}", authority.listener("s"));
        let settings = Settings::new().listener_with("to-b", protocol, "other", &more);
        let settings = settings.cluster("a", "http1", &[a.address]).cluster("b", "http1", &[b.address]);
        let squall = Squall::start(&settings.cluster("other", "http1", &[other.address]));
        let connect = |server_name| {
            let options = TlsOptions { server_name, ..TlsOptions::default() };
            TlsClient::connect(squall.to_b(), &authority, &options).unwrap()
        };
        let mut kept: Vec<(TlsClient, &str)> = Vec::new();
        for (name, answer) in [("a.example", "a"), ("x.b.example", "b"), ("y.z.b.example", "b"), ("localhost", "other")]
        {
            let mut client = connect(name);
            assert_eq!(client.get("/").unwrap().text(), answer, "{name} on {protocol}");
            kept.push((client, answer));
        }
        // A rule of one cluster hits the connections whose name leads there, also those that are open.
        let fault = if protocol == "http" { json!({"abort": 503}) } else { json!({"reset": true}) };
        squall.api().rule("r", &json!({"match": {"cluster": "b"}, "percentage": 100, "fault": fault}));
        for (client, answer) in &mut kept {
            let hit = client.get("/").map_or(true, |answer| answer.status == 503);
            assert_eq!(hit, *answer == "b", "{answer} on {protocol}");
        }
        let requests = squall.api().metrics();
        for cluster in ["a", "b", "other"] {
            let moved = requests.sum("squall_bytes_total", &[("cluster", cluster), ("flow", "response")]);
            assert!(moved > 0.0, "{cluster}");
        }
    }
}

#[test]
fn what_passes_through_is_untouched() {
    let test = "what_passes_through_is_untouched";
    let (authority, other) = (Authority::new(), Authority::new());
    authority.issue_with("a", &["a.example"], std::time::SystemTime::now() + PATIENCE * 60);
    authority.issue_with("b", &["x.b.example"], std::time::SystemTime::now() + PATIENCE * 60);
    other.issue("other");
    let (Some(a), Some(b)) = (Program::nginx_tls(test, &authority, "a"), Program::nginx_tls(test, &authority, "b"))
    else {
        return;
    };
    let Some(default) = Program::nginx_tls(test, &other, "other") else { return };
    let settings = Settings::new().listener_with("to-b", "tcp", "other", &format!("tls: passthrough\n{NAMES}"));
    let settings = settings.cluster("a", "http1", &[a.address]).cluster("b", "http1", &[b.address]);
    let squall = Squall::start(&settings.cluster("other", "http1", &[default.address]));
    for (server_name, authority) in
        [("a.example", &authority), ("x.b.example", &authority), ("localhost", &other), ("127.0.0.1", &other)]
    {
        // The certificate is that of the endpoint: it is for the name, and only the endpoint has its key.
        let options = TlsOptions { server_name, alpn: &["http/1.1"], ..TlsOptions::default() };
        let mut client = TlsClient::connect(squall.to_b(), authority, &options).unwrap();
        let shown = client.get("/").unwrap().text();
        let asked = if server_name == "127.0.0.1" { "" } else { server_name };
        assert_eq!(shown, format!(" HTTP/1.1 https {asked}"));
    }
    if let Some(openssl) = find("openssl", test) {
        let mut command = Command::new(openssl);
        command.args(["s_client", "-connect", &squall.to_b().to_string(), "-servername", "x.b.example"]);
        command.arg("-CAfile").arg(authority.path("ca.crt")).args(["-verify_hostname", "x.b.example"]);
        let done = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
    }
    squall.api().rule("r", &json!({"match": {"cluster": "a"}, "percentage": 100, "fault": {"reset": true}}));
    let connect = |server_name| {
        let options = TlsOptions { server_name, ..TlsOptions::default() };
        TlsClient::connect(squall.to_b(), &authority, &options).map(drop)
    };
    assert!(connect("a.example").is_err());
    connect("x.b.example").unwrap();
}

#[test]
fn what_is_not_tls_does_not_pass_through() {
    let origin = Origin::mirror();
    let more = "tls: passthrough\nheader_timeout: 300ms";
    let settings = Settings::new().listener_with("to-b", "tcp", "b", more).cluster("b", "http1", &[origin.address]);
    let squall = Squall::start(&settings);
    for bytes in ["GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01", ""] {
        let mut client = TcpStream::connect(squall.to_b()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(bytes.as_bytes()).unwrap();
        let mut came = Vec::new();
        let _end = client.read_to_end(&mut came);
        assert_eq!(came, b"", "{bytes:?}");
    }
    assert_eq!(origin.accepted(), 0);
    eventually("the counts", PATIENCE, || {
        let count = |result| squall.api().metrics().sum("squall_tls_handshakes_total", &[("result", result)]);
        (count("failed") > 0.5 && count("timeout") > 1.5).then_some(())
    });
}
