//! The TCP relay, and each fault on it.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::ErrorKind;
use std::io::Read as _;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use squall_integration::origin::{Origin, refusing};
use squall_integration::raw::end_of;
use squall_integration::{Api, End, RawClient, Settings, Squall, eventually};

struct Path {
    origin: Origin,
    squall: Squall,
}

impl Path {
    fn to(origin: Origin) -> Self {
        let squall = Squall::start(&Settings::tcp(origin.address));
        Self { origin, squall }
    }

    fn mirror() -> Self {
        Self::to(Origin::mirror())
    }

    fn api(&self) -> Api {
        self.squall.api()
    }

    fn rule(&self, fault: &Value) {
        self.api().rule("r", &json!({"percentage": 100, "fault": fault}));
    }

    fn client(&self) -> RawClient {
        RawClient::connect(self.squall.to_b())
    }

    /// What comes of a connection that says `text` and then only listens.
    fn outcome(&self, text: &str) -> (Vec<u8>, End) {
        match RawClient::try_connect(self.squall.to_b()) {
            Ok(mut client) => {
                let _ = client.try_send(text);
                client.read_to_end()
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => (Vec::new(), End::Reset),
            Err(error) => panic!("cannot connect: {error}"),
        }
    }
}

fn echo(client: &mut RawClient, text: &str) -> Duration {
    let begin = Instant::now();
    assert_eq!(client.send(text).read_exact(text.len()), text.as_bytes());
    begin.elapsed()
}

fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|i| i.to_le_bytes()[0] ^ i.to_le_bytes()[1]).collect()
}

#[test]
fn bytes_pass_both_ways_unchanged() {
    let path = Path::mirror();
    let client = path.client();
    let sent = pattern(20_000_000);
    let writer = {
        let (mut stream, sent) = (client.stream().try_clone().unwrap(), sent.clone());
        std::thread::spawn(move || {
            std::io::Write::write_all(&mut stream, &sent).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        })
    };
    let mut client = client;
    let (came, end) = client.read_to_end();
    writer.join().unwrap();
    assert!(came == sent, "{} of {} bytes, or others", came.len(), sent.len());
    assert_eq!(end, End::Fin);
}

#[test]
fn half_close_passes_in_both_directions() {
    // Downstream ends first: the upstream sees the end and answers after it.
    let path = Path::to(Origin::start(|mut peer| {
        let (bytes, end) = peer.read_to_end();
        peer.send(format!("{} bytes, then {end:?}", bytes.len()));
    }));
    let mut client = path.client();
    client.send("hello").half_close();
    assert_eq!(client.read_to_end(), (b"5 bytes, then Fin".to_vec(), End::Fin));
    // The upstream ends first: downstream can still send.
    let (told, heard) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let path = Path::to(Origin::start(move |mut peer| {
        peer.send("done");
        peer.stream().shutdown(std::net::Shutdown::Write).unwrap();
        told.lock().unwrap().send(peer.read_to_end()).unwrap();
    }));
    let mut client = path.client();
    assert_eq!(client.read_to_end(), (b"done".to_vec(), End::Fin));
    client.send("still here").half_close();
    assert_eq!(heard.recv_timeout(Duration::from_secs(5)).unwrap(), (b"still here".to_vec(), End::Fin));
}

#[test]
fn a_reset_of_one_side_is_a_reset_on_the_other() {
    let path = Path::to(Origin::start(|mut peer| {
        peer.read(1);
        peer.reset();
    }));
    let mut client = path.client();
    client.send("x");
    assert_eq!(client.read_to_end().1, End::Reset, "upstream reset");
    let (told, heard) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let path = Path::to(Origin::start(move |mut peer| told.lock().unwrap().send(peer.read_to_end().1).unwrap()));
    let mut client = path.client();
    client.send("x");
    eventually("a connection", Duration::from_secs(5), || (path.origin.accepted() == 1).then_some(()));
    squall_integration::wait::pause(Duration::from_millis(50));
    client.reset();
    assert_eq!(heard.recv_timeout(Duration::from_secs(5)).unwrap(), End::Reset, "downstream reset");
}

