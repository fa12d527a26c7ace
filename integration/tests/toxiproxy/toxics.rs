//! What each toxic does to the bytes of a connection, seen from both of its ends.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use squall_integration::origin::Origin;
use squall_integration::wait::{PATIENCE, pause};
use squall_integration::{End, RawClient, eventually};

use super::Toxiproxy;

/// Proxy `a` before a server that sends back what it gets.
struct Mirror {
    toxiproxy: Toxiproxy,
    listen: SocketAddr,
    _origin: Origin,
}

impl Mirror {
    fn new() -> Self {
        let (toxiproxy, origin) = (Toxiproxy::start(), Origin::mirror());
        let listen = toxiproxy.proxy("a", origin.address);
        Self { toxiproxy, listen, _origin: origin }
    }

    fn toxic(&self, kind: &str, stream: &str, attributes: &Value) {
        self.toxiproxy.toxic("a", kind, stream, attributes);
    }

    fn remove(&self, toxic: &str) {
        self.toxiproxy.call("DELETE", &format!("/proxies/a/toxics/{toxic}"), &Value::Null, 204);
    }

    /// A connection over which something has gone.
    fn open(&self) -> RawClient {
        let mut client = RawClient::connect(self.listen);
        assert_eq!(client.send("hello").read_exact(5), b"hello");
        client
    }
}

