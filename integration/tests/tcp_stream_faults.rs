//! Faults of the bytes of a TCP connection, and the same of what flows in a tunnel.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use squall_integration::origin::Origin;
use squall_integration::{Api, End, RawClient, Settings, Squall, eventually};

/// Bytes that come back, through a relay or a tunnel.
struct Path {
    squall: Squall,
    is_tunnel: bool,
}

impl Path {
    fn tcp(origin: &Origin) -> Self {
        Self { squall: Squall::start(&Settings::tcp(origin.address).with("seed: 7")), is_tunnel: false }
    }

    fn tunnel(origin: &Origin) -> Self {
        Self { squall: Squall::start(&Settings::http(origin.address).with("seed: 7")), is_tunnel: true }
    }

    fn api(&self) -> Api {
        self.squall.api()
    }

    fn rule(&self, fault: &Value) {
        let matches = if self.is_tunnel { json!({"upgrade": "websocket", "path": "/chat"}) } else { json!({}) };
        self.api().rule("r", &json!({"percentage": 100, "match": matches, "fault": fault}));
    }

    fn client(&self) -> RawClient {
        let mut client = RawClient::connect(self.squall.to_b());
        if self.is_tunnel {
            let request = "GET /chat HTTP/1.1\r\nHost: b\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n";
            let answer = client.send(request).answer();
            assert_eq!((answer.status, answer.header("x-squall-fault")), (101, None));
        }
        client
    }
}

/// Sends everything back, over TCP as it is, or behind a switch of protocols.
fn mirror(is_tunnel: bool) -> Origin {
    Origin::start(move |mut peer| {
        if is_tunnel {
            let Some(_) = peer.request() else { return };
            peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
        }
        while let [byte] = peer.read(1)[..] {
            peer.send([byte]);
        }
        let _ = peer.stream().shutdown(std::net::Shutdown::Write);
    })
}

/// Runs a test over a relay and over a tunnel.
fn on_both(test: impl Fn(&Path)) {
    for is_tunnel in [false, true] {
        let origin = mirror(is_tunnel);
        test(&if is_tunnel { Path::tunnel(&origin) } else { Path::tcp(&origin) });
    }
}