#[test]
fn an_upstream_that_refuses_closes_the_connection() {
    let squall = Squall::start(&Settings::tcp(refusing()));
    let path = Path { origin: Origin::ok(), squall };
    let (bytes, end) = path.outcome("");
    assert!(bytes.is_empty() && end != End::Silence, "{end:?}");
    let m = path.api().metrics();
    let failed: f64 = m
        .matching("squall_upstream_connections_total", &[])
        .filter(|s| s.labels["result"] != "ok")
        .map(|s| s.value)
        .sum();
    assert!(failed >= 1.0, "counted");
}

#[test]
fn delay_is_per_direction() {
    let path = Path::mirror();
    let mut client = path.client();
    echo(&mut client, "warm");
    for (fault, least) in
        [(json!({"delay": "150ms"}), 150), (json!({"delay": {"fixed": "150ms", "on": "response"}}), 150)]
    {
        path.rule(&fault);
        let mut fresh = path.client();
        for _ in 0..3 {
            let took = echo(&mut fresh, "ping");
            assert!(
                (Duration::from_millis(least)..Duration::from_millis(least + 400)).contains(&took),
                "{fault}: {took:?}"
            );
        }
    }
}

#[test]
fn delay_is_a_pipeline_and_no_throttle() {
    let path = Path::mirror();
    path.rule(&json!({"delay": {"fixed": "300ms", "on": "response"}}));
    let mut client = path.client();
    let begin = Instant::now();
    for _ in 0..20 {
        client.send("tick");
        squall_integration::wait::pause(Duration::from_millis(10));
    }
    client.read_exact(80);
    let took = begin.elapsed();
    assert!(
        (Duration::from_millis(490)..Duration::from_millis(1500)).contains(&took),
        "20 chunks, one delay: {took:?}"
    );
    // 8 MB through a 300 ms delay: bounded by the buffer, not by chunk × delay.
    let sent = pattern(8_000_000);
    let begin = Instant::now();
    let mut stream = client.stream().try_clone().unwrap();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stream, &pattern(8_000_000)).unwrap());
    assert!(client.read_exact(sent.len()) == sent);
    writer.join().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
}

#[test]
fn delay_keeps_order_and_the_end() {
    let path = Path::mirror();
    path.rule(&json!({"delay": {"uniform": {"min": "1ms", "max": "40ms"}}}));
    let mut client = path.client();
    let sent: Vec<u8> = (0..200u8).collect();
    for byte in &sent {
        client.send([*byte]);
    }
    client.half_close();
    assert_eq!(client.read_to_end(), (sent, End::Fin));
}

/// How long 400 KiB take at 200 KiB a second.
fn throttled(direction: &str) -> Duration {
    let path = Path::mirror();
    path.rule(&json!({"throttle": {"rate": "200KiB/s", "direction": direction}}));
    let mut client = path.client();
    let mut stream = client.stream().try_clone().unwrap();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stream, &pattern(400 * 1024)));
    let begin = Instant::now();
    client.read_exact(400 * 1024);
    let took = begin.elapsed();
    let _ = writer.join();
    took
}

#[test]
fn throttle_bounds_the_rate() {
    for direction in ["response", "request"] {
        // Never faster than 3 % beyond its rate. Slower it may be made by whatever else the machine does, but not each time.
        let is_exact = (0..5).any(|_| {
            let took = throttled(direction);
            assert!(took >= Duration::from_millis(1940), "{direction}: 2 s at 200 KiB/s, took {took:?}");
            took <= Duration::from_millis(2060)
        });
        assert!(is_exact, "{direction}: five times slower than 3 % below its rate");
    }
}

#[test]
fn reset_is_rst_without_a_byte() {
    let path = Path::mirror();
    path.rule(&json!({"reset": true}));
    for _ in 0..20 {
        assert_eq!(path.outcome("hello"), (vec![], End::Reset));
    }
}

