//! Squall as a forward proxy for development: `HTTP_PROXY` and `HTTPS_PROXY` point at it.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use squall_integration::echo::Echo;
use squall_integration::origin::Origin;
use squall_integration::programs::find;
use squall_integration::{End, RawClient, Settings, Squall};

/// A forward proxy that may go to loopback, but for the ports of nobody.
fn squall(destinations: &str) -> Squall {
    let cluster = format!("destinations: [{destinations}]");
    Squall::start(&Settings::new().listener("dev", "http", "outside").cluster_with("outside", "http1", &[], &cluster))
}

fn address(squall: &Squall) -> SocketAddr {
    squall.address("dev")
}

fn connect(client: &mut RawClient, to: &str) -> squall_integration::message::Answer {
    client.send(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n")).answer_to("CONNECT")
}

#[test]
fn absolute_targets_go_where_they_say() {
    let (first, second) = (Echo::http1(), Echo::http1());
    let squall = squall("\"127.0.0.1:*\", \"localhost:*\"");
    let mut client = RawClient::connect(address(&squall));
    for (echo, host) in [(&first, "127.0.0.1"), (&second, "127.0.0.1"), (&first, "localhost"), (&second, "127.0.0.1")] {
        let authority = format!("{host}:{}", echo.address.port());
        let request =
            format!("GET http://{authority}/echo/x?y HTTP/1.1\r\nHost: other\r\nProxy-Connection: keep-alive\r\n\r\n");
        let seen = client.send(request).answer().json();
        assert_eq!((seen["target"].as_str(), seen["method"].as_str()), (Some("/echo/x?y"), Some("GET")));
        let headers = seen["headers"].to_string();
        assert!(headers.contains(&authority) && !headers.contains("other") && !headers.contains("proxy-"), "{headers}");
    }
    assert_eq!((first.requests(), second.requests()), (2, 2));
    assert_eq!(second.connections(), 1, "connections to a destination are kept");
    let labels = [("cluster", "outside"), ("listener", "dev")];
    assert_eq!(squall.api().metrics().sum("squall_requests_total", &labels), 4.0);
}

#[test]
fn connect_opens_a_tunnel() {
    let origin = Origin::mirror();
    let squall = squall("\"127.0.0.1:*\"");
    let mut client = RawClient::connect(address(&squall));
    let answer = connect(&mut client, &origin.address.to_string());
    assert_eq!((answer.status, answer.header("content-length"), answer.header("transfer-encoding")), (200, None, None));
    assert_eq!(client.send("any bytes").read_exact(9), b"any bytes");
    // Python asks in the old way.
    let mut old = RawClient::connect(address(&squall));
    old.send(format!("CONNECT {} HTTP/1.0\r\n\r\n", origin.address));
    assert_eq!(old.answer_to("CONNECT").status, 200);
    assert_eq!(old.send("any bytes").read_exact(9), b"any bytes");
    // Rules see the tunnel by the name that the client gave it.
    let rule =
        json!({"percentage": 100, "match": {"upgrade": "connect", "authority": "127.0.0.1"}, "fault": {"reset": true}});
    squall.api().rule("r", &rule);
    assert_eq!(client.read_to_end(), (vec![], End::Reset));
    // Or the request for it.
    squall.api().rule("r", &json!({"percentage": 100, "match": {"method": "CONNECT"}, "fault": {"abort": 503}}));
    let mut client = RawClient::connect(address(&squall));
    let answer = connect(&mut client, &origin.address.to_string());
    assert_eq!((answer.status, answer.header("x-squall-fault")), (503, Some("rule=r; kind=abort")));
    squall.api().remove("r");
    let gone = squall_integration::origin::refusing();
    assert_eq!(connect(&mut client, &gone.to_string()).header("x-squall-error"), Some("upstream_connect_refused"));
}

#[test]
fn only_listed_destinations_are_reached_and_never_squall_itself() {
    let echo = Echo::http1();
    let port = echo.address.port();
    let squall = squall(&format!("\"127.0.0.1:{port}\", \"[::1]:*\", \"*.test\""));
    let error = |target: &str, expected: (u16, &str)| {
        let mut client = RawClient::connect(address(&squall));
        let answer = client.send(format!("GET {target} HTTP/1.1\r\nHost: b\r\n\r\n")).answer();
        assert_eq!((answer.status, answer.header("x-squall-error")), (expected.0, Some(expected.1)), "{target}");
        assert_eq!(client.read_to_end().1, End::Fin);
    };
    error("http://127.0.0.1:1/", (403, "downstream_destination_not_allowed"));
    error(&format!("http://localhost:{port}/"), (403, "downstream_destination_not_allowed"));
    error("http://example.test.evil/", (403, "downstream_destination_not_allowed"));
    error("/just/a/path", (400, "downstream_no_destination"));
    error("https://127.0.0.1/", (400, "downstream_no_destination"));
    assert_eq!(echo.requests(), 0);
    // With everything allowed its own addresses stay out of reach, by any of their names.
    let all = self::squall("\"*:*\"");
    let control = all.api().address;
    let own = address(&all);
    for target in [
        format!("{control}"),
        format!("localhost:{}", control.port()),
        format!("0.0.0.0:{}", control.port()),
        format!("[::ffff:127.0.0.1]:{}", control.port()),
        format!("{own}"),
    ] {
        let mut client = RawClient::connect(own);
        let answer = client
            .send(format!("POST http://{target}/v1/halt HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n"))
            .answer();
        assert_eq!(
            (answer.status, answer.header("x-squall-error")),
            (403, Some("downstream_destination_is_squall")),
            "{target}"
        );
        let mut client = RawClient::connect(own);
        assert_eq!(connect(&mut client, &target).status, 403, "CONNECT {target}");
    }
    assert_eq!(all.api().json("/v1/status")["halted"], false);
}

#[test]
fn other_listeners_refuse_connect_as_before() {
    let echo = Echo::http1();
    let squall = Squall::start(&Settings::http(echo.address));
    let mut client = RawClient::connect(squall.to_b());
    let answer = connect(&mut client, &echo.address.to_string());
    assert_eq!((answer.status, answer.header("x-squall-error")), (501, Some("downstream_unsupported_method")));
}

#[test]
fn curl_with_http_proxy_meets_the_faults() {
    if find("curl", "forward_proxy").is_none() {
        return;
    }
    let echo = Echo::http1();
    let squall = squall("\"127.0.0.1:*\"");
    let proxy = format!("http://{}", address(&squall));
    let curl = |arguments: &[&str]| {
        let url = format!("http://{}/sized/100", echo.address);
        let mut command = Command::new("curl");
        command
            .env("http_proxy", &proxy)
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}"])
            .args(arguments)
            .arg(url);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert_eq!(curl(&[]), "200");
    // Through a tunnel, as for TLS.
    assert_eq!(curl(&["--proxytunnel"]), "200");
    let rule = json!({"percentage": 100, "match": {"authority": "127.0.0.1", "path": {"prefix": "/sized/"}}, "fault": {"delay": "300ms", "abort": 429}});
    squall.api().rule("r", &rule);
    let begin = Instant::now();
    assert_eq!(curl(&[]), "429");
    assert!(begin.elapsed() >= Duration::from_millis(300));
    assert_eq!(curl(&["--proxytunnel"]), "200", "what is in a tunnel is nobody's business");
}
