//! A hostile upstream: answers that never end, or never begin.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use squall_integration::origin::Peer;
use squall_integration::wait::pause;
use squall_integration::{End, RawClient, Settings};

use super::scene::{Scene, Seen, tally};

/// An upstream that does this to whoever is no neighbour.
fn hostile(attack: impl Fn(&mut Peer) + Send + Sync + 'static) -> Scene {
    let with_others = move |peer: &mut Peer, _line: &str| {
        attack(peer);
        false
    };
    Scene::of(with_others, |origin| {
        let listener = Settings::new().listener("to-b", "http", "service-b");
        listener.cluster_with("service-b", "http1", &[origin], "header_timeout: 1s")
    })
}

/// Sends the same until the peer has gone, at most 64 MiB.
fn endless(peer: &mut Peer, begin: &str, more: &str) {
    use std::io::Write as _;
    let block = more.repeat((16 * 1024 / more.len()).max(1));
    peer.send(begin);
    for _ in 0..4096 {
        let mut stream = peer.stream();
        if stream.write_all(block.as_bytes()).is_err() {
            return;
        }
    }
}

/// Four clients at a time call it, over and over, and get this status.
fn answers(scene: &Scene, name: &str, expected: u16) {
    let address = scene.squall.to_b();
    scene.withstands(name, |is_over| {
        let call = || {
            let mut answers = Vec::new();
            while !is_over.load(Relaxed) {
                let mut client = RawClient::connect(address).patience(Duration::from_secs(8));
                client.send("GET /hostile HTTP/1.1\r\nHost: b\r\n\r\n");
                answers.push(client.try_answer("GET").map_or("cut".to_owned(), |answer| answer.status.to_string()));
                pause(Duration::from_millis(5));
            }
            answers
        };
        let all = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..4).map(|_| scope.spawn(call)).collect();
            callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect::<Vec<String>>()
        });
        assert!(!all.is_empty() && all.iter().all(|answer| *answer == expected.to_string()), "{name}: {}", tally(&all));
        Seen { load: format!("{} calls, 4 at a time", all.len()), answers: tally(&all) }
    });
}

#[test]
fn interim_answers_without_end() {
    let scene = hostile(|peer| endless(peer, "", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"));
    answers(&scene, "upstream: interim answers without end", 502);
}

#[test]
fn heads_without_end() {
    let scene = hostile(|peer| endless(peer, "HTTP/1.1 200 OK\r\nX: ", "x"));
    answers(&scene, "upstream: one header field without end", 502);
    let scene_of_fields = {
        drop(scene);
        hostile(|peer| endless(peer, "HTTP/1.1 200 OK\r\n", "a: b\r\n"))
    };
    answers(&scene_of_fields, "upstream: header fields without end", 502);
}

#[test]
fn a_head_that_never_becomes_whole() {
    let scene = hostile(|peer| {
        peer.send("HTTP/1.1 200 OK\r\nX: ");
        for _ in 0..3_000 {
            peer.send("x");
            pause(Duration::from_millis(1));
        }
    });
    answers(&scene, "upstream: a head byte by byte", 504);
}

#[test]
fn trailers_without_end() {
    let scene = hostile(|peer| {
        endless(peer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", "t: u\r\n");
    });
    let mut client = RawClient::connect(scene.squall.to_b());
    client.send("GET /hostile HTTP/1.1\r\nHost: b\r\n\r\n");
    let (bytes, end) = client.read_to_end();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.starts_with("HTTP/1.1 200") && !text.ends_with("0\r\n\r\n"), "{text:?}");
    assert_ne!(end, End::Silence, "a body that broke does not look whole");
}