#[test]
fn reset_after_so_many_bytes() {
    let path = Path::to(Origin::start(|mut peer| {
        peer.send(pattern(200_000));
        peer.read_to_end();
    }));
    path.rule(&json!({"reset": {"on": "response", "after_bytes": 50000}}));
    for _ in 0..10 {
        let (bytes, end) = path.client().read_to_end();
        assert_eq!((bytes.len(), end), (50_000, End::Reset));
        assert!(bytes == pattern(50_000));
    }
}

#[test]
fn refuse_ends_a_connection_before_the_upstream_is_dialled() {
    let path = Path::mirror();
    path.rule(&json!({"refuse": true}));
    for _ in 0..20 {
        assert_eq!(path.outcome("hello"), (vec![], End::Reset));
    }
    assert_eq!(path.origin.accepted(), 0);
    assert_eq!(path.api().injected("r"), 20);
    assert_eq!(path.api().rule_status("r")["unit"], "connection");
}

#[test]
fn blackhole_swallows_everything() {
    let path = Path::mirror();
    path.rule(&json!({"blackhole": true}));
    let mut client = path.client();
    client.send("hello");
    assert!(client.is_silent_for(Duration::from_millis(600)));
    path.rule(&json!({"blackhole": {"max": "300ms"}}));
    let begin = Instant::now();
    let (bytes, end) = path.client().read_to_end();
    assert!(bytes.is_empty() && end != End::Silence);
    assert!((Duration::from_millis(300)..Duration::from_secs(3)).contains(&begin.elapsed()), "{:?}", begin.elapsed());
}

#[test]
fn a_rule_reaches_connections_that_are_open() {
    let path = Path::mirror();
    let mut client = path.client();
    let quick = echo(&mut client, "before");
    assert!(quick < Duration::from_millis(200), "{quick:?}");
    path.rule(&json!({"delay": "300ms"}));
    assert!(echo(&mut client, "during") >= Duration::from_millis(300));
    path.api().remove("r");
    assert!(echo(&mut client, "after") < Duration::from_millis(250));
    path.rule(&json!({"reset": true}));
    assert_eq!(client.read_to_end(), (vec![], End::Reset), "an open connection is reset");
    assert_eq!(path.outcome("x"), (vec![], End::Reset), "and so is a new one");
    path.api().remove("r");
    let mut client = path.client();
    echo(&mut client, "before");
    path.rule(&json!({"blackhole": true}));
    client.send("during");
    assert!(client.is_silent_for(Duration::from_millis(400)));
}

/// An upstream that answers each byte with two, and tells what it heard and how that ended.
fn talkative() -> (Path, mpsc::Receiver<(Vec<u8>, End)>) {
    let (told, heard) = mpsc::channel();
    let told = Mutex::new(told);
    let path = Path::to(Origin::start(move |peer| {
        let mut all = Vec::new();
        let end = loop {
            let mut byte = [0];
            match peer.stream().read(&mut byte) {
                Ok(0) => break End::Fin,
                Ok(_) => all.push(byte[0]),
                Err(error) => break end_of(&error).unwrap(),
            }
            // Whoever closed the connection does not hear it.
            let _ = std::io::Write::write_all(&mut peer.stream(), b"ok");
        };
        told.lock().unwrap().send((all, end)).unwrap();
    }));
    (path, heard)
}

const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn a_request_is_truncated_and_both_sides_see_an_end() {
    let (path, heard) = talkative();
    path.rule(&json!({"truncate": {"after_bytes": 5, "on": "request"}}));
    let mut client = path.client();
    assert_eq!(client.send("1234").read_exact(8), b"okokokok");
    client.send("567");
    assert_eq!(client.read_to_end().1, End::Fin);
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), (b"12345".to_vec(), End::Fin));

    path.rule(&json!({"delay": "1ms"}));
    let mut idle = path.client();
    assert_eq!(idle.send("x").read_exact(2), b"ok");
    path.rule(&json!({"truncate": {"after_bytes": 0, "on": "request"}}));
    assert_eq!(idle.read_to_end(), (Vec::new(), End::Fin));
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), (b"x".to_vec(), End::Fin));
}

