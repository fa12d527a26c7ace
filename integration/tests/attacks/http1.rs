//! HTTP/1.1: clients that are slow, and heads and bodies without end.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use squall_integration::origin::Peer;
use squall_integration::wait::pause;
use squall_integration::{End, RawClient, Settings, eventually};

use super::scene::{Scene, Seen, crowd, many, tally};

/// Opens many connections that begin with these bytes; then sends one more byte on each, over and over.
fn trickle(scene: &Scene, begin: &str, byte: &[u8], is_over: &AtomicBool) -> Vec<String> {
    let mut clients = crowd(many(), scene.squall.to_b(), begin);
    while !is_over.load(Relaxed) {
        for client in &mut clients {
            let _refused_in_time = client.try_send(byte);
        }
        pause(Duration::from_millis(100));
    }
    clients
        .iter_mut()
        .map(|client| client.try_answer("GET").map_or("cut".to_owned(), |a| a.status.to_string()))
        .collect()
}

#[test]
fn heads_that_come_byte_by_byte() {
    let scene = Scene::new();
    scene.withstands("request heads byte by byte (slowloris)", |is_over| {
        let answers = trickle(&scene, "GET / HTTP/1.1\r\nHost: b\r\nX: ", b"x", is_over);
        assert!(answers.iter().all(|answer| answer == "408" || answer == "cut"), "{answers:?}");
        assert!(answers.iter().any(|answer| answer == "408"));
        Seen { load: format!("{} connections", answers.len()), answers: tally(&answers) }
    });
    assert!(scene.cut("slow_head") >= many() as u64);
}

#[test]
fn bodies_that_stop() {
    let scene = Scene::new();
    scene.withstands("request bodies that stop", |is_over| {
        let begin = "POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 1000000\r\n\r\n0123456789";
        let answers = trickle(&scene, begin, b"", is_over);
        assert!(answers.iter().all(|answer| answer == "408"), "{answers:?}");
        Seen { load: format!("{} connections", answers.len()), answers: tally(&answers) }
    });
    assert!(scene.cut("stalled") >= many() as u64);
}

#[test]
fn answers_that_nobody_reads() {
    let big = [&b"HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n\r\n"[..], &vec![b'x'; 8_000_000]].concat();
    let send_big = move |peer: &mut Peer, _line: &str| {
        peer.send(&big);
        true
    };
    let scene = Scene::of(send_big, |origin| {
        let settings = Settings::new().listener_with("to-b", "http", "service-b", "stall_timeout: 700ms");
        settings.cluster("service-b", "http1", &[origin])
    });
    scene.withstands("answers of 8 MB that nobody reads", |is_over| {
        let before = scene.cut("stalled");
        let mut clients: Vec<RawClient> =
            (0..100).map(|_| RawClient::connect(scene.squall.to_b()).patience(Duration::from_secs(5))).collect();
        for client in &mut clients {
            client.send("GET /big HTTP/1.1\r\nHost: b\r\n\r\n");
        }
        while !is_over.load(Relaxed) {
            pause(Duration::from_millis(50));
        }
        eventually("all are cut", Duration::from_secs(5), || (scene.cut("stalled") >= before + 100).then_some(()));
        let ends: Vec<String> =
            clients.iter_mut().map(|client| format!("{:?}", client.read_to_end().1).to_lowercase()).collect();
        assert!(ends.iter().all(|end| end == "reset"), "{ends:?}");
        Seen { load: "100 connections".to_owned(), answers: tally(&ends) }
    });
}

/// Sends one request after the other on new connections, as fast as they are answered.
fn repeats(scene: &Scene, name: &str, request: &[u8], expected: &str) {
    let address = scene.squall.to_b();
    scene.withstands(name, |is_over| {
        let mut answers = Vec::new();
        while !is_over.load(Relaxed) {
            let mut client = RawClient::connect(address).patience(Duration::from_secs(5));
            let _ = client.try_send(request);
            let answer = client.try_answer("POST").map_or("cut".to_owned(), |answer| answer.status.to_string());
            let (_, end) = client.read_to_end();
            assert_ne!(end, End::Silence, "{name}");
            answers.push(answer);
            pause(Duration::from_millis(2));
        }
        let n_expected = answers.iter().filter(|answer| *answer == expected).count();
        // A reset for what was not read may overtake an answer.
        assert!(n_expected * 10 >= answers.len() * 9, "{name}: {}", tally(&answers));
        Seen { load: format!("{} requests of {} KiB", answers.len(), request.len() / 1024), answers: tally(&answers) }
    });
}

#[test]
fn heads_without_end() {
    let scene = Scene::new();
    let lines = format!("GET / HTTP/1.1\r\nHost: b\r\n{}\r\n", "a: b\r\n".repeat(5_000));
    repeats(&scene, "5,000 header fields", lines.as_bytes(), "431");
    let target = format!("GET /{} HTTP/1.1\r\nHost: b\r\n\r\n", "x".repeat(100_000));
    repeats(&scene, "a request line of 100 kB", target.as_bytes(), "431");
    repeats(&scene, "empty lines before a request", &b"\r\n".repeat(50_000), "431");
}

#[test]
fn chunks_without_end() {
    let scene = Scene::new();
    let head = "POST / HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n";
    let extensions = format!("{head}{}", format!("1;{}\r\nx\r\n", "e".repeat(4000)).repeat(10));
    repeats(&scene, "4 kB of chunk extensions for each byte", extensions.as_bytes(), "400");
    let trailers = format!("{head}0\r\n{}\r\n", "t: u\r\n".repeat(5_000));
    repeats(&scene, "5,000 trailer fields", trailers.as_bytes(), "400");
}
