//! What comes before the first request: TLS handshakes, protocols that are to be guessed, PROXY protocol headers.

use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use squall_integration::wait::pause;
use squall_integration::{Authority, End, eventually};

use super::scene::{Scene, Seen, crowd, many, tally};
use super::upstream::answer_ok;

/// The head of a record and of a ClientHello that goes on for 508 bytes more (RFC 8446 §5.1, §4.1.2), and nothing of those.
const HALF_A_HELLO: &[u8] = &[22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];

/// A listener beside that of the neighbour.
fn scene(protocol: &'static str, more: String) -> Scene {
    Scene::of(answer_ok, move |origin| {
        squall_integration::Settings::http(origin).listener_with("attacked", protocol, "service-b", &more)
    })
}

/// Many connections that begin with these bytes and say no more; each is to end in this way, by itself.
fn stops(scene: &Scene, name: &str, (n, begin): (usize, &[u8]), expected: End) {
    let address: SocketAddr = scene.squall.address("attacked");
    scene.withstands(name, |is_over| {
        let mut clients = crowd(n, address, begin);
        while !is_over.load(Relaxed) {
            pause(Duration::from_millis(20));
        }
        let ends: Vec<End> = clients.iter_mut().map(|client| client.read_to_end().1).collect();
        assert!(ends.iter().all(|end| *end == expected), "{name}: {ends:?}");
        let words: Vec<String> = ends.iter().map(|_| "closed".to_owned()).collect();
        Seen { load: format!("{} connections", ends.len()), answers: tally(&words) }
    });
}

fn sum(scene: &Scene, name: &str, labels: &[(&str, &str)]) -> f64 {
    scene.squall.api().metrics().sum(name, labels)
}

#[test]
fn handshakes_that_stop() {
    let authority = Authority::new();
    authority.issue("b");
    let scene = scene("http", format!("{}\nheader_timeout: 700ms", authority.listener("b")));
    stops(&scene, "TLS: no handshake", (many(), b""), End::Fin);
    // The kernel resets what is closed with bytes unread; these were read.
    stops(&scene, "TLS: half a ClientHello", (many(), HALF_A_HELLO), End::Fin);
    let timeouts = sum(&scene, "squall_tls_handshakes_total", &[("result", "timeout")]);
    assert!(timeouts >= 2.0 * many() as f64, "{timeouts}");
}

#[test]
fn server_names_that_never_come() {
    let scene =
        scene("tcp", "tls: passthrough\nserver_names: { b.example: service-b }\nheader_timeout: 700ms".to_owned());
    stops(&scene, "TLS passthrough: half a ClientHello", (many(), HALF_A_HELLO), End::Fin);
    let timeouts = sum(&scene, "squall_tls_handshakes_total", &[("result", "timeout")]);
    assert!(timeouts >= many() as f64, "{timeouts}");
    let connections = sum(&scene, "squall_upstream_connections_total", &[]);
    assert!(connections < 100.0, "{connections}: those of the neighbour and of ordinary callers, and of no attacker");
}

#[test]
fn protocols_that_nobody_speaks() {
    // Each of them becomes two connections and a dial, which is more work than to refuse it.
    let n = many() / 4;
    // What says nothing for so long is TCP whose server speaks first, and is idle from then on.
    let scene = scene("auto", "detect_timeout: 300ms\nidle_timeout: 700ms".to_owned());
    stops(&scene, "auto: not a byte", (n, b""), End::Fin);
    eventually("no relay is left", Duration::from_secs(10), || {
        (sum(&scene, "squall_active_connections", &[("listener", "attacked")]) == 0.0).then_some(())
    });
    stops(&scene, "auto: half of a method", (n, b"GE"), End::Fin);
}

#[test]
fn proxy_protocol_headers_that_stop() {
    let scene = scene("http", "proxy_protocol: accept\nheader_timeout: 700ms".to_owned());
    stops(&scene, "PROXY protocol: half a header", (many(), b"PROXY TCP4 127.0.0.1 127."), End::Fin);
    let refused = sum(&scene, "squall_proxy_protocol_errors_total", &[]);
    assert!(refused >= many() as f64, "{refused}");
}