#[test]
fn a_reset_waits_for_data_that_does_not_pass() {
    let (path, heard) = talkative();
    let mut client = path.client();
    assert_eq!(client.send("x").read_exact(2), b"ok");
    path.rule(&json!({"reset": {"on": "request", "after_data": "300ms"}}));
    assert!(client.is_silent_for(Duration::from_millis(400)), "nothing came yet");
    let begin = Instant::now();
    assert_eq!(client.send("trigger").read_to_end(), (Vec::new(), End::Reset));
    let took = begin.elapsed();
    assert!((Duration::from_millis(290)..Duration::from_millis(1500)).contains(&took), "{took:?}");
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), (b"x".to_vec(), End::Reset));
}

#[test]
fn a_direction_with_a_hole_is_dropped_while_the_other_one_flows() {
    let (path, heard) = talkative();
    let mut client = path.client();
    assert_eq!(client.send("x").read_exact(2), b"ok");
    // More than all buffers on the way hold: whoever sends into a hole is never blocked.
    let bytes = pattern(20_000_000);
    path.rule(&json!({"blackhole": {"direction": "request", "idle": "1s"}}));
    client.send(bytes);
    assert!(client.is_silent_for(Duration::from_millis(300)));
    assert_eq!(client.read_to_end(), (Vec::new(), End::Fin));
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), (b"x".to_vec(), End::Fin));

    path.rule(&json!({"blackhole": {"direction": "response"}}));
    let mut client = path.client();
    assert!(client.send("asked").is_silent_for(Duration::from_millis(200)));
    // The stream has a hole, so that it ends with the rule.
    path.api().delete("/v1/rules/r");
    assert_eq!(client.read_to_end(), (Vec::new(), End::Fin));
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), (b"asked".to_vec(), End::Fin));
}

#[test]
fn halt_lets_delayed_bytes_go() {
    let path = Path::mirror();
    path.rule(&json!({"delay": "60s"}));
    let mut client = path.client();
    client.send("held");
    assert!(client.is_silent_for(Duration::from_millis(300)));
    path.api().halt();
    let begin = Instant::now();
    assert_eq!(client.read_exact(4), b"held");
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    assert!(echo(&mut client, "on") < Duration::from_secs(1));
}

#[test]
fn the_share_is_per_connection() {
    let path = Path::mirror();
    path.api().rule("r", &json!({"percentage": 30, "sample": {"mode": "exact"}, "fault": {"refuse": true}}));
    let mut refused = 0;
    for _ in 0..100 {
        let Ok(mut client) = RawClient::try_connect(path.squall.to_b()) else {
            refused += 1;
            continue;
        };
        let _ = client.try_send("x");
        let mut byte = [0];
        match client.stream().read(&mut byte) {
            Ok(1) => {}
            _ => refused += 1,
        }
    }
    assert_eq!(refused, 30);
    let status = path.api().rule_status("r");
    assert_eq!((status["matched"].as_u64(), status["injected"].as_u64()), (Some(100), Some(30)), "{status}");
}

#[test]
fn rules_that_need_http_leave_bytes_alone() {
    let origin = Origin::mirror();
    // Where there is TCP alone, such a rule is refused.
    let squall = Squall::start(&Settings::tcp(origin.address).listener("web", "http", "service-b"));
    let path = Path { origin, squall };
    path.api().rule("r", &json!({"match": {"path": "/x"}, "percentage": 100, "fault": {"reset": true}}));
    echo(&mut path.client(), "GET /x HTTP/1.1\r\n\r\n");
}

#[test]
fn bytes_are_counted() {
    let path = Path::mirror();
    let mut client = path.client();
    echo(&mut client, "twelve bytes");
    drop(client);
    eventually("24 bytes in squall_bytes_total", Duration::from_secs(5), || {
        (path.api().metrics().sum("squall_bytes_total", &[("listener", "to-b")]) == 24.0).then_some(())
    });
}
