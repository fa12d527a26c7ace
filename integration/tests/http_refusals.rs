//! Malformed, ambiguous and smuggling-shaped requests are answered with an error and a closed connection, and the
//! upstream sees nothing of them: as the first request, after a good one, and pipelined behind a good one.

use std::time::Duration;

use squall_integration::origin::Origin;
use squall_integration::{End, RawClient, Settings, Squall};

const GOOD: &str = "GET /good HTTP/1.1\r\nHost: b\r\n\r\n";

/// Name, bytes, acceptable answers.
type Case = (&'static str, Vec<u8>, &'static [u16]);

fn case(name: &'static str, bytes: impl Into<Vec<u8>>, statuses: &'static [u16]) -> Case {
    (name, bytes.into(), statuses)
}

fn framing() -> Vec<Case> {
    let post = |fields: &str, body: &str| format!("POST /bad HTTP/1.1\r\nHost: b\r\n{fields}\r\n\r\n{body}");
    let chunked = "0\r\n\r\n";
    let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: b\r\n\r\n";
    let te = |value: &str| post(&format!("Transfer-Encoding: {value}"), chunked);
    vec![
        case("CL, then TE", post("Content-Length: 5\r\nTransfer-Encoding: chunked", smuggled), &[400]),
        case("TE, then CL", post("Transfer-Encoding: chunked\r\nContent-Length: 5", smuggled), &[400]),
        case("two different CL", post("Content-Length: 3\r\nContent-Length: 4", "abcd"), &[400]),
        case("CL list of different values", post("Content-Length: 3, 4", "abcd"), &[400]),
        case("CL +3", post("Content-Length: +3", "abc"), &[400]),
        case("CL -1", post("Content-Length: -1", ""), &[400]),
        case("CL 0x3", post("Content-Length: 0x3", "abc"), &[400]),
        case("CL empty", post("Content-Length: ", ""), &[400]),
        case("CL with a space inside", post("Content-Length: 1 2", "abc"), &[400]),
        case("CL beyond 64 bits", post("Content-Length: 99999999999999999999", ""), &[400, 413]),
        case("TE gzip, chunked", te("gzip, chunked"), &[400, 501]),
        case("TE chunked, gzip", te("chunked, gzip"), &[400, 501]),
        case("TE chunked, chunked", te("chunked, chunked"), &[400, 501]),
        case(
            "TE chunked twice",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", chunked),
            &[400, 501],
        ),
        case(
            "TE identity, then chunked",
            post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", chunked),
            &[400, 501],
        ),
        case("TE chunked with a vertical tab", te("\x0bchunked"), &[400, 501]),
        case("TE xchunked", te("xchunked"), &[400, 501]),
        case("TE chunkedx", te("chunkedx"), &[400, 501]),
        case("TE \"chunked\" in quotes", te("\"chunked\""), &[400, 501]),
        case("TE chunked;q=1", te("chunked;q=1"), &[400, 501]),
        case("TE empty", te(""), &[400, 501]),
        case("TE identity", te("identity"), &[400, 501]),
        case("TE gzip", te("gzip"), &[400, 501]),
        case(
            "TE with an underscore beside CL",
            post("Transfer-Encoding : chunked\r\nContent-Length: 5", smuggled),
            &[400],
        ),
        case(
            "TE on HTTP/1.0",
            "POST /bad HTTP/1.0\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            &[400, 501],
        ),
        case(
            "TE hidden behind obs-fold",
            post("X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 5", smuggled),
            &[400],
        ),
    ]
}