/// How long the bytes take to come back.
fn echo(client: &mut RawClient) -> Duration {
    let begin = Instant::now();
    assert_eq!(client.send("ping").read_exact(4), b"ping");
    begin.elapsed()
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn latency_delays_each_chunk_also_of_open_connections_and_adds_up() {
    let mirror = Mirror::new();
    let mut client = mirror.open();
    mirror.toxic("latency", "downstream", &json!({"latency": 100, "jitter": 0}));
    assert!(echo(&mut client) >= ms(100));
    mirror.toxic("latency", "upstream", &json!({"latency": 50}));
    let slow = echo(&mut client);
    assert!(slow >= ms(150) && slow < ms(900), "{slow:?}");
    mirror.toxiproxy.call("POST", "/reset", &Value::Null, 204);
    assert!(echo(&mut client) < ms(100));
}

#[test]
fn latency_with_more_jitter_than_latency_lets_some_pass_at_once() {
    let mirror = Mirror::new();
    mirror.toxic("latency", "downstream", &json!({"latency": 10, "jitter": 40}));
    let mut client = RawClient::connect(mirror.listen);
    let times: Vec<Duration> = (0..60).map(|_| echo(&mut client)).collect();
    // Three in eight draws are below zero, and none above 50 ms.
    let at_once = times.iter().filter(|time| **time < ms(2)).count();
    let late = times.iter().filter(|time| **time >= ms(10)).count();
    assert!(at_once >= 8 && late >= 15, "{times:?}");
}

#[test]
fn bandwidth_bounds_the_rate_and_none_stops_the_stream() {
    let mirror = Mirror::new();
    let mut client = mirror.open();
    mirror.toxic("bandwidth", "downstream", &json!({"rate": 100}));
    let begin = Instant::now();
    client.send(vec![7; 60_000]);
    client.read_exact(60_000);
    let taken = begin.elapsed();
    // 600 ms at 100,000 bytes a second, less what may pass at once.
    assert!(taken >= ms(450) && taken < ms(1500), "{taken:?}");
    let path = "/proxies/a/toxics/bandwidth_downstream";
    mirror.toxiproxy.call("PATCH", path, &json!({"attributes": {"rate": 0}}), 200);
    client.send("more");
    assert!(client.is_silent_for(ms(300)));
    mirror.remove("bandwidth_downstream");
    assert_eq!(client.read_exact(4), b"more", "what was held comes");
}

#[test]
fn slow_close_puts_off_the_end() {
    let mirror = Mirror::new();
    mirror.toxic("slow_close", "downstream", &json!({"delay": 300}));
    let mut client = mirror.open();
    let begin = Instant::now();
    client.half_close();
    assert_eq!(client.read_to_end(), (Vec::new(), End::Fin));
    assert!(begin.elapsed() >= ms(300));
}

#[test]
fn timeout_drops_one_direction_and_closes_after_silence() {
    let mirror = Mirror::new();
    mirror.toxic("timeout", "downstream", &json!({"timeout": 300}));
    let mut client = RawClient::connect(mirror.listen);
    let begin = Instant::now();
    client.send("lost");
    assert_eq!(client.read_to_end(), (Vec::new(), End::Fin));
    assert!(begin.elapsed() >= ms(300));
}

#[test]
fn timeout_of_zero_holds_until_it_is_removed_which_closes() {
    let mirror = Mirror::new();
    let mut client = mirror.open();
    mirror.toxic("timeout", "upstream", &json!({"timeout": 0}));
    client.send("lost");
    assert!(client.is_silent_for(ms(300)));
    let begin = Instant::now();
    mirror.remove("timeout_upstream");
    assert_eq!(client.read_to_end(), (Vec::new(), End::Fin));
    assert!(begin.elapsed() < ms(500));
    let mut client = mirror.open();
    echo(&mut client);
}

#[test]
fn reset_peer_resets_also_what_was_open_before() {
    let mirror = Mirror::new();
    let mut open = mirror.open();
    mirror.toxic("reset_peer", "downstream", &json!({"timeout": 0}));
    let _ = open.try_send("x");
    assert_eq!(open.read_to_end(), (Vec::new(), End::Reset));
    let begin = Instant::now();
    mirror.toxiproxy.call(
        "PATCH",
        "/proxies/a/toxics/reset_peer_downstream",
        &json!({"attributes": {"timeout": 200}}),
        200,
    );
    let mut new = RawClient::connect(mirror.listen);
    let _ = new.try_send("x");
    assert_eq!(new.read_to_end(), (Vec::new(), End::Reset));
    assert!(begin.elapsed() >= ms(200));
}

#[test]
fn slicer_cuts_into_pieces() {
    let mirror = Mirror::new();
    mirror.toxic("slicer", "downstream", &json!({"average_size": 10, "size_variation": 5, "delay": 20_000}));
    let mut client = RawClient::connect(mirror.listen);
    client.send(vec![1; 100]);
    let mut pieces = Vec::new();
    let mut stream = client.stream().try_clone().unwrap();
    while pieces.iter().sum::<usize>() < 100 {
        let mut buffer = [0; 200];
        pieces.push(stream.read(&mut buffer).unwrap());
    }
    assert!(pieces.len() >= 6 && pieces.iter().all(|piece| *piece <= 30), "{pieces:?}");
}

#[test]
fn limit_data_closes_after_so_many_bytes_of_its_direction() {
    let mirror = Mirror::new();
    mirror.toxic("limit_data", "downstream", &json!({"bytes": 10}));
    let mut client = RawClient::connect(mirror.listen);
    client.send("0123456789abcdef");
    assert_eq!(client.read_to_end(), (b"0123456789".to_vec(), End::Fin));
    mirror.toxiproxy.call("POST", "/reset", &Value::Null, 204);
    mirror.toxic("limit_data", "upstream", &json!({"bytes": 4}));
    let mut client = RawClient::connect(mirror.listen);
    let _ = client.try_send("01");
    assert_eq!(client.read_exact(2), b"01");
    let _ = client.try_send("23456789");
    let (came, end) = client.read_to_end();
    assert!(came.len() <= 2 && end == End::Fin, "{came:?} {end:?}");
}

#[test]
fn http_toxics_change_what_a_server_answers() {
    let toxiproxy = Toxiproxy::start();
    let origin = Origin::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-own: 1\r\n\r\nok");
    let listen = toxiproxy.proxy("a", origin.address);
    let mut before = RawClient::connect(listen);
    assert_eq!(before.get("/").text(), "ok");
    toxiproxy.toxic("a", "status_code", "downstream", &json!({"status_code": 503, "modify_response_body": 1}));
    assert_eq!(
        before.read_to_end().1,
        End::Fin,
        "a connection that was taken for bytes ends, so that no answer escapes"
    );
    let mut client = RawClient::connect(listen);
    let answer = client.get("/");
    assert_eq!((answer.status, answer.text().as_str()), (503, "Service Unavailable"));
    toxiproxy.call("POST", "/reset", &Value::Null, 204);
    toxiproxy.toxic("a", "header", "downstream", &json!({"mode": "response", "headers": {"x-own": "2"}}));
    let answer = RawClient::connect(listen).get("/");
    assert_eq!((answer.status, answer.header("x-own")), (200, Some("2")));
    toxiproxy.toxic("a", "header", "upstream", &json!({"mode": "request", "headers": {"x-asked": "3"}}));
    RawClient::connect(listen).get("/");
    assert_eq!(origin.seen().last().unwrap().header("x-asked"), Some("3"));
    toxiproxy.call("POST", "/reset", &Value::Null, 204);
    toxiproxy.toxic("a", "modify_body", "downstream", &json!({"body": "other", "content_type": "text/x-other"}));
    let answer = RawClient::connect(listen).get("/");
    assert_eq!((answer.text().as_str(), answer.header("content-type")), ("other", Some("text/x-other")));
}

#[test]
fn a_proxy_that_is_off_refuses_and_ends_its_connections() {
    let mirror = Mirror::new();
    let mut client = mirror.open();
    for _ in 0..20 {
        mirror.toxiproxy.call("POST", "/proxies/a", &json!({"enabled": false}), 200);
        assert_eq!(client.read_to_end().1, End::Fin);
        let refused = RawClient::try_connect(mirror.listen).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        mirror.toxiproxy.call("POST", "/proxies/a", &json!({"enabled": true}), 200);
        client = mirror.open();
    }
    // So does one that goes elsewhere, and one that is gone.
    let other = Origin::mirror();
    mirror.toxiproxy.call("POST", "/proxies/a", &json!({"upstream": other.address.to_string()}), 200);
    assert_eq!(client.read_to_end().1, End::Fin);
    let mut client = mirror.open();
    assert_eq!(other.accepted(), 1);
    mirror.toxiproxy.call("DELETE", "/proxies/a", &Value::Null, 204);
    assert_eq!(client.read_to_end().1, End::Fin);
    assert_eq!(RawClient::try_connect(mirror.listen).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn toxicity_is_a_share_of_connections_and_none_is_never() {
    let toxiproxy =
        Toxiproxy::of(&squall_integration::Settings::new().with("toxiproxy: {address: 127.0.0.1:0}\nseed: 7"));
    let origin = Origin::mirror();
    let listen = toxiproxy.proxy("a", origin.address);
    let resets = |count: usize| {
        let is_reset = |_: &usize| {
            let mut client = RawClient::connect(listen);
            let _ = client.try_send("x");
            let mut byte = [0];
            client.stream().set_read_timeout(Some(PATIENCE)).unwrap();
            client.stream().read(&mut byte).is_err()
        };
        (0..count).filter(is_reset).count()
    };
    let toxic = |toxicity: f64| json!({"name": "r", "type": "reset_peer", "toxicity": toxicity});
    toxiproxy.call("POST", "/proxies/a/toxics", &toxic(0.0), 200);
    assert_eq!(resets(50), 0);
    toxiproxy.call("PATCH", "/proxies/a/toxics/r", &json!({"toxicity": 0.3}), 200);
    let some = resets(200);
    assert!((35..=85).contains(&some), "{some} of 200 at 0.3");
    // A connection that was not picked stays so, whatever happens to other toxics.
    toxiproxy.call("DELETE", "/proxies/a/toxics/r", &Value::Null, 204);
    toxiproxy.call("POST", "/proxies/a/toxics", &toxic(0.5), 200);
    let mut spared: Vec<RawClient> = (0..20).map(|_| RawClient::connect(listen)).collect();
    spared.retain_mut(|client| {
        let _ = client.try_send("x");
        let mut byte = [0];
        client.stream().read(&mut byte).is_ok_and(|read| read == 1)
    });
    assert!(!spared.is_empty() && spared.len() < 20);
    for n in 0..10 {
        toxiproxy.call("POST", "/proxies/a/toxics", &json!({"name": format!("n{n}"), "type": "latency"}), 200);
        toxiproxy.call("PATCH", "/proxies/a/toxics/r", &json!({"attributes": {"timeout": n}}), 200);
        spared.iter_mut().for_each(|client| assert!(echo(client) < PATIENCE));
    }
}

/// A server that sends `total` bytes as fast as `per_second` lets it, and ends.
fn pouring(total: usize, per_second: Option<f64>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || pour(stream, total, per_second));
        }
    });
    address
}

