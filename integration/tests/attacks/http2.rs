//! HTTP/2: floods of frames, streams that are taken back, windows that never open.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use squall_integration::echo::Echo;
use squall_integration::origin::Peer;
use squall_integration::wait::pause;
use squall_integration::{Settings, eventually};

use super::cores::Place;
use super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, GET, HEADERS, PING, POST,
    PRIORITY, PROTOCOL_ERROR, RST_STREAM, SETTINGS, WINDOW_UPDATE, Wire, frame,
};
use super::scene::{Scene, Seen, tally};
use super::upstream::answer_ok;

const FLOOD: usize = 200_000;

/// Floods one connection after the other; each has to end, in a GOAWAY with one of these codes if the client sees it.
fn floods(scene: &Scene, name: &str, begin: &[u8], flood: &[u8], codes: &[u32]) {
    let address = scene.squall.to_b();
    scene.withstands(name, |is_over| {
        let mut ends = Vec::new();
        while !is_over.load(Relaxed) {
            let mut wire = Wire::connect(address);
            assert!(wire.send(begin));
            let code = wire.flood(flood, FLOOD);
            assert!(code.is_none_or(|code| codes.contains(&code)), "{name}: {code:?}");
            ends.push(code.map_or("closed".to_owned(), |code| format!("GOAWAY {code}")));
            pause(Duration::from_millis(2));
        }
        Seen { load: format!("{} connections", ends.len()), answers: tally(&ends) }
    });
}

#[test]
fn frames_that_mean_nothing() {
    let scene = Scene::new();
    let calm = [ENHANCE_YOUR_CALM];
    floods(&scene, "PING flood (CVE-2019-9512)", b"", &frame(PING, 0, 0, &[7; 8]), &calm);
    floods(&scene, "SETTINGS flood (CVE-2019-9515)", b"", &frame(SETTINGS, 0, 0, &[]), &calm);
    floods(&scene, "PRIORITY flood (CVE-2019-9513)", b"", &frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 16]), &calm);
    let post = frame(HEADERS, END_HEADERS, 1, POST);
    floods(&scene, "empty DATA flood (CVE-2019-9518)", &post, &frame(DATA, 0, 1, &[]), &calm);
    assert!(scene.cut("flood") > 3, "{}", scene.cut("flood"));
    // Whoever reads is told why; what is behind the limit is so little that nothing is left to be reset for.
    let ping = frame(PING, 0, 0, &[7; 8]);
    assert_eq!(Wire::connect(scene.squall.to_b()).flood(&ping, 10_050), Some(ENHANCE_YOUR_CALM));
    scene.squall.says("floods its connection");
}

/// Streams that are opened and taken back at once, all in one go.
fn taken_back(n: u32) -> Vec<u8> {
    let streams = (0..n).map(|i| 2 * i + 1);
    let one = |stream| {
        let open = frame(HEADERS, END_HEADERS | END_STREAM, stream, GET);
        [open, frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())].concat()
    };
    streams.flat_map(one).collect()
}

#[test]
fn streams_that_are_taken_back() {
    let scene = Scene::new();
    let address = scene.squall.to_b();
    scene.withstands("rapid reset (CVE-2023-44487)", |is_over| {
        let (all, mut ends) = (taken_back(10_000), Vec::new());
        while !is_over.load(Relaxed) {
            let mut wire = Wire::connect(address);
            wire.send(&all);
            ends.push(wire.goaway().map_or("closed".to_owned(), |code| format!("GOAWAY {code}")));
            pause(Duration::from_millis(2));
        }
        assert!(ends.iter().any(|end| *end == format!("GOAWAY {ENHANCE_YOUR_CALM}")), "{}", tally(&ends));
        Seen { load: format!("{} connections with 10,000 streams each", ends.len()), answers: tally(&ends) }
    });
    // Next to none of them ever reached the upstream: a stream may be the last of a read, and taken back in the next.
    let streams = scene.upstream.others();
    assert!(streams < 1_000, "{streams}");
}

#[test]
fn a_stream_that_is_taken_back_before_it_begins_is_nothing_to_the_upstream() {
    let scene = Scene::new();
    let mut wire = Wire::connect(scene.squall.to_b());
    let last = frame(HEADERS, END_HEADERS | END_STREAM, 31, GET);
    assert!(wire.send(&[taken_back(15), last].concat()));
    // `:status: 200` is in the static table.
    assert!(wire.next_of(HEADERS).is_some_and(|(_, stream, fields)| stream == 31 && fields[0] == 0x88));
    assert_eq!(scene.upstream.others(), 1);
    assert_eq!(scene.squall.api().metrics().sum("squall_requests_total", &[]), 1.0);
}

