//! The PROXY protocol, in and out.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::json;
use squall_integration::foreign::curl_trusting;
use squall_integration::origin::Origin;
use squall_integration::programs::{Program, find};
use squall_integration::{Authority, End, RawClient, Settings, Squall, TlsClient, TlsOptions, raw};

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\x12\x67\0\x50";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n";

fn accepting(origin: SocketAddr, more: &str) -> Settings {
    let more = format!("proxy_protocol: accept\n{more}");
    Settings::new().listener_with("to-b", "http", "b", &more).cluster("b", "http1", &[origin])
}

#[test]
fn rules_and_the_access_log_see_the_original_source() {
    let origin = Origin::ok();
    let squall = Squall::start_with(&accepting(origin.address, ""), &["--access-log", "stdout"]);
    let rule = json!({"match": {"source": "192.0.2.0/24"}, "percentage": 100, "fault": {"abort": 418}});
    squall.api().rule("r", &rule);
    for (header, status) in [
        (V1, 418),
        (V2, 418),
        (b"PROXY TCP4 203.0.113.1 198.51.100.1 1 80\r\n", 200),
        (b"PROXY TCP6 2001:db8::1 ::1 1 80\r\n", 200),
        (b"PROXY UNKNOWN\r\n", 200),
    ] {
        let mut client = RawClient::connect(squall.to_b());
        client.send([header, GET].concat());
        assert_eq!(client.answer().status, status, "{:?}", String::from_utf8_lossy(header));
        assert_eq!(client.get("/").status, status, "and so does the next request");
    }
    for source in ["192.0.2.7:4711", "203.0.113.1:1", "[2001:db8::1]:1"] {
        squall_integration::eventually("the access log", squall_integration::wait::PATIENCE, || {
            squall.said().contains(&format!("\"source\":\"{source}\"")).then_some(())
        });
    }
}

#[test]
fn a_connection_without_header_is_closed_and_counted() {
    let origin = Origin::ok();
    let squall = Squall::start(&accepting(origin.address, "header_timeout: 300ms"));
    let long = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat();
    let malformed: [&[u8]; 4] = [GET, b"PROXY TCP4 1.2.3.4 5.6.7.8 1 99999\r\n", b"PROXY TCP4 1.2.3.4 ", &long];
    for bytes in malformed {
        let (came, end, took) = raw::exchange(squall.to_b(), bytes);
        assert!(came.is_empty() && end != End::Silence, "{:?}", String::from_utf8_lossy(bytes));
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
    let refused = squall.api().metrics().sum("squall_proxy_protocol_errors_total", &[("listener", "to-b")]);
    assert_eq!((refused.round(), origin.accepted()), (4.0, 0));
}

#[test]
fn curl_sends_a_header_before_its_tls() {
    let test = "curl_sends_a_header_before_its_tls";
    let Some(curl) = find("curl", test) else { return };
    let (authority, origin) = (Authority::new(), Origin::ok());
    authority.issue("b");
    let squall = Squall::start(&accepting(origin.address, &authority.listener("b")));
    let url = format!("https://{}/", squall.to_b());
    let done = curl_trusting(&curl, &authority.path("ca.crt"), &["--haproxy-protocol", &url]);
    assert_eq!(done, (Some(0), "ok".to_owned()));
}

/// Tells the first line of each connection, then answers.
fn telling() -> (Origin, mpsc::Receiver<String>) {
    let (tell, told) = mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let origin = Origin::start(move |mut peer| {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            match peer.read(1).as_slice() {
                [byte] => line.push(*byte),
                _ => return,
            }
        }
        tell.lock().unwrap().send(String::from_utf8(line).unwrap()).unwrap();
        while peer.request().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    (origin, told)
}

#[test]
fn a_connection_is_kept_for_the_client_it_was_made_for() {
    let (origin, told) = telling();
    let settings = Settings::new().listener("to-b", "http", "b");
    let squall = Squall::start(&settings.cluster_with("b", "http1", &[origin.address], "proxy_protocol: v1"));
    let (mut first, mut second) = (RawClient::connect(squall.to_b()), RawClient::connect(squall.to_b()));
    for _ in 0..5 {
        assert_eq!((first.get("/").status, second.get("/").status), (200, 200));
    }
    let expected = |client: &RawClient| {
        let (source, to) = (client.stream().local_addr().unwrap(), squall.to_b());
        format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n", source.port(), to.port())
    };
    let lines: Vec<String> = told.try_iter().collect();
    assert_eq!(lines, [expected(&first), expected(&second)], "one connection for each client, used again");
}

#[test]
fn an_accepted_header_is_passed_on() {
    let (origin, told) = telling();
    let listener = Settings::new().listener_with("to-b", "http", "b", "proxy_protocol: accept");
    let squall = Squall::start(&listener.cluster_with("b", "http1", &[origin.address], "proxy_protocol: v1"));
    let mut client = RawClient::connect(squall.to_b());
    client.send([V2, GET].concat());
    assert_eq!(client.answer().status, 200);
    assert_eq!(told.recv().unwrap().as_bytes(), V1);
}

#[test]
fn nginx_reads_the_header_also_before_tls_and_on_tcp() {
    let test = "nginx_reads_the_header_also_before_tls_and_on_tcp";
    let authority = Authority::new();
    authority.issue("b");
    for version in ["v1", "v2"] {
        let Some(nginx) = Program::nginx_proxy_protocol(test, None) else { return };
        let Some(nginx_tls) = Program::nginx_proxy_protocol(test, Some((&authority, "b"))) else { return };
        let more = format!("proxy_protocol: {version}");
        let tls = format!("{more}\ntls: {{ ca: {} }}", authority.file("ca.crt"));
        let settings = Settings::new()
            .listener("http", "http", "plain")
            .listener("tcp", "tcp", "plain")
            .listener("tls", "http", "tls")
            .listener_with("both", "tcp", "tls", &authority.listener("b"))
            .cluster_with("plain", "http1", &[nginx.address], &more)
            .cluster_with("tls", "http1", &[nginx_tls.address], &tls);
        let squall = Squall::start(&settings);
        let seen = |stream: &TcpStream| format!("127.0.0.1 {}", stream.local_addr().unwrap().port());
        for listener in ["http", "tcp", "tls"] {
            let mut client = RawClient::connect(squall.address(listener));
            assert_eq!(client.get("/").text(), seen(client.stream()), "{version} {listener}");
        }
        let mut client = TlsClient::connect(squall.address("both"), &authority, &TlsOptions::default()).unwrap();
        assert_eq!(client.get("/").unwrap().text(), seen(client.socket()));
    }
}

/// What is said of a configuration whose cluster cannot send headers.
fn refused(settings: &Settings) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("squall.yaml");
    std::fs::write(&file, settings.text()).unwrap();
    let done = squall_integration::squall::output(&["config", "validate", &file.display().to_string()]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.code() == Some(3) && said.contains("clusters[0].proxy_protocol"), "{said}");
    said
}

#[test]
fn one_connection_for_many_clients_cannot_name_one() {
    let settings = Settings::new().listener("to-b", "http", "b");
    refused(&settings.cluster_with("b", "http2", &["127.0.0.1:9".parse().unwrap()], "proxy_protocol: v2"));
}

#[test]
fn destinations_that_clients_choose_get_no_header() {
    let settings = Settings::new().listener("dev", "http", "outside");
    let more = "destinations: [\"*:*\"]\nproxy_protocol: v1";
    let said = refused(&settings.cluster_with("outside", "http1", &[], more));
    assert!(said.contains("proxy_protocol and destinations exclude each other"), "{said}");
}