fn pour(mut stream: std::net::TcpStream, total: usize, per_second: Option<f64>) {
    let (chunk, begin) = (vec![7; 64 * 1024], Instant::now());
    let mut sent = 0;
    while sent < total {
        let n = chunk.len().min(total - sent);
        if stream.write_all(&chunk[..n]).is_err() {
            return;
        }
        sent += n;
        if let Some(rate) = per_second {
            let due = begin + Duration::from_secs_f64(sent as f64 / rate);
            pause(due.saturating_duration_since(Instant::now()));
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
}

/// When the first and the last byte came.
fn drain(address: SocketAddr, total: usize) -> (Duration, Duration) {
    let begin = Instant::now();
    let mut client = RawClient::connect(address);
    let mut stream = client.stream().try_clone().unwrap();
    let mut buffer = vec![0; 256 * 1024];
    let (mut came, mut first) = (0, None);
    while came < total {
        let n = stream.read(&mut buffer).unwrap();
        assert!(n > 0, "{came} of {total} bytes");
        came += n;
        first.get_or_insert_with(|| begin.elapsed());
    }
    let last = begin.elapsed();
    assert_eq!(client.read_to_end().1, End::Fin);
    (first.unwrap(), last)
}

/// 100 MB at the speed of a gigabit line: with a latency of 100 ms it all comes 100 ms later, and no slower.
#[test]
fn latency_costs_no_bandwidth() {
    const TOTAL: usize = 100_000_000;
    let toxiproxy = Toxiproxy::start();
    let listen = toxiproxy.proxy("a", pouring(TOTAL, Some(125e6)));
    let mut said = String::new();
    let is_right = |said: &mut String| {
        let plain = drain(listen, TOTAL);
        toxiproxy.toxic("a", "latency", "downstream", &json!({"latency": 100}));
        let slow = drain(listen, TOTAL);
        toxiproxy.call("POST", "/reset", &Value::Null, 204);
        let (first, last) = (slow.0.saturating_sub(plain.0), slow.1.saturating_sub(plain.1));
        *said += &format!("first byte +{first:?}, last byte +{last:?} of {:?}\n", plain.1);
        // What comes too early is wrong on any machine.
        assert!(slow.0 >= ms(100), "{said}");
        let within = |late: Duration| (ms(80)..=ms(120)).contains(&late);
        within(first) && within(last)
    };
    assert!((0..5).any(|_| is_right(&mut said)), "{said}");
    println!("{said}");
}

#[test]
fn bandwidth_is_within_three_percent() {
    const TOTAL: usize = 4_000_000;
    let toxiproxy = Toxiproxy::start();
    let listen = toxiproxy.proxy("a", pouring(TOTAL, None));
    toxiproxy.toxic("a", "bandwidth", "downstream", &json!({"rate": 2000}));
    let mut said = String::new();
    let is_right = |said: &mut String| {
        let (first, last) = drain(listen, TOTAL);
        let rate = TOTAL as f64 / last.as_secs_f64();
        *said += &format!("{rate:.0} bytes a second, the first after {first:?}\n");
        assert!(rate <= 2_060_000.0, "{said}");
        rate >= 1_940_000.0
    };
    assert!((0..5).any(|_| is_right(&mut said)), "{said}");
    println!("{said}");
}

/// As many connections as keep the proxy busy, in both directions, until dropped.
struct Load {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    threads: Vec<std::thread::JoinHandle<u64>>,
}

impl Load {
    fn new(address: SocketAddr, connections: usize) -> Self {
        use std::sync::atomic::Ordering::Relaxed;
        let stop = std::sync::Arc::<std::sync::atomic::AtomicBool>::default();
        let connection = |_| {
            let stop = std::sync::Arc::clone(&stop);
            std::thread::spawn(move || {
                let (chunk, mut back, mut moved) = (vec![1; 16 * 1024], vec![0; 16 * 1024], 0);
                while !stop.load(Relaxed) {
                    // A toxic may have ended the one before.
                    let Ok(mut client) = RawClient::try_connect(address) else { continue };
                    let mut stream = client.stream().try_clone().unwrap();
                    while !stop.load(Relaxed) && client.try_send(&chunk).is_ok() && stream.read_exact(&mut back).is_ok()
                    {
                        moved += chunk.len() as u64;
                    }
                }
                moved
            })
        };
        let threads = (0..connections).map(connection).collect();
        Self { stop, threads }
    }

    fn end(self) -> u64 {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        self.threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    }
}

#[test]
fn removing_toxics_under_load_takes_no_time() {
    let mirror = Mirror::new();
    let load = Load::new(mirror.listen, 16);
    let kinds = [
        ("latency", json!({"latency": 5, "jitter": 5})),
        ("bandwidth", json!({"rate": 10_000})),
        ("slicer", json!({"average_size": 500, "size_variation": 100, "delay": 10})),
        ("bandwidth", json!({"rate": 0})),
        ("limit_data", json!({"bytes": 100_000})),
    ];
    let mut times: Vec<Duration> = Vec::new();
    for n in 0..1000 {
        let (kind, attributes) = &kinds[n % kinds.len()];
        let stream = if n % 2 == 0 { "downstream" } else { "upstream" };
        mirror.toxic(kind, stream, attributes);
        let begin = Instant::now();
        mirror.remove(&format!("{kind}_{stream}"));
        times.push(begin.elapsed());
    }
    let moved = load.end();
    times.sort_unstable();
    println!("removing a toxic: median {:?}, longest {:?}; {moved} bytes moved meanwhile", times[500], times[999]);
    assert!(times[999] <= ms(50), "{:?}", &times[990..]);
    assert!(moved > 0);
    eventually("a connection without toxics", PATIENCE, || (echo(&mut mirror.open()) < ms(200)).then_some(()));
}

/// A server that does not answer to a connection holds up no other client.
#[test]
fn a_slow_upstream_holds_up_nobody() {
    let toxiproxy = Toxiproxy::start();
    let (nowhere, _sockets) = squall_integration::origin::black_hole();
    let listen = toxiproxy.proxy("hole", nowhere);
    let _waiting: Vec<RawClient> = (0..20).map(|_| RawClient::connect(listen)).collect();
    let mirror = Origin::mirror();
    let listen = toxiproxy.proxy("a", mirror.address);
    assert!(echo(&mut RawClient::connect(listen)) < ms(500));
    let begin = Instant::now();
    toxiproxy.call("DELETE", "/proxies/hole", &Value::Null, 204);
    assert!(begin.elapsed() < ms(500));
}