fn heads() -> Vec<Case> {
    let get = |fields: &str| format!("GET /bad HTTP/1.1\r\nHost: b\r\n{fields}\r\n\r\n");
    vec![
        case("two Hosts", get("Host: c"), &[400]),
        case("two equal Hosts", get("Host: b"), &[400]),
        case("no Host on 1.1", "GET /bad HTTP/1.1\r\nX: y\r\n\r\n", &[400]),
        case("Host with a space", "GET /bad HTTP/1.1\r\nHost: a b\r\n\r\n", &[400]),
        case("Host with a path", "GET /bad HTTP/1.1\r\nHost: a/b\r\n\r\n", &[400]),
        case("Host with user", "GET /bad HTTP/1.1\r\nHost: u@b\r\n\r\n", &[400]),
        case("obs-fold", get("X: y\r\n z"), &[400]),
        case("fold before the first field", "GET /bad HTTP/1.1\r\n X: y\r\nHost: b\r\n\r\n", &[400]),
        case("NUL in a value", get("X: a\0b"), &[400]),
        case("BEL in a value", get("X: a\x07b"), &[400]),
        case("DEL in a value", get("X: a\x7fb"), &[400]),
        case("CR in a value", get("X: a\rb"), &[400]),
        case("space before the colon", get("X : y"), &[400]),
        case("tab before the colon", get("X\t: y"), &[400]),
        case("space in a name", get("X Y: z"), &[400]),
        case("empty name", get(": y"), &[400]),
        case("no colon", get("XY"), &[400]),
        case("NUL in a name", get("X\0: y"), &[400]),
        case("non-ASCII name", get("Xé: y"), &[400]),
        case("bare LF ends a field", "GET /bad HTTP/1.1\r\nHost: b\r\nX: y\nZ: w\r\n\r\n", &[400]),
        case("bare LF ends the head", "GET /bad HTTP/1.1\nHost: b\n\n", &[400]),
        case("bare CR ends a field", "GET /bad HTTP/1.1\r\nHost: b\rX: y\r\n\r\n", &[400]),
        case("oversized head", get(&format!("X: {}", "y".repeat(70_000))), &[400, 431]),
        case("oversized target", format!("GET /{} HTTP/1.1\r\nHost: b\r\n\r\n", "x".repeat(70_000)), &[400, 414, 431]),
        case(
            "very many fields",
            get(&(0..3000).map(|i| format!("X-{i}: y")).collect::<Vec<_>>().join("\r\n")),
            &[400, 431],
        ),
    ]
}

fn request_lines() -> Vec<Case> {
    let line = |line: &str| format!("{line}\r\nHost: b\r\n\r\n");
    vec![
        case("HTTP/3.1", line("GET /bad HTTP/3.1"), &[400, 505]),
        case("HTTP/2.0 in text", line("GET /bad HTTP/2.0"), &[400, 505]),
        case("HTTP/1.2", line("GET /bad HTTP/1.2"), &[400, 505]),
        case("HTTP/0.9", "GET /bad\r\n\r\n", &[400, 505]),
        case("http/1.1", line("GET /bad http/1.1"), &[400, 505]),
        case("HTTP/1.1 with more behind", line("GET /bad HTTP/1.1 x"), &[400]),
        case("two spaces", line("GET  /bad HTTP/1.1"), &[400]),
        case("tabs for spaces", line("GET\t/bad\tHTTP/1.1"), &[400]),
        case("leading space", line(" GET /bad HTTP/1.1"), &[400]),
        case("no target", line("GET HTTP/1.1"), &[400]),
        case("target with a space", line("GET /ba d HTTP/1.1"), &[400]),
        case("target with NUL", line("GET /ba\0d HTTP/1.1"), &[400]),
        case("target without slash", line("GET bad HTTP/1.1"), &[400]),
        case("target of another scheme", line("GET ftp://b/bad HTTP/1.1"), &[400]),
        case("asterisk but not OPTIONS", line("GET * HTTP/1.1"), &[400]),
        case("method with a colon", line("GE:T /bad HTTP/1.1"), &[400]),
        case("CONNECT", "CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n", &[400, 405, 501]),
        case("CONNECT with a path", line("CONNECT /bad HTTP/1.1"), &[400, 405, 501]),
        case("binary", vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, b'\r', b'\n', b'\r', b'\n'], &[400]),
    ]
}

/// Where the bad request stands on its connection.
#[derive(Clone, Copy, Debug)]
enum Place {
    First,
    AfterAnswer,
    Pipelined,
}

