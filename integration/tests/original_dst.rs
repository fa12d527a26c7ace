//! Connections that go on to where they were going, told by a PROXY protocol header: nothing here needs a redirect, nor root.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use squall_integration::echo::Echo;
use squall_integration::origin::Origin;
use squall_integration::squall::output;
use squall_integration::wait::PATIENCE;
use squall_integration::{End, RawClient, Squall, eventually};

const GET: &str = "GET / HTTP/1.1\r\nHost: b\r\n\r\n";

/// With a listener whose clients say where they were going.
fn squall(clusters: &str) -> Squall {
    squall_with("", clusters)
}

fn squall_with(listener: &str, clusters: &str) -> Squall {
    let directory = tempfile::tempdir().unwrap();
    let text = format!(
        "version: 1\ncontrol: {{ address: 127.0.0.1:0 }}\ntelemetry: {{ address: 127.0.0.1:0 }}\naccess_log: stdout\n\
         listeners:\n\
         - {{ name: out, address: 127.0.0.1:0, cluster: original_dst, proxy_protocol: accept, detect_timeout: 300ms{listener} }}\n\
         clusters: [{clusters}]\n"
    );
    std::fs::write(directory.path().join("squall.yaml"), text).unwrap();
    Squall::start_in(directory, &[])
}

/// A client of 192.0.2.7 on its way there.
fn toward(squall: &Squall, to: SocketAddr) -> RawClient {
    let mut client = RawClient::connect(squall.address("out"));
    client.send(format!("PROXY TCP4 192.0.2.7 {} 4711 {}\r\n", to.ip(), to.port()));
    client
}

fn abort(squall: &Squall, cluster: &str, status: u16) {
    let rule = json!({"percentage": 100, "match": {"cluster": cluster}, "fault": {"abort": status}});
    squall.api().rule(cluster, &rule);
}

#[test]
fn each_request_belongs_to_what_it_names() {
    let (first, second) = (Origin::named("first"), Origin::named("second"));
    let (port, other) = (first.address.port(), second.address.port());
    let squall = squall(&format!(
        "{{name: b, original_dst: true, destinations: [\"*.b.example:{port}\"]}}, \
         {{name: c, original_dst: true, destinations: [\"c:*\"]}}, \
         {{name: d, original_dst: true, destinations: [\"127.0.0.1:{other}\", \"c:*\"]}}"
    ));
    for (cluster, status) in [("b", 501), ("c", 502), ("d", 503), ("original_dst", 504)] {
        abort(&squall, cluster, status);
    }
    let mut client = toward(&squall, first.address);
    let mut statuses = |hosts: &[&str]| -> Vec<u16> {
        let status = |host: &&str| client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).answer().status;
        hosts.iter().map(status).collect()
    };
    // On one connection. The port is the one that it was going to, and of several clusters it is the first of the file.
    let hosts = ["x.b.example", "X.B.example:1", "b.example", "c", "c.example", "127.0.0.1"];
    assert_eq!(statuses(&hosts), [501, 501, 504, 502, 504, 504]);
    let mut client = toward(&squall, second.address);
    assert_eq!(client.send(GET).answer().status, 503);
    for cluster in ["b", "c", "d", "original_dst"] {
        squall.api().remove(cluster);
    }
    let answer = toward(&squall, first.address).send("GET / HTTP/1.1\r\nHost: c\r\n\r\n").answer();
    assert_eq!(answer.text(), "first", "it goes where it was going, whatever Host says");
    let metrics = squall.api().metrics();
    assert_eq!(metrics.sum("squall_requests_total", &[("cluster", "b"), ("listener", "out")]), 2.0);
}

#[test]
fn http2_stays_http2() {
    let echo = Echo::http2();
    let squall = squall("");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = runtime.block_on(async {
        let mut stream = tokio::net::TcpStream::connect(squall.address("out")).await.unwrap();
        let header = format!("PROXY TCP4 192.0.2.7 127.0.0.1 4711 {}\r\n", echo.address.port());
        tokio::io::AsyncWriteExt::write_all(&mut stream, header.as_bytes()).await.unwrap();
        let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = http::Request::get("http://b/echo").body(()).unwrap();
        let (answer, _) = client.send_request(request, true).unwrap();
        let status = answer.await.unwrap().status();
        connection.abort();
        status
    });
    assert_eq!((status.as_u16(), echo.requests()), (200, 1));
}

#[test]
fn nothing_leads_to_squall_itself() {
    let squall = squall("");
    let control = squall.api().address;
    let listener = squall.address("out");
    for own in [control, listener] {
        let answer = toward(&squall, own).send(GET).answer();
        assert_eq!((answer.status, answer.header("x-squall-error")), (403, Some("downstream_destination_is_squall")));
        // Bytes have no such answer: the access log says why.
        let (came, end) = toward(&squall, own).send("\0\0\0").read_to_end();
        assert!(came.is_empty() && end != End::Silence);
    }
    // A client that was not redirected, and whose header says nothing.
    let mut client = RawClient::connect(listener);
    assert_eq!(client.send(format!("PROXY UNKNOWN\r\n{GET}")).answer().status, 403);
    let logged = "\"error\":\"upstream_is_squall\"";
    eventually("the access log", PATIENCE, || (squall.said().matches(logged).count() == 2).then_some(()));
    squall.says("was it redirected?");
}