fn took(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

#[test]
fn truncation_is_an_end_after_so_many_bytes_or_so_long() {
    on_both(|path| {
        path.rule(&json!({"truncate": "5B"}));
        let mut client = path.client();
        client.send("hello, world");
        assert_eq!(client.read_to_end(), (b"hello".to_vec(), End::Fin));
        path.rule(&json!({"truncate": {"after": "300ms"}}));
        let mut client = path.client();
        let time = took(|| {
            assert_eq!(client.send("early").read_exact(5), b"early");
            assert_eq!(client.read_to_end(), (vec![], End::Fin));
        });
        assert!((250..1500).contains(&time.as_millis()), "{time:?}");
    });
}

#[test]
fn a_reset_may_come_after_a_time_while_data_flows() {
    on_both(|path| {
        path.rule(&json!({"reset": {"after": "300ms"}}));
        let mut client = path.client().patience(Duration::from_millis(10));
        let begin = Instant::now();
        let end = loop {
            let sent = client.try_send("x");
            match client.read_to_end().1 {
                End::Silence if sent.is_ok() && begin.elapsed() < Duration::from_secs(5) => {}
                end => break end,
            }
        };
        assert_eq!(end, End::Reset);
        assert!((250..2000).contains(&begin.elapsed().as_millis()), "{:?}", begin.elapsed());
    });
}

#[test]
fn a_stalled_direction_passes_nothing_until_its_rule_ends() {
    on_both(|path| {
        path.rule(&json!({"stall": {"after_bytes": 3}}));
        let mut client = path.client();
        client.send("abcdef");
        assert_eq!(client.read_exact(3), b"abc");
        assert!(client.is_silent_for(Duration::from_millis(300)));
        path.api().remove("r");
        assert_eq!(client.read_exact(3), b"def");
        assert_eq!(client.send("on").read_exact(2), b"on");
        path.rule(&json!({"stall": {"on": "request", "max": "300ms"}}));
        let mut client = path.client();
        let time = took(|| assert_eq!(client.send("late").read_exact(4), b"late"));
        assert!((250..1500).contains(&time.as_millis()), "{time:?}");
    });
}

#[test]
fn slices_are_pieces_with_pauses() {
    on_both(|path| {
        path.rule(&json!({"slice": {"size": 10, "every": "50ms", "direction": "response"}}));
        let mut client = path.client();
        let time = took(|| assert_eq!(client.send([b'x'; 100]).read_exact(100), [b'x'; 100]));
        // Nine pauses, or a few more where a read of the mirror ended within a piece.
        assert!((440..1500).contains(&time.as_millis()), "{time:?}");
    });
}

#[test]
fn corrupted_streams_have_other_bytes_and_the_same_length() {
    on_both(|path| {
        path.rule(&json!({"corrupt": {"rate": 50}}));
        let mut client = path.client();
        let back = client.send([0; 2000]).read_exact(2000);
        let flipped = back.iter().filter(|byte| **byte != 0).count();
        assert!((900..1100).contains(&flipped), "{flipped}");
        assert!(back.iter().all(|byte| byte.count_ones() <= 1));
    });
}

#[test]
fn a_slow_close_comes_behind_data_that_is_not_slow() {
    on_both(|path| {
        path.rule(&json!({"slow_close": {"delay": "400ms", "direction": "response"}}));
        let mut client = path.client();
        let time = took(|| assert_eq!(client.send("data").read_exact(4), b"data"));
        assert!(time < Duration::from_millis(300), "{time:?}");
        client.half_close();
        let time = took(|| assert_eq!(client.read_to_end(), (vec![], End::Fin)));
        assert!((350..1500).contains(&time.as_millis()), "{time:?}");
        // Removed, it holds nothing back.
        path.rule(&json!({"slow_close": "60s"}));
        let mut client = path.client();
        client.send("x").half_close();
        assert!(client.read_exact(1) == b"x" && client.is_silent_for(Duration::from_millis(200)));
        path.api().remove("r");
        assert_eq!(client.read_to_end(), (vec![], End::Fin));
    });
}

#[test]
fn delay_reset_throttle_and_blackhole_act_on_a_tunnel() {
    let origin = mirror(true);
    let path = Path::tunnel(&origin);
    path.rule(&json!({"delay": {"fixed": "200ms", "on": "response"}}));
    let mut open = path.client();
    for _ in 0..2 {
        let time = took(|| assert_eq!(open.send("hello").read_exact(5), b"hello"));
        assert!((200..900).contains(&time.as_millis()), "{time:?}");
    }
    path.rule(&json!({"throttle": {"rate": "10kB/s", "direction": "response"}}));
    let time = took(|| assert_eq!(open.send([7; 5000]).read_exact(5000), [7; 5000]));
    assert!((450..1500).contains(&time.as_millis()), "a rule that changes takes hold of an open tunnel: {time:?}");
    path.rule(&json!({"blackhole": true}));
    open.send("lost?");
    assert!(open.is_silent_for(Duration::from_millis(300)));
    path.api().halt();
    assert_eq!(open.read_exact(5), b"lost?");
    path.api().resume();
    path.rule(&json!({"reset": true}));
    assert_eq!(open.read_to_end(), (vec![], End::Reset));
    let status = path.api().rule_status("r");
    assert_eq!((status["unit"].as_str(), status["matched"].as_u64()), (Some("tunnel"), Some(1)), "{status}");
}

#[test]
fn rules_for_tunnels_leave_requests_alone_and_the_other_way_round() {
    let origin = mirror(true);
    let path = Path::tunnel(&origin);
    path.api().rule("r", &json!({"percentage": 100, "match": {"upgrade": "other"}, "fault": {"reset": true}}));
    path.api().rule("s", &json!({"percentage": 100, "match": {"path": "/chat"}, "fault": {"throttle": "1B/s"}}));
    let mut client = RawClient::connect(path.squall.to_b());
    let request = "GET /chat HTTP/1.1\r\nHost: b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(client.send(request).answer().status, 101);
    let time = took(|| assert_eq!(client.send([1; 100]).read_exact(100), [1; 100]));
    assert!(time < Duration::from_secs(2), "{time:?}");
}

#[test]
fn a_drain_waits_for_a_tunnel() {
    let origin = mirror(true);
    let mut path = Path::tunnel(&origin);
    let mut client = path.client();
    path.squall.signal("TERM");
    eventually("it stops listening", Duration::from_secs(10), || path.squall.said().contains("drain").then_some(()));
    assert_eq!(client.send("still").read_exact(5), b"still");
    assert!(path.squall.is_running());
    drop(client);
    assert!(path.squall.wait(Duration::from_secs(10)).success());
}

#[test]
fn a_delay_on_connect_holds_a_connection_before_it_is_dialled() {
    let origin = mirror(false);
    let path = Path::tcp(&origin);
    path.rule(&json!({"delay": {"fixed": "400ms", "on": "connect"}}));
    let mut client = path.client();
    client.send("hello");
    assert!(client.is_silent_for(Duration::from_millis(200)));
    assert_eq!(origin.accepted(), 0);
    let time = took(|| assert_eq!(client.read_exact(5), b"hello"));
    assert!(time < Duration::from_secs(2), "{time:?}");
    // Once established it is over.
    let time = took(|| assert_eq!(client.send("again").read_exact(5), b"again"));
    assert!(time < Duration::from_millis(200), "{time:?}");
    let sum = path.api().metrics().sum("chaos_injected_network_latency_seconds_sum", &[("rule", "r")]);
    assert!((0.4..1.0).contains(&sum), "{sum}");
    // Halt lets a held one go.
    path.rule(&json!({"delay": {"fixed": "60s", "on": "connect"}}));
    let mut client = path.client();
    client.send("hello");
    assert!(client.is_silent_for(Duration::from_millis(200)));
    path.api().halt();
    assert_eq!(client.read_exact(5), b"hello");
}
