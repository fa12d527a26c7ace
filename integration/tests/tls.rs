//! TLS that ends at a listener, seen by raw clients and by those of other people.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use squall_integration::foreign::curl_trusting;
use squall_integration::origin::Origin;
use squall_integration::programs::find;
use squall_integration::wait::PATIENCE;
use squall_integration::{Authority, End, Settings, Squall, TlsClient, TlsOptions, eventually, raw};

fn http(authority: &Authority, origin: &Origin) -> Settings {
    let tls = authority.listener("b");
    Settings::new().listener_with("to-b", "http", "service-b", &tls).cluster("service-b", "http1", &[origin.address])
}

fn tcp(authority: &Authority, origin: &Origin) -> Settings {
    let tls = authority.listener("b");
    Settings::new().listener_with("to-b", "tcp", "service-b", &tls).cluster("service-b", "http1", &[origin.address])
}

fn authority() -> Authority {
    let authority = Authority::new();
    authority.issue("b");
    authority
}

#[test]
fn requests_pass_and_the_end_is_said() {
    let (authority, origin) = (authority(), Origin::ok());
    let squall = Squall::start(&http(&authority, &origin));
    let options = TlsOptions { alpn: &["http/1.1"], ..TlsOptions::default() };
    let mut client = TlsClient::connect(squall.to_b(), &authority, &options).unwrap();
    assert_eq!(client.alpn(), Some(&b"http/1.1"[..]));
    for _ in 0..3 {
        assert_eq!(client.get("/").unwrap().status, 200);
    }
    client.send("GET / HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n");
    let rest = client.read_to_end().expect("an end with close_notify");
    assert!(String::from_utf8_lossy(&rest).ends_with("ok"));
    assert_eq!(origin.seen().len(), 4);
    assert_eq!(origin.accepted(), 1, "the upstream's connection is kept");
    let mut client = TlsClient::connect(squall.to_b(), &authority, &TlsOptions::default()).unwrap();
    assert_eq!(client.get("/").unwrap().status, 200, "no ALPN, told from the first bytes");
    let metrics = squall.api().get("/metrics").text();
    assert!(metrics.contains("squall_tls_handshakes_total{listener=\"to-b\",result=\"ok\"} 2"), "{metrics}");
    assert!(metrics.contains("squall_tls_certificate_not_after_seconds{listener=\"to-b\"} 1"), "{metrics}");
}

#[test]
fn a_large_upload_and_a_large_answer_pass_whole() {
    const BYTES: usize = 3_000_000;
    let authority = authority();
    let origin = Origin::start(|mut peer| {
        while let Some(seen) = peer.request() {
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", seen.body.len()));
            peer.send(seen.body);
        }
    });
    let squall = Squall::start(&http(&authority, &origin));
    let mut client = TlsClient::connect(squall.to_b(), &authority, &TlsOptions::default()).unwrap();
    let body: Vec<u8> = (0..BYTES).map(|i| (i % 251).to_le_bytes()[0]).collect();
    client.send(format!("POST / HTTP/1.1\r\nHost: b\r\nConnection: close\r\nContent-Length: {BYTES}\r\n\r\n"));
    client.send(&body);
    let answer = client.read_to_end().unwrap();
    assert!(answer.ends_with(&body), "{} bytes came", answer.len());
}

#[test]
fn bytes_pass_both_ways_and_each_end_by_itself() {
    const BYTES: usize = 2_000_000;
    let (authority, origin) = (authority(), Origin::mirror());
    let squall = Squall::start(&tcp(&authority, &origin));
    let mut client = TlsClient::connect(squall.to_b(), &authority, &TlsOptions::default()).unwrap();
    assert_eq!(client.send("ping").read_exact(4), b"ping");
    let body: Vec<u8> = (0..BYTES).map(|i| (i % 249).to_le_bytes()[0]).collect();
    for chunk in body.chunks(50_000) {
        client.send(chunk);
        assert_eq!(client.read_exact(chunk.len()), chunk);
    }
    // The mirror sends FIN for FIN: the other direction still works after one has ended.
    assert_eq!(client.say_end().read_to_end().unwrap(), b"");
}