#[test]
fn the_endpoint_learns_who_called_and_whom() {
    let (told, all) = std::sync::mpsc::channel();
    let origin = Origin::start(move |mut peer| {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(peer.read(1));
        }
        told.send(String::from_utf8(line).unwrap()).unwrap();
        while peer.request().is_some() {
            peer.send("HTTP/1.1 204 No Content\r\n\r\n");
        }
    });
    let port = origin.address.port();
    let squall =
        squall(&format!("{{name: b, original_dst: true, destinations: [\"127.0.0.1:{port}\"], proxy_protocol: v1}}"));
    assert_eq!(toward(&squall, origin.address).send(GET).answer().status, 204);
    let header = format!("PROXY TCP4 192.0.2.7 127.0.0.1 4711 {port}\r\n");
    assert_eq!(all.recv_timeout(PATIENCE).unwrap(), header);
    toward(&squall, origin.address).send("\0bytes");
    assert_eq!(all.recv_timeout(PATIENCE).unwrap(), header);
}

#[test]
fn a_name_in_tls_tells_the_cluster() {
    let origin = Origin::mirror();
    let port = origin.address.port();
    let squall = squall(&format!("{{name: b, original_dst: true, destinations: [\"b.example:{port}\"]}}"));
    squall.api().rule("r", &json!({"percentage": 100, "match": {"cluster": "b"}, "fault": {"reset": true}}));
    let hello = |name: &'static str| {
        let config = rustls::ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty());
        let mut client =
            rustls::ClientConnection::new(Arc::new(config.with_no_client_auth()), name.try_into().unwrap()).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    };
    let (first, rest) = (hello("b.example"), hello("c.example"));
    let mut client = toward(&squall, origin.address);
    // In two pieces, as large ones come.
    client.send(&first[..7]);
    assert_eq!(client.send(&first[7..]).read_to_end().1, End::Reset);
    let mut client = toward(&squall, origin.address);
    assert_eq!(client.send(&rest).read_exact(rest.len()), rest, "it passes as it came");
    // What only begins like TLS passes as well.
    let mut client = toward(&squall, origin.address);
    assert_eq!(client.send([22, 0, 0, 0, 0, 0]).read_exact(6), [22, 0, 0, 0, 0, 0]);
}

#[test]
fn what_is_for_a_forward_proxy_passes_as_it_is() {
    let origin = Origin::mirror();
    let squall = squall("");
    for text in ["CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n", "GET http://b/x HTTP/1.1\r\nHost: b\r\n\r\n"] {
        let mut client = toward(&squall, origin.address);
        assert_eq!(client.send(text).read_exact(text.len()), text.as_bytes());
    }
}

#[test]
fn opaque_ports_are_not_looked_at() {
    let (origin, other) = (Origin::mirror(), Origin::mirror());
    let squall = squall_with(&format!(", opaque_ports: [{}]", origin.address.port()), "");
    let mut client = toward(&squall, origin.address);
    assert_eq!(client.send(GET).read_exact(GET.len()), GET.as_bytes(), "HTTP is bytes there");
    let begin = Instant::now();
    let mut silent = toward(&squall, other.address);
    assert!(silent.is_silent_for(Duration::from_millis(400)));
    assert_eq!(silent.send(GET).read_exact(GET.len()), GET.as_bytes(), "after detect_timeout it is TCP");
    assert!(begin.elapsed() >= Duration::from_millis(300));
}

#[test]
fn clusters_can_change_under_an_open_connection() {
    let origin = Origin::ok();
    let port = origin.address.port();
    let squall = squall("");
    let mut client = toward(&squall, origin.address);
    assert_eq!(client.send(GET).answer().status, 200);
    let text = std::fs::read_to_string(squall.file()).unwrap();
    let named = format!("clusters: [{{name: b, original_dst: true, destinations: [\"127.0.0.1:{port}\"]}}]");
    let rules = "rules: [{name: r, percentage: 100, match: {cluster: b}, fault: {abort: 503}}]";
    std::fs::write(squall.file(), text.replace("clusters: []", &format!("{named}\n{rules}"))).unwrap();
    squall.signal("HUP");
    eventually("the rule", PATIENCE, || (client.send(GET).answer().status == 503).then_some(()));
}

#[test]
fn explain_and_validate_know_them() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("squall.yaml");
    std::fs::write(
        &file,
        "version: 1\nlisteners: [{name: out, address: \"[::]:15101\", cluster: original_dst}]\n\
         clusters: [{name: b, original_dst: true, destinations: [\"b:80\"]}]\n\
         rules: [{name: r, percentage: 5, match: {cluster: b}, fault: {delay: 2s}}]\n",
    )
    .unwrap();
    let name = file.to_str().unwrap();
    assert!(output(&["config", "validate", name]).status.success());
    for (request, expected) in [("GET http://b/x", "yes"), ("GET http://c/x", "no")] {
        let done = output(&["explain", "--rule-file", name, "--request", request]);
        let said = String::from_utf8(done.stdout).unwrap();
        let row = said.lines().find(|line| line.contains(" r ")).unwrap_or_else(|| panic!("{said}"));
        assert!(row.contains(expected), "{request}: {row}");
    }
}