fn check(origin: &Origin, squall: &Squall, case: &Case, place: Place) -> Result<(), String> {
    let (name, bytes, statuses) = case;
    let before = origin.seen().len();
    let mut client = RawClient::connect(squall.to_b()).patience(Duration::from_secs(5));
    let good = match place {
        Place::First => {
            // The peer may have answered and closed before it took everything.
            let _ = client.try_send(bytes);
            0
        }
        Place::AfterAnswer => {
            assert_eq!(client.get("/good").status, 200);
            let _ = client.try_send(bytes);
            1
        }
        Place::Pipelined => {
            let _ = client.try_send([GOOD.as_bytes(), bytes].concat());
            let answer = client
                .try_answer("GET")
                .map_err(|e| format!("{name} ({place:?}): no answer to the good request: {e}"))?;
            if answer.status != 200 {
                return Err(format!("{name} ({place:?}): the good request before got {}", answer.status));
            }
            1
        }
    };
    let answer = client.try_answer("GET").map_err(|e| format!("{name} ({place:?}): no answer: {e} ({:?})", e.kind()));
    let (rest, end) = client.read_to_end();
    let seen = origin.seen();
    if seen.len() != before + good {
        return Err(format!("{name} ({place:?}): forwarded: {:?}", &seen[before..]));
    }
    let answer = answer?;
    if !statuses.contains(&answer.status) {
        return Err(format!("{name} ({place:?}): {} is none of {statuses:?}", answer.line));
    }
    if end == End::Silence || !rest.is_empty() {
        return Err(format!(
            "{name} ({place:?}): the connection goes on: {end:?}, {:?}",
            String::from_utf8_lossy(&rest)
        ));
    }
    Ok(())
}

fn check_all(cases: &[Case]) {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    let mut failures = Vec::new();
    for case in cases {
        for place in [Place::First, Place::AfterAnswer, Place::Pipelined] {
            failures.extend(check(&origin, &squall, case, place).err());
        }
    }
    assert_eq!(RawClient::connect(squall.to_b()).get("/after").status, 200, "still serving");
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len() * 3, failures.join("\n"));
}

#[test]
fn ambiguous_framing_is_refused() {
    check_all(&framing());
}

#[test]
fn malformed_heads_are_refused() {
    check_all(&heads());
}

#[test]
fn malformed_request_lines_are_refused() {
    check_all(&request_lines());
}

#[test]
fn refusals_name_squall_as_their_author() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    let request = "POST /bad HTTP/1.1\r\nHost: b\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let answer = RawClient::connect(squall.to_b()).send(request).answer();
    assert_eq!(answer.header("x-squall-error"), Some("downstream_ambiguous_length"), "{answer:?}");
}

#[test]
fn broken_chunks_never_become_a_whole_request() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    let mut failures = Vec::new();
    let bodies: &[&[u8]] = &[
        b"zz\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\rhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nbad trailer\r\n\r\n",
    ];
    for body in bodies {
        let before = origin.seen().len();
        let head = b"POST /bad HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut client = RawClient::connect(squall.to_b()).patience(Duration::from_secs(5));
        let _ = client.try_send([head.as_slice(), body].concat());
        let answer = client.try_answer("POST");
        let (_, end) = client.read_to_end();
        let shown = String::from_utf8_lossy(body).into_owned();
        if origin.seen().len() != before {
            failures.push(format!("{shown:?} arrived as {:?}", origin.seen()[before]));
        }
        if end == End::Silence || answer.as_ref().is_ok_and(|a| a.status < 400) {
            failures.push(format!("{shown:?}: {answer:?}, then {end:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn two_equal_content_lengths_are_one_or_refused() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    let request = "POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc";
    let answer = RawClient::connect(squall.to_b()).send(request).answer_to("POST");
    match answer.status {
        200 => assert_eq!(origin.seen()[0].header_all("content-length"), ["3"]),
        status => assert_eq!((status, origin.seen().len()), (400, 0)),
    }
}
