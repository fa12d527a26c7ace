//! The table: what each fault looks like on each protocol, or why it cannot be there.

use std::ops::Range;

use serde_json::{Value, json};

use crate::world::BYTES;

/// What a client must see.
#[derive(Debug, Clone)]
pub(crate) struct Expect {
    /// The code of the outcome.
    pub(crate) code: &'static str,
    /// How long the call takes, in milliseconds.
    pub(crate) ms: Range<u128>,
    pub(crate) is_intact: Option<bool>,
    /// Bytes or messages that come.
    pub(crate) count: Option<usize>,
    /// Calls that reach the upstream.
    pub(crate) calls: Option<usize>,
    /// A part of what the client prints.
    pub(crate) says: &'static str,
}

pub(crate) enum Cell {
    Shown { rule: Value, text: &'static str, expect: Expect },
    Never(&'static str),
}

pub(crate) struct Row {
    pub(crate) kind: &'static str,
    /// In the order of the columns.
    pub(crate) cells: [Cell; 6],
}

/// A client that gives up does so after 1.5 s; starting one takes some time on a busy machine.
const SOON: Range<u128> = 0..1400;
const GIVES_UP: Range<u128> = 1400..5000;

fn expect(code: &'static str) -> Expect {
    Expect { code, ms: SOON, is_intact: None, count: None, calls: None, says: "" }
}

fn shown(fault: Value, text: &'static str, expect: Expect) -> Cell {
    Cell::Shown { rule: json!({ "fault": fault }), text, expect }
}

/// On the bytes of a tunnel.
fn in_tunnel(fault: Value, text: &'static str, expect: Expect) -> Cell {
    Cell::Shown { rule: json!({ "match": { "upgrade": "websocket" }, "fault": fault }), text, expect }
}

const BYTES_ONLY: &str = "bytes have no head and no answer that Squall knows";
const TUNNEL_BYTES: &str = "what flows in a tunnel is bytes; the request that opens it is HTTP/1.1";
const CONNECT: &str = "requests come on connections that are open; use `delay`";
const DIRECTION: &str = "a request or an answer that is dropped is no exchange any more; use `blackhole` as it is";
const UPLOADS: &str = "the upstream would see an upload that broke off, and not an end; use `stall`";
const DATA: &str = "a request is data; use `reset`";
const STREAMS: &str = "is for streams; on HTTP it is `slow_body`";

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = timing();
    rows.extend(endings());
    rows.extend(bodies());
    rows.extend(connections());
    rows.extend(handshakes());
    rows
}

fn timing() -> Vec<Row> {
    let late = |code| Expect { ms: 400..1400, is_intact: Some(true), ..expect(code) };
    let hangs = |code| Expect { ms: GIVES_UP, ..expect(code) };
    let delay = || json!({ "delay": "400ms" });
    let at_least = || json!({ "delay": { "at_least": "400ms" } });
    let blackhole = || json!({ "blackhole": true });
    let one_way = || json!({ "blackhole": { "direction": "request" } });
    let throttle = |rate: &str| json!({ "throttle": { "rate": rate, "direction": "response" } });
    let stall = || json!({ "stall": true });
    vec![
        Row {
            kind: "delay",
            cells: [
                shown(delay(), "400 ms later", late("200")),
                shown(delay(), "400 ms later", late("200")),
                shown(delay(), "400 ms later", late("OK")),
                in_tunnel(
                    json!({"delay": {"fixed": "100ms", "on": "response"}}),
                    "each message 100 ms later",
                    late("ok"),
                ),
                shown(json!({"delay": {"fixed": "400ms", "on": "response"}}), "400 ms later", late("ok")),
                shown(delay(), "400 ms later", late("200")),
            ],
        },
        Row {
            kind: "delay (at_least)",
            cells: [
                shown(at_least(), "400 ms in all", late("200")),
                shown(at_least(), "400 ms in all", late("200")),
                shown(at_least(), "400 ms in all", late("OK")),
                Cell::Never(TUNNEL_BYTES),
                Cell::Never(BYTES_ONLY),
                shown(at_least(), "400 ms in all", late("200")),
            ],
        },
        Row {
            kind: "delay (on: connect)",
            cells: [
                Cell::Never(CONNECT),
                Cell::Never(CONNECT),
                Cell::Never(CONNECT),
                Cell::Never(CONNECT),
                shown(json!({"delay": {"fixed": "400ms", "on": "connect"}}), "400 ms later", late("ok")),
                Cell::Never(CONNECT),
            ],
        },
        Row {
            kind: "blackhole",
            cells: [
                shown(blackhole(), "gives up (28)", hangs("curl 28")),
                shown(blackhole(), "gives up (28)", hangs("curl 28")),
                shown(blackhole(), "DEADLINE_EXCEEDED", hangs("DEADLINE_EXCEEDED")),
                in_tunnel(blackhole(), "TimeoutError", hangs("TimeoutError")),
                shown(blackhole(), "hangs", hangs("exit 124")),
                shown(blackhole(), "gives up (28)", hangs("curl 28")),
            ],
        },
        Row {
            kind: "blackhole (direction)",
            cells: [
                Cell::Never(DIRECTION),
                Cell::Never(DIRECTION),
                Cell::Never(DIRECTION),
                in_tunnel(one_way(), "TimeoutError", hangs("TimeoutError")),
                shown(one_way(), "hangs", hangs("exit 124")),
                Cell::Never(DIRECTION),
            ],
        },
        Row {
            kind: "stall",
            cells: [
                shown(stall(), "a head, then gives up (28)", Expect { says: "200 OK", ..hangs("curl 28") }),
                shown(stall(), "a head, then gives up (28)", Expect { says: "HTTP/2 200", ..hangs("curl 28") }),
                shown(stall(), "DEADLINE_EXCEEDED", hangs("DEADLINE_EXCEEDED")),
                in_tunnel(stall(), "TimeoutError", hangs("TimeoutError")),
                shown(stall(), "hangs", hangs("exit 124")),
                shown(stall(), "a head, then gives up (28)", Expect { says: "HTTP/2 200", ..hangs("curl 28") }),
            ],
        },
        Row {
            kind: "throttle",
            cells: [
                shown(throttle("40kB/s"), "20 kB take 0.5 s", late("200")),
                shown(throttle("40kB/s"), "20 kB take 0.5 s", late("200")),
                shown(throttle("40kB/s"), "20 kB take 0.5 s", late("OK")),
                in_tunnel(throttle("120B/s"), "60 B take 0.5 s", late("ok")),
                shown(throttle("40kB/s"), "20 kB take 0.5 s", late("ok")),
                shown(throttle("40kB/s"), "20 kB take 0.5 s", late("200")),
            ],
        },
    ]
}

fn endings() -> Vec<Row> {
    let never = |code| Expect { calls: Some(0), ..expect(code) };
    let worked = |code| Expect { calls: Some(1), ..expect(code) };
    let abort = || json!({ "abort": 503 });
    let reset = || json!({ "reset": true });
    let lost = || json!({ "response_lost": true });
    let malformed = |what: &str| json!({ "malformed": what });
    let truncate = || json!({ "truncate": 10_000 });
    let after_data = || json!({ "reset": { "after_data": "100ms" } });
    let request = || json!({ "truncate": { "after_bytes": 10, "on": "request" } });
    vec![
        Row {
            kind: "abort",
            cells: [
                shown(abort(), "503", never("503")),
                shown(abort(), "503", never("503")),
                shown(
                    json!({"abort": {"grpc_status": "ABORTED", "message": "injected"}}),
                    "ABORTED: injected",
                    Expect { says: "injected", ..never("ABORTED") },
                ),
                shown(abort(), "InvalidStatus 503 in place of 101", expect("InvalidStatus 503")),
                Cell::Never(BYTES_ONLY),
                shown(abort(), "503", never("503")),
            ],
        },
        Row {
            kind: "abort (after_messages)",
            cells: [
                Cell::Never("is for gRPC"),
                Cell::Never("is for gRPC"),
                shown(
                    json!({"abort": {"grpc_status": 10, "message": "injected", "after_messages": 3}}),
                    "three messages, then ABORTED",
                    Expect { says: "injected", count: Some(3), is_intact: Some(true), ..worked("ABORTED") },
                ),
                Cell::Never("is for gRPC"),
                Cell::Never("is for gRPC"),
                Cell::Never("is for gRPC"),
            ],
        },
        Row {
            kind: "reset",
            cells: [
                shown(reset(), "connection reset (56)", never("curl 56")),
                shown(reset(), "RST_STREAM (92)", never("curl 92")),
                shown(reset(), "INTERNAL", never("INTERNAL")),
                in_tunnel(reset(), "ConnectionClosedError", expect("ConnectionClosedError")),
                shown(reset(), "connection reset", expect("exit 1")),
                shown(reset(), "RST_STREAM (92)", never("curl 92")),
            ],
        },
        Row {
            kind: "reset (after_data)",
            cells: [
                Cell::Never(DATA),
                Cell::Never(DATA),
                Cell::Never(DATA),
                in_tunnel(after_data(), "ConnectionClosedError", expect("ConnectionClosedError")),
                shown(after_data(), "connection reset", expect("exit 1")),
                Cell::Never(DATA),
            ],
        },
        Row {
            kind: "response_lost",
            cells: [
                shown(lost(), "connection reset (56); the upstream did work", worked("curl 56")),
                shown(lost(), "RST_STREAM (92); the upstream did work", worked("curl 92")),
                shown(lost(), "INTERNAL; the upstream did work", worked("INTERNAL")),
                Cell::Never(TUNNEL_BYTES),
                Cell::Never(BYTES_ONLY),
                shown(lost(), "RST_STREAM (92); the upstream did work", worked("curl 92")),
            ],
        },
        Row {
            kind: "malformed",
            cells: [
                shown(malformed("bad_chunk"), "no chunk (56)", never("curl 56")),
                shown(malformed("bad_chunk"), "RST_STREAM with PROTOCOL_ERROR (92)", never("curl 92")),
                shown(malformed("empty"), "INTERNAL", never("INTERNAL")),
                shown(malformed("garbage"), "InvalidMessage in place of 101", expect("InvalidMessage")),
                Cell::Never(BYTES_ONLY),
                shown(malformed("bad_chunk"), "RST_STREAM with PROTOCOL_ERROR (92)", never("curl 92")),
            ],
        },
        Row {
            kind: "truncate",
            cells: [
                shown(
                    truncate(),
                    "half of the body, then an end (18)",
                    Expect { count: Some(BYTES / 2), ..expect("curl 18") },
                ),
                shown(
                    truncate(),
                    "less than was promised (92)",
                    Expect { is_intact: Some(false), ..expect("curl 92") },
                ),
                shown(truncate(), "UNKNOWN: an end without status", expect("UNKNOWN")),
                in_tunnel(json!({"truncate": 20}), "ConnectionClosedError", expect("ConnectionClosedError")),
                shown(
                    truncate(),
                    "half of the answer, then an end",
                    Expect { is_intact: Some(false), ..expect("exit 1") },
                ),
                shown(
                    truncate(),
                    "less than was promised (92)",
                    Expect { is_intact: Some(false), ..expect("curl 92") },
                ),
            ],
        },
        Row {
            kind: "truncate (on: request)",
            cells: [
                Cell::Never(UPLOADS),
                Cell::Never(UPLOADS),
                Cell::Never(UPLOADS),
                in_tunnel(request(), "ConnectionClosedError", expect("ConnectionClosedError")),
                shown(request(), "an end", expect("exit 1")),
                Cell::Never(UPLOADS),
            ],
        },
    ]
}

fn bodies() -> Vec<Row> {
    let late = |code| Expect { ms: 400..1400, is_intact: Some(true), ..expect(code) };
    let altered = |code| Expect { is_intact: Some(false), ..expect(code) };
    let slow = || json!({ "slow_body": { "chunk": 4000, "every": "110ms" } });
    let teapot = || json!({ "modify": { "status": 418, "body": "tea" } });
    let twice = || json!({ "duplicate": true });
    vec![
        Row {
            kind: "corrupt",
            cells: [
                shown(json!({"corrupt": 1}), "other bytes, as many", Expect { count: Some(BYTES), ..altered("200") }),
                shown(json!({"corrupt": 1}), "other bytes, as many", Expect { count: Some(BYTES), ..altered("200") }),
                shown(json!({"corrupt": {"rate": 1, "direction": "request"}}), "other messages", altered("OK")),
                in_tunnel(
                    json!({"corrupt": 100}),
                    "TimeoutError: no frame can be read",
                    Expect { ms: GIVES_UP, ..expect("TimeoutError") },
                ),
                shown(json!({"corrupt": 0.1}), "other bytes", altered("ok")),
                shown(json!({"corrupt": 1}), "other bytes, as many", Expect { count: Some(BYTES), ..altered("200") }),
            ],
        },
        Row {
            kind: "slow_body",
            cells: [
                shown(slow(), "five pieces in 440 ms", late("200")),
                shown(slow(), "five pieces in 440 ms", late("200")),
                shown(slow(), "six pieces in 550 ms", late("OK")),
                Cell::Never("is for bodies; on a tunnel it is `slice`"),
                Cell::Never("is for bodies; on TCP it is `slice`"),
                shown(slow(), "five pieces in 440 ms", late("200")),
            ],
        },
        Row {
            kind: "slice",
            cells: [
                Cell::Never(STREAMS),
                Cell::Never(STREAMS),
                Cell::Never(STREAMS),
                in_tunnel(
                    json!({"slice": {"size": 12, "every": "100ms", "direction": "response"}}),
                    "five pieces in 400 ms",
                    late("ok"),
                ),
                shown(
                    json!({"slice": {"size": 5000, "every": "120ms", "direction": "response"}}),
                    "five pieces in 480 ms",
                    late("ok"),
                ),
                Cell::Never(STREAMS),
            ],
        },
        Row {
            kind: "modify",
            cells: [
                shown(teapot(), "418 and another body", Expect { count: Some(3), ..altered("418") }),
                shown(teapot(), "418 and another body", Expect { count: Some(3), ..altered("418") }),
                shown(
                    json!({"modify": {"status": 503}}),
                    "UNAVAILABLE: a status that is not gRPC's",
                    Expect { calls: Some(1), ..expect("UNAVAILABLE") },
                ),
                shown(
                    json!({"modify": {"on": "request", "remove_headers": "sec-websocket-key"}}),
                    "InvalidStatus 400: the handshake reached the server without its key",
                    expect("InvalidStatus 400"),
                ),
                Cell::Never(BYTES_ONLY),
                shown(teapot(), "418 and another body", Expect { count: Some(3), ..altered("418") }),
            ],
        },
        Row {
            kind: "duplicate",
            cells: [
                shown(
                    twice(),
                    "200; the upstream got it twice",
                    Expect { calls: Some(2), is_intact: Some(true), ..expect("200") },
                ),
                shown(
                    twice(),
                    "200; the upstream got it twice",
                    Expect { calls: Some(2), is_intact: Some(true), ..expect("200") },
                ),
                shown(
                    twice(),
                    "OK; the upstream got it twice",
                    Expect { calls: Some(2), is_intact: Some(true), ..expect("OK") },
                ),
                Cell::Never(TUNNEL_BYTES),
                Cell::Never(BYTES_ONLY),
                shown(
                    twice(),
                    "200; the upstream got it twice",
                    Expect { calls: Some(2), is_intact: Some(true), ..expect("200") },
                ),
            ],
        },
    ]
}

/// The handshake is TLS's own.
fn handshakes() -> Vec<Row> {
    let rows = [
        (
            "tls (handshake: stall)",
            json!({"handshake": "stall"}),
            "gives up (28)",
            Expect { ms: GIVES_UP, ..expect("curl 28") },
        ),
        ("tls (handshake: alert)", json!({"handshake": "alert"}), "handshake failed (35)", expect("curl 35")),
        (
            "tls (handshake: slow)",
            json!({"handshake": {"slow": "400ms"}}),
            "400 ms later",
            Expect { ms: 400..1400, is_intact: Some(true), ..expect("200") },
        ),
        ("tls (certificate: expired)", json!({"certificate": "expired"}), "not verified (60)", expect("curl 60")),
        ("tls (certificate: wrong_name)", json!({"certificate": "wrong_name"}), "not verified (60)", expect("curl 60")),
        ("tls (certificate: untrusted)", json!({"certificate": "untrusted"}), "not verified (60)", expect("curl 60")),
    ];
    let never = || Cell::Never("there is no handshake");
    let row = |(kind, fault, text, expect)| Row {
        kind,
        cells: [never(), never(), never(), never(), never(), shown(json!({ "tls": fault }), text, expect)],
    };
    rows.into_iter().map(row).collect()
}

fn connections() -> Vec<Row> {
    let goaway = || json!({ "goaway": true });
    vec![
        Row {
            kind: "goaway",
            cells: [
                shown(goaway(), "200 with `connection: close`", Expect { says: "connection: close", ..expect("200") }),
                shown(
                    goaway(),
                    "200, and GOAWAY behind it",
                    Expect { is_intact: Some(true), says: "kind=goaway", ..expect("200") },
                ),
                shown(
                    json!({"goaway": {"code": "ENHANCE_YOUR_CALM"}}),
                    "UNAVAILABLE: GOAWAY with code 11",
                    Expect { says: "Error code: 11", ..expect("UNAVAILABLE") },
                ),
                Cell::Never("a tunnel has its connection to itself"),
                Cell::Never(BYTES_ONLY),
                shown(
                    goaway(),
                    "200, and GOAWAY behind it",
                    Expect { is_intact: Some(true), says: "kind=goaway", ..expect("200") },
                ),
            ],
        },
        Row {
            kind: "refuse",
            cells: [
                Cell::Never("requests come on connections that are open; use `reset`"),
                Cell::Never("requests come on connections that are open; use `reset`"),
                Cell::Never("requests come on connections that are open; use `reset`"),
                Cell::Never("a tunnel is open when its rules are asked; use `reset`"),
                shown(json!({"refuse": true}), "connection reset", expect("exit 1")),
                Cell::Never("requests come on connections that are open; use `reset`"),
            ],
        },
        Row {
            kind: "slow_close",
            cells: [
                Cell::Never("an answer ends where its framing says"),
                Cell::Never("an answer ends where its framing says"),
                Cell::Never("an answer ends where its framing says"),
                in_tunnel(
                    json!({"slow_close": {"delay": "400ms", "direction": "response"}}),
                    "the close takes 400 ms",
                    Expect { ms: 400..1400, is_intact: Some(true), ..expect("ok") },
                ),
                Cell::Never(
                    "redis-cli does not wait for the end of its connection; `tcp_stream_faults` shows it on a raw socket",
                ),
                Cell::Never("an answer ends where its framing says"),
            ],
        },
    ]
}