#[test]
fn what_follows_a_switch_of_protocols_passes_too() {
    let authority = authority();
    let origin = Origin::start(|mut peer| {
        if peer.request().is_some() {
            peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
            while let word @ [_, ..] = peer.read(4).as_slice() {
                peer.send(word);
            }
        }
    });
    let squall = Squall::start(&http(&authority, &origin));
    let mut client = TlsClient::connect(squall.to_b(), &authority, &TlsOptions::default()).unwrap();
    client.send("GET / HTTP/1.1\r\nHost: b\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(client.read_exact(1));
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{:?}", String::from_utf8_lossy(&head));
    for word in ["ping", "pong"] {
        assert_eq!(client.send(word).read_exact(4), word.as_bytes());
    }
    squall.api().rule("cut", &json!({"match": {"upgrade": "websocket"}, "percentage": 100, "fault": {"reset": true}}));
    assert_eq!(raw::end_of(&client.read_to_end().unwrap_err()), Some(End::Reset), "rules of tunnels hit it");
}

#[test]
fn an_end_that_was_not_said_is_no_end_for_the_upstream() {
    let authority = authority();
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let origin = Origin::start(move |mut peer| tell.lock().unwrap().send(peer.read_to_end()).unwrap());
    let squall = Squall::start(&tcp(&authority, &origin));
    let mut client = TlsClient::connect(squall.to_b(), &authority, &TlsOptions::default()).unwrap();
    client.send("half of a mess");
    client.socket().shutdown(Shutdown::Write).unwrap();
    let (bytes, end) = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(end, End::Reset, "after {:?}", String::from_utf8_lossy(&bytes));
}

#[test]
fn a_body_cut_short_is_not_passed_on_as_whole() {
    let (authority, origin) = (authority(), Origin::ok());
    let squall = Squall::start(&http(&authority, &origin));
    let mut client = TlsClient::connect(squall.to_b(), &authority, &TlsOptions::default()).unwrap();
    client.send("POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 10\r\n\r\nhalf");
    client.socket().shutdown(Shutdown::Write).unwrap();
    let _ = client.read_to_end();
    assert_eq!(origin.seen().len(), 0);
}

#[test]
fn a_reset_has_no_alert_before_it() {
    let (authority, origin) = (authority(), Origin::mirror());
    let squall = Squall::start(&http(&authority, &origin));
    squall.api().rule("cut", &json!({"percentage": 100, "fault": {"reset": true}}));
    let mut client = TlsClient::connect(squall.to_b(), &authority, &TlsOptions::default()).unwrap();
    assert_eq!(raw::end_of(&client.get("/").unwrap_err()), Some(End::Reset));

    let squall = Squall::start(&tcp(&authority, &origin));
    let mut client = TlsClient::connect(squall.to_b(), &authority, &TlsOptions::default()).unwrap();
    assert_eq!(client.send("ping").read_exact(4), b"ping");
    squall.api().rule("cut", &json!({"percentage": 100, "fault": {"reset": true}}));
    assert_eq!(raw::end_of(&client.read_to_end().unwrap_err()), Some(End::Reset), "on an open connection");
}

#[test]
fn clients_show_a_certificate_where_one_is_asked_for() {
    let (authority, stranger, origin) = (authority(), Authority::new(), Origin::ok());
    authority.issue("a");
    stranger.issue("a");
    let tls = authority.listener("b").replace(" }", &format!(", client_ca: {} }}", authority.file("ca.crt")));
    let settings = Settings::new().listener_with("to-b", "http", "service-b", &tls).cluster(
        "service-b",
        "http1",
        &[origin.address],
    );
    let squall = Squall::start(&settings);
    let options = TlsOptions { identity: Some("a"), ..TlsOptions::default() };
    let mut client = TlsClient::connect(squall.to_b(), &authority, &options).unwrap();
    assert_eq!(client.get("/").unwrap().status, 200);
    // Under TLS 1.3 a client hears of it when it reads.
    let refused = TlsClient::connect(squall.to_b(), &authority, &TlsOptions::default()).and_then(|mut c| c.get("/"));
    assert!(refused.unwrap_err().to_string().contains("CertificateRequired"));
    eventually("the count", PATIENCE, || {
        let metrics = squall.api().get("/metrics").text();
        metrics.contains("result=\"client_certificate\"} 1").then_some(())
    });
    let Some(program) = find("curl", "clients_show_a_certificate_where_one_is_asked_for") else { return };
    let url = format!("https://{}/", squall.to_b());
    let with = |authority: &Authority| [authority.file("a.crt"), authority.file("a.key")];
    let [cert, key] = with(&authority);
    assert_eq!(
        curl_trusting(&program, &authority.path("ca.crt"), &["--cert", &cert, "--key", &key, &url]),
        (Some(0), "ok".to_owned())
    );
    let [cert, key] = with(&stranger);
    let (code, said) = curl_trusting(&program, &authority.path("ca.crt"), &["--cert", &cert, "--key", &key, &url]);
    assert!(code != Some(0) && said.contains("unknown ca"), "{code:?} {said}");
}

#[test]
fn silence_and_other_languages_end_the_handshake() {
    let (authority, origin) = (authority(), Origin::ok());
    let more = format!("{}\nheader_timeout: 200ms", authority.listener("b"));
    let settings = Settings::new().listener_with("to-b", "http", "service-b", &more).cluster(
        "service-b",
        "http1",
        &[origin.address],
    );
    let squall = Squall::start(&settings);
    let mut silent = TcpStream::connect(squall.to_b()).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(silent.read(&mut [0; 8]).unwrap(), 0);
    let (bytes, _, took) = raw::exchange(squall.to_b(), "GET / HTTP/1.1\r\nHost: b\r\n\r\n");
    assert!(took < Duration::from_secs(1) && bytes.first() == Some(&21), "an alert: {bytes:?}");
    let metrics = squall.api().get("/metrics").text();
    for result in ["timeout", "failed"] {
        let line = format!("squall_tls_handshakes_total{{listener=\"to-b\",result=\"{result}\"}} 1");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
}

/// What a client has sent of the preface of HTTP/2, once both have agreed on that.
const UNFINISHED: [&str; 2] = ["", "PRI * HTTP/2.0\r\n"];

fn agrees_on_http2(squall: &Squall, authority: &Authority, then: &str) -> TlsClient {
    let options = TlsOptions { alpn: &["h2"], ..TlsOptions::default() };
    let mut client = TlsClient::connect(squall.to_b(), authority, &options).expect("a handshake");
    assert_eq!(client.alpn(), Some(&b"h2"[..]));
    client.send(then);
    client
}

#[test]
fn a_client_that_agrees_on_http2_and_does_not_begin_it_is_closed_in_time() {
    let (authority, origin) = (authority(), Origin::ok());
    let more = format!("{}\nheader_timeout: 300ms", authority.listener("b"));
    let settings = Settings::new().listener_with("to-b", "http", "service-b", &more).cluster(
        "service-b",
        "http1",
        &[origin.address],
    );
    let squall = Squall::start(&settings);
    for then in UNFINISHED {
        let (mut client, begin) = (agrees_on_http2(&squall, &authority, then), Instant::now());
        let ended = client.read_to_end();
        let took = begin.elapsed();
        assert!((Duration::from_millis(250)..Duration::from_secs(5)).contains(&took), "{then:?}: {took:?} {ended:?}");
    }
}

#[test]
fn a_client_that_has_not_begun_http2_does_not_hold_up_a_drain() {
    let (authority, origin) = (authority(), Origin::ok());
    let mut squall = Squall::start(&http(&authority, &origin).with("drain: { timeout: 20s }"));
    let clients = UNFINISHED.map(|then| agrees_on_http2(&squall, &authority, then));
    squall.signal("TERM");
    assert_eq!(squall.wait(Duration::from_secs(5)).code(), Some(0));
    drop(clients);
}

#[test]
fn curl_speaks_both_versions_of_http() {
    let test = "curl_speaks_both_versions_of_http";
    let Some(program) = find("curl", test) else { return };
    let (authority, origin) = (authority(), Origin::ok());
    let squall = Squall::start(&http(&authority, &origin));
    let url = format!("https://localhost:{}/", squall.to_b().port());
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2"), ("--tlsv1.2", "2")] {
        let max = if flag == "--tlsv1.2" { ["--tls-max", "1.2"] } else { ["--tls-max", "1.3"] };
        let done =
            curl_trusting(&program, &authority.path("ca.crt"), &[flag, max[0], max[1], "-w", " %{http_version}", &url]);
        assert_eq!(done, (Some(0), format!("ok {version}")), "{flag}");
    }
    let (code, said) = curl_trusting(&program, &Authority::new().path("ca.crt"), &[&url]);
    assert_eq!(code, Some(60), "an authority that curl does not know: {said}");
}

#[test]
fn h2load_meets_no_failure_under_tls() {
    let Some(program) = find("h2load", "h2load_meets_no_failure_under_tls") else { return };
    let (authority, origin) = (authority(), Origin::ok());
    let squall = Squall::start(&http(&authority, &origin));
    let url = format!("https://{}/", squall.to_b());
    for extra in [&["-m", "10"][..], &["--h1"]] {
        let mut command = Command::new(&program);
        let done = command.args(["-n", "2000", "-c", "8", "-t", "1"]).args(extra).arg(&url).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(said.contains("2000 succeeded, 0 failed, 0 errored"), "{said}");
    }
}

#[test]
fn openssl_takes_up_a_session_again() {
    let Some(program) = find("openssl", "openssl_takes_up_a_session_again") else { return };
    let (authority, origin) = (authority(), Origin::ok());
    let squall = Squall::start(&http(&authority, &origin));
    let session = authority.path("session");
    let connect = |flag: &str| {
        let mut command = Command::new(&program);
        command.args(["s_client", "-connect", &squall.to_b().to_string(), "-servername", "localhost", "-ign_eof"]);
        command.arg("-CAfile").arg(authority.path("ca.crt")).arg(flag).arg(&session);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = piped.spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"GET / HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n").unwrap();
        String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).into_owned()
    };
    let first = connect("-sess_out");
    assert!(first.contains("New, TLSv1.3") && first.contains("Verify return code: 0 (ok)"), "{first}");
    assert!(first.contains("HTTP/1.1 200"), "{first}");
    let second = connect("-sess_in");
    assert!(second.contains("Reused, TLSv1.3") && second.contains("HTTP/1.1 200"), "{second}");
}
