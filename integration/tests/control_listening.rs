//! Where the control API listens: Unix sockets, TLS and certificates of clients.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufReader, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Output;

use squall_integration::message::{Answer, read_answer};
use squall_integration::origin::Origin;
use squall_integration::squall::{command, output};
use squall_integration::wait::PATIENCE;
use squall_integration::{Authority, Settings, Squall, TlsClient, TlsOptions, eventually};

fn over_unix(socket: &Path, head: &str) -> Answer {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    read_answer(&mut BufReader::new(stream), "GET").unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn ended(done: &Output, code: i32, part: &str) {
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(code), "{said}");
    assert!(said.contains(part), "{part:?} in {said}");
}

#[test]
fn a_unix_socket_is_for_its_owner_and_for_client_verbs() {
    let (origin, directory) = (Origin::ok(), tempfile::tempdir().unwrap());
    let socket = directory.path().join("squall.sock");
    let control = format!("unix:{}", socket.display());
    let settings = Settings::http(origin.address).control(&format!("{{ address: \"{control}\" }}"));
    let mut squall = Squall::start(&settings);
    let facts = std::fs::metadata(&socket).unwrap();
    assert!(facts.file_type().is_socket());
    assert_eq!(facts.permissions().mode() & 0o777, 0o600);
    for words in [
        &["rule", "set", "slow", "--percentage", "0", "--fault", "delay=1s"][..],
        &["rule", "ls"],
        &["halt"],
        &["status"],
        &["healthcheck"],
    ] {
        ended(&output(&[words, &["--control", &control]].concat()), 0, "");
    }
    // Whoever looks at rules that are halted is told so.
    ended(&output(&["rule", "ls", "--control", &control]), 0, "squall resume");
    ended(&command(&["status"]).env("SQUALL_CONTROL", &control).output().unwrap(), 0, "");
    let line = text(&output(&["halt", "--curl", "--control", &control]).stdout);
    assert_eq!(line.trim(), format!("curl --unix-socket {} -X POST http://localhost/v1/halt", socket.display()));
    // Pages of a browser do not get here, and what they send is refused all the same.
    assert_eq!(over_unix(&socket, "GET /v1/status HTTP/1.1\r\nHost: localhost").status, 200);
    assert_eq!(over_unix(&socket, "GET /v1/status HTTP/1.1\r\nHost: evil.example").status, 403);
    squall.says("uid ");
    squall.signal("TERM");
    assert!(squall.wait(PATIENCE).success());
    assert!(!socket.exists(), "the socket leaves with its process");
    ended(&output(&["status", "--control", &control]), 4, "cannot reach the control API at unix:");
}

#[test]
fn a_socket_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
    let (origin, directory) = (Origin::ok(), tempfile::tempdir().unwrap());
    let socket = directory.path().join("squall.sock");
    let control = format!("unix:{}", socket.display());
    let settings = Settings::http(origin.address).control(&format!("{{ address: \"{control}\" }}"));
    let first = Squall::start(&settings);
    let file = directory.path().join("squall.yaml");
    std::fs::write(&file, settings.text()).unwrap();
    let second = output(&["run", "-c", file.to_str().unwrap()]);
    ended(&second, 1, "a running program serves it");
    assert_eq!(over_unix(&socket, "GET /readyz HTTP/1.1\r\nHost: localhost").status, 200, "the first one is unharmed");
    // Dropping kills it.
    drop(first);
    assert!(socket.exists(), "a killed process leaves its socket behind");
    let again = Squall::start(&settings);
    assert_eq!(over_unix(&socket, "GET /readyz HTTP/1.1\r\nHost: localhost").status, 200);
    drop(again);
    std::fs::remove_file(&socket).unwrap();
    std::fs::write(&socket, "somebody's notes").unwrap();
    ended(&output(&["run", "-c", file.to_str().unwrap()]), 1, "no socket");
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "somebody's notes");
}

#[test]
fn a_token_is_asked_for_on_a_socket_too() {
    let (origin, directory) = (Origin::ok(), tempfile::tempdir().unwrap());
    let (socket, tokens) = (directory.path().join("s.sock"), directory.path().join("tokens"));
    std::fs::write(&tokens, "read grafana read-token-of-grafana\n").unwrap();
    std::fs::set_permissions(&tokens, std::fs::Permissions::from_mode(0o600)).unwrap();
    let control = format!("{{ address: \"unix:{}\", token_file: {} }}", socket.display(), tokens.display());
    let _squall = Squall::start(&Settings::http(origin.address).control(&control));
    let get = "GET /v1/status HTTP/1.1\r\nHost: localhost";
    assert_eq!(over_unix(&socket, get).status, 401);
    let token = "Authorization: Bearer read-token-of-grafana";
    assert_eq!(over_unix(&socket, &format!("{get}\r\n{token}")).status, 200);
    let halt = format!("POST /v1/halt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n{token}");
    assert_eq!(over_unix(&socket, &halt).status, 403);
}

/// `control` with the certificate `api` of this authority.
fn tls(authority: &Authority, more: &str) -> String {
    let (cert, key) = (authority.file("api.crt"), authority.file("api.key"));
    format!("{{ address: \"127.0.0.1:0\", tls: {{ cert: {cert}, key: {key}{more} }} }}")
}