#[test]
fn clients_that_ask_for_much_at_once_are_served() {
    let scene = Scene::new();
    let mut wire = Wire::connect(scene.squall.to_b());
    // Each of them in several turns: as many streams as are allowed, and a PING a round trip of 0.1 ms, for most of a second.
    let requests: Vec<u8> =
        (0..200u32).flat_map(|i| frame(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, GET)).collect();
    assert!(wire.send(&requests));
    let mut answered: Vec<u32> = (0..200)
        .map(|_| match wire.next_of(HEADERS) {
            Some((_, stream, fields)) if fields[0] == 0x88 => stream,
            other => panic!("{other:?}"),
        })
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, (0..200).map(|i| 2 * i + 1).collect::<Vec<u32>>());
    for _ in 0..9 {
        assert!(wire.send(&frame(PING, 0, 0, &[7; 8]).repeat(1_000)));
        (0..1_000)
            .for_each(|_| assert!(wire.next_of(PING).is_some_and(|(flags, ..)| flags == 1), "a PING is answered"));
    }
    assert_eq!(scene.cut("flood"), 0);
}

#[test]
fn lists_of_fields_without_end() {
    let scene = Scene::new();
    let open = frame(HEADERS, 0, 1, GET);
    let more = frame(CONTINUATION, 0, 1, &[0x40, 0x01, b'x', 0x01, b'y'].repeat(200));
    floods(&scene, "CONTINUATION flood (CVE-2024-27316)", &open, &more, &[ENHANCE_YOUR_CALM, PROTOCOL_ERROR]);
    // A list that is too large but has an end is answered.
    let mut wire = Wire::connect(scene.squall.to_b());
    let fields = [GET, &[&[0x40, 0x01, b'x', 0x7f, 0xa1, 0x1e][..], &[b'y'; 4000]].concat().repeat(3)].concat();
    let rest = [&[0x40, 0x01, b'x', 0x7f, 0xa1, 0x1e][..], &[b'y'; 4000]].concat().repeat(4);
    let mut bytes = frame(HEADERS, END_STREAM, 1, &fields);
    (0..4).for_each(|n| bytes.extend(frame(CONTINUATION, if n == 3 { END_HEADERS } else { 0 }, 1, &rest)));
    assert!(wire.send(&bytes));
    let (_, stream, answer) = wire.next_of(HEADERS).unwrap();
    // `:status: 431` in the code of Huffman.
    assert!(stream == 1 && answer.starts_with(&[0x48, 0x83, 0x69, 0x90, 0xff]), "{answer:?}");
    assert_eq!(scene.upstream.others(), 0, "the upstream hears of none of them");
}

#[test]
fn more_streams_than_are_allowed() {
    let never_answer = |peer: &mut Peer, _line: &str| {
        peer.read(1);
        false
    };
    let scene = Scene::of(never_answer, Settings::http);
    scene.withstands("1,000 streams at once", |is_over| {
        let mut wire = Wire::connect(scene.squall.to_b());
        let streams = (0..1000u32).flat_map(|i| frame(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, GET));
        assert!(wire.send(&streams.collect::<Vec<u8>>()));
        let mut answers = Vec::new();
        while answers.len() < 800 {
            match wire.next() {
                Some((RST_STREAM, _, _, code)) => answers.push(format!("RST_STREAM {}", code[3])),
                Some((7, _, _, _)) | None => break,
                Some(_) => {}
            }
        }
        while !is_over.load(Relaxed) {
            pause(Duration::from_millis(20));
        }
        assert!(!answers.is_empty() && answers.iter().all(|answer| answer == "RST_STREAM 7"), "{}", tally(&answers));
        Seen { load: "1 connection".to_owned(), answers: format!("{}, the rest served", tally(&answers)) }
    });
}

#[test]
fn windows_that_do_not_add_up() {
    let scene = Scene::new();
    let ends = |bytes: &[u8]| {
        let mut wire = Wire::connect(scene.squall.to_b());
        assert!(wire.send(bytes));
        wire.goaway()
    };
    assert_eq!(ends(&frame(WINDOW_UPDATE, 0, 0, &[0; 4])), Some(PROTOCOL_ERROR), "an increment of zero");
    let most = frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffffu32.to_be_bytes());
    assert_eq!(ends(&most.repeat(2)), Some(FLOW_CONTROL_ERROR), "more than 2^31 - 1");
}

