//! The HTTPS listener: who may come, how long, and how many.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use squall_integration::wait::PATIENCE;
use squall_integration::{Authority, TlsClient, TlsOptions, eventually};

use crate::{Curl, review};
use squall_integration::kubernetes::Operator;

fn post(client: &mut TlsClient) -> u16 {
    let body = review("replica-set-pod").to_string();
    let head = format!(
        "POST /inject HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.send(head + &body).answer().unwrap().status
}

#[test]
fn both_versions_of_tls_and_of_http_are_spoken() {
    let authority = Authority::new();
    let operator = Operator::webhooks(&authority, &[]);
    let Some(curl) = Curl::find(&authority, &operator, "webhook: versions") else { return };
    let body = review("replica-set-pod").to_string();
    let data = ["--data-binary", &body, "--header", "Content-Type: application/json"];
    for (arguments, version) in [
        (&["--http1.1", "--tlsv1.2", "--tls-max", "1.2"][..], "1.1"),
        (&["--http1.1", "--tlsv1.3"], "1.1"),
        (&["--http2", "--tlsv1.2", "--tls-max", "1.2"], "2"),
        (&["--http2", "--tlsv1.3"], "2"),
    ] {
        let wanted = ["--write-out", "\n%{http_version}\n%{http_code}", "--output", "/dev/null"];
        let (status, version_said) = curl.call("/inject", &[arguments, &data, &wanted].concat());
        assert_eq!((status, version_said.trim()), (200, version), "{arguments:?}");
    }
}

#[test]
fn nobody_keeps_a_place_by_saying_nothing() {
    let authority = Authority::new();
    let operator = Operator::webhooks(&authority, &["--connections-max", "2"]);
    // Two that say nothing take both places, and the next one need not wait to know.
    let silent: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(operator.https).unwrap()).collect();
    eventually("there is no place", PATIENCE, || {
        let _closed = TlsClient::connect(operator.https, &authority, &TlsOptions::default()).err()?;
        (operator.metric("squall_kubernetes_refused_connections_total{reason=\"no_place\"}") > 0.0).then_some(())
    });
    let mut client = eventually("their handshakes are over time", PATIENCE * 2, || {
        TlsClient::connect(operator.https, &authority, &TlsOptions::default()).ok()
    });
    assert_eq!(post(&mut client), 200);
    assert!(operator.metric("squall_kubernetes_refused_connections_total{reason=\"handshake\"}") >= 2.0);
    assert_eq!(operator.metric("squall_kubernetes_connections"), 1.0);
    for mut silent in silent {
        silent.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(matches!(silent.read(&mut [0; 1]), Ok(0) | Err(_)));
    }
}

#[test]
fn what_is_not_tls_ends_at_once() {
    let authority = Authority::new();
    let operator = Operator::webhooks(&authority, &[]);
    let mut plain = TcpStream::connect(operator.https).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    plain.write_all(b"POST /inject HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut said = Vec::new();
    let _ended = plain.read_to_end(&mut said);
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
    eventually("it is counted", PATIENCE, || {
        (operator.metric("squall_kubernetes_refused_connections_total{reason=\"handshake\"}") == 1.0).then_some(())
    });
}

#[test]
fn what_has_begun_is_answered_before_the_end() {
    let authority = Authority::new();
    let operator = Operator::webhooks(&authority, &[]);
    assert_eq!((operator.plain().get("/livez").status, operator.plain().get("/readyz").status), (200, 200));
    let mut client = TlsClient::connect(operator.https, &authority, &TlsOptions::default()).unwrap();
    assert_eq!(post(&mut client), 200);
    let body = review("replica-set-pod").to_string();
    client.send(format!("POST /inject HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{}", body.len(), &body[..100]));
    // On the same thread, so that the rest comes while it is ending.
    let rest = std::thread::spawn(move || {
        squall_integration::wait::pause(Duration::from_millis(500));
        client.send(&body[100..]).answer().map(|answer| answer.status)
    });
    let said = operator.end();
    assert_eq!(rest.join().unwrap().unwrap(), 200);
    assert!(said.contains("ending"));
}