#[test]
fn the_api_speaks_tls_with_a_certificate_that_can_be_replaced() {
    let (authority, origin) = (Authority::new(), Origin::ok());
    authority.issue("api");
    let squall = Squall::start(&Settings::http(origin.address).control(&tls(&authority, "")));
    let address = squall.api().address;
    let client =
        || TlsClient::connect(address, &authority, &TlsOptions { alpn: &["h2", "http/1.1"], ..TlsOptions::default() });
    let mut first = client().unwrap();
    assert_eq!(first.alpn(), Some(&b"http/1.1"[..]));
    let ask = |client: &mut TlsClient, host: &str| {
        client.send(format!("GET /v1/status HTTP/1.1\r\nHost: {host}\r\n\r\n")).answer().unwrap()
    };
    let answer = ask(&mut first, "localhost");
    let shown = answer.json()["certificates"][0].clone();
    assert_eq!((&shown["of"], &shown["error"]), (&"control api".into(), &serde_json::Value::Null), "{shown}");
    // By a name of the certificate; a page of another origin stays out.
    assert_eq!(ask(&mut first, "squall.example").status, 200);
    let page = first.send("GET /v1/status HTTP/1.1\r\nHost: squall.example\r\nOrigin: https://evil.example\r\n\r\n");
    assert_eq!(page.answer().unwrap().status, 403);
    let before = first.peer_certificate();
    authority.issue("api");
    eventually("another certificate", PATIENCE, || (client().unwrap().peer_certificate() != before).then_some(()));
    assert_eq!(ask(&mut first, "localhost").status, 200, "connections stay");
    // Other listeners come and go; the API keeps its certificate.
    let (url, ca) = (format!("https://{address}"), authority.file("ca.crt"));
    ended(
        &output(&["rule", "set", "r", "--percentage", "0", "--fault", "delay=1s", "--control", &url, "--ca", &ca]),
        0,
        "",
    );
    ended(&output(&["status", "--control", &url]), 4, "--ca");
    ended(&output(&["status", "--control", &format!("http://{address}")]), 4, "cannot reach");
    ended(&output(&["healthcheck", "--control", &url, "--ca", &ca]), 0, "");
    ended(&output(&["status", "--control", &url, "--ca", "/nonexistent"]), 1, "/nonexistent");
}

#[test]
fn clients_show_their_certificate() {
    let (authority, stranger, origin) = (Authority::new(), Authority::new(), Origin::ok());
    authority.issue("api");
    authority.issue("alice");
    stranger.issue("mallory");
    let control = tls(&authority, &format!(", client_ca: {}", authority.file("ca.crt")));
    let squall = Squall::start(&Settings::http(origin.address).control(&control.replace("127.0.0.1:0", "0.0.0.0:0")));
    let url = format!("https://127.0.0.1:{}", squall.api().address.port());
    let run = |words: &[&str], identity: Option<(&Authority, &str)>| {
        let mut command = command(&[words, &["--control", &url, "--ca", &authority.file("ca.crt")]].concat());
        if let Some((authority, name)) = identity {
            command.args([
                "--cert",
                &authority.file(&format!("{name}.crt")),
                "--key",
                &authority.file(&format!("{name}.key")),
            ]);
        }
        command.output().unwrap()
    };
    ended(&run(&["halt"], Some((&authority, "alice"))), 0, "");
    squall.says("certificate alice");
    ended(&run(&["resume"], None), 4, "cannot reach");
    ended(&run(&["resume"], Some((&stranger, "mallory"))), 4, "cannot reach");
    let status = run(&["status", "-o", "json"], Some((&authority, "alice")));
    assert!(text(&status.stdout).contains("\"halted\": true"), "nobody else resumed it");
}

#[test]
fn a_certificate_and_a_token_are_both_asked_for_where_both_are_configured() {
    let (authority, origin, directory) = (Authority::new(), Origin::ok(), tempfile::tempdir().unwrap());
    authority.issue("api");
    authority.issue("alice");
    let tokens = directory.path().join("tokens");
    std::fs::write(&tokens, "read grafana read-token-of-grafana\n").unwrap();
    std::fs::set_permissions(&tokens, std::fs::Permissions::from_mode(0o600)).unwrap();
    let control = tls(&authority, &format!(", client_ca: {}", authority.file("ca.crt")));
    let control = control.replacen('{', &format!("{{ token_file: {},", tokens.display()), 1);
    let squall = Squall::start(&Settings::http(origin.address).control(&control));
    let options = TlsOptions { identity: Some("alice"), ..TlsOptions::default() };
    let mut client = TlsClient::connect(squall.api().address, &authority, &options).unwrap();
    let mut ask = |head: &str| client.send(format!("{head}\r\n\r\n")).answer().unwrap().status;
    let get = "GET /v1/status HTTP/1.1\r\nHost: localhost";
    let token = "Authorization: Bearer read-token-of-grafana";
    assert_eq!([ask(get), ask(&format!("{get}\r\n{token}"))], [401, 200]);
    // What the token may do counts, not that there is a certificate.
    assert_eq!(ask(&format!("POST /v1/halt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n{token}")), 403);
}