#[test]
fn windows_that_never_open() {
    let echo = Place::Attack.run(Echo::http1);
    let scene = Scene::of(answer_ok, |origin| {
        let limits = "stall_timeout: 500ms";
        Settings::new()
            .listener_with("to-b", "http", "service-b", "stall_timeout: 500ms")
            .listener_with("to-echo", "http", "echo", limits)
            .cluster("service-b", "http1", &[origin])
            .cluster("echo", "http1", &[echo.address])
    });
    let address = scene.squall.address("to-echo");
    scene.withstands("answers of 1 MB for windows of no byte", |_| {
        let before = scene.cut("stalled");
        let mut wires: Vec<Wire> = (0..5).map(|_| stalled(address)).collect();
        let resets: Vec<String> = wires
            .iter_mut()
            .map(|wire| wire.reset_of(1).map_or("closed".to_owned(), |code| format!("RST_STREAM {code}")))
            .collect();
        assert!(resets.iter().all(|reset| reset == "RST_STREAM 8"), "{}", tally(&resets));
        eventually("all are cut", Duration::from_secs(5), || (scene.cut("stalled") >= before + 100).then_some(()));
        Seen { load: "5 connections of 100 streams".to_owned(), answers: format!("{} on each stream", tally(&resets)) }
    });
}

#[test]
fn a_client_that_reads_nothing_keeps_no_connection() {
    let echo = Place::Attack.run(Echo::http1);
    let scene = Scene::of(answer_ok, |origin| {
        let limits = "stall_timeout: 400ms\nidle_timeout: 400ms";
        Settings::new()
            .listener("to-b", "http", "service-b")
            .listener_with("to-echo", "http", "echo", limits)
            .cluster("service-b", "http1", &[origin])
            .cluster("echo", "http1", &[echo.address])
    });
    let open = || scene.squall.api().metrics().sum("squall_active_connections", &[("listener", "to-echo")]);
    // Windows as large as they may be: it is the socket that takes no more.
    let mut wire = Wire::with_settings(scene.squall.address("to-echo"), &[(4, 0x7fff_ffff)]);
    let window = frame(WINDOW_UPDATE, 0, 0, &0x7000_0000u32.to_be_bytes());
    let long = [&[0x82, 0x86, 0x41, 0x01, b'b', 0x04, 15][..], b"/bytes/50000000"].concat();
    assert!(wire.send(&[window, frame(HEADERS, END_HEADERS | END_STREAM, 1, &long)].concat()));
    eventually("the connection is there", Duration::from_secs(5), || (open() == 1.0).then_some(()));
    eventually("the stream is cut", Duration::from_secs(5), || (scene.cut("stalled") == 1).then_some(()));
    eventually("the connection is closed", Duration::from_secs(5), || (open() == 0.0).then_some(()));
}

/// A hundred requests for long answers, for which there is no room.
fn stalled(address: std::net::SocketAddr) -> Wire {
    let mut wire = Wire::with_settings(address, &[(4, 0)]);
    let long = [&[0x82, 0x86, 0x41, 0x01, b'b', 0x04, 14][..], b"/bytes/1000000"].concat();
    let requests = (0..100u32).flat_map(|i| frame(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, &long));
    assert!(wire.send(&requests.collect::<Vec<u8>>()));
    wire
}

#[test]
fn a_stream_of_grpc_may_wait_for_its_next_message() {
    let stall = Duration::from_millis(300);
    let scene = Scene::of(answer_ok, |origin| {
        let settings = Settings::new().listener_with("to-b", "http", "service-b", "stall_timeout: 300ms");
        settings.cluster("service-b", "http1", &[origin])
    });
    // `content-type: application/grpc` as a literal whose name is in the static table (RFC 7541 §6.2.2).
    let grpc = [POST, &[0x0f, 0x10, 0x10], b"application/grpc"].concat();
    let mut wire = Wire::connect(scene.squall.to_b());
    assert!(wire.send(&frame(HEADERS, END_HEADERS, 1, &grpc)));
    pause(stall * 3);
    assert!(wire.send(&frame(DATA, 0, 1, &[0; 5])), "the first message");
    pause(stall * 3);
    assert_eq!(scene.cut("stalled"), 0);
    assert!(wire.send(&frame(DATA, END_STREAM, 1, &[0; 5])));
    // `:status: 200` is in the static table.
    assert_eq!(wire.next_of(HEADERS).map(|(_, _, fields)| fields[0]), Some(0x88));
    // Any other upload has to go on.
    assert!(wire.send(&frame(HEADERS, END_HEADERS, 3, POST)));
    assert!(wire.next_of(HEADERS).is_some_and(|(_, _, fields)| fields[0] != 0x88));
    assert_eq!(scene.cut("stalled"), 1);
}
