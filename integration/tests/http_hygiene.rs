//! Heads are rewritten as RFC 9110 and 9112 want it of a proxy: hop-by-hop fields, targets, Host, Expect, TE.

#![expect(clippy::unwrap_used, reason = "tests")]

use squall_integration::origin::{Origin, Seen};
use squall_integration::{RawClient, Settings, Squall};

struct Path {
    origin: Origin,
    squall: Squall,
}

impl Path {
    fn new(answer: &str) -> Self {
        let origin = Origin::answering(answer);
        let squall = Squall::start(&Settings::http(origin.address));
        Self { origin, squall }
    }

    fn ok() -> Self {
        Self::new("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    }

    /// What the origin sees of a request that must be answered 200.
    fn sees(&self, request: &str) -> Seen {
        let before = self.origin.seen().len();
        let method = request.split(' ').next().unwrap();
        let answer = RawClient::connect(self.squall.to_b()).send(request).answer_to(method);
        assert_eq!(answer.status, 200, "{request:?}: {}", answer.text());
        let seen = self.origin.seen();
        assert_eq!(seen.len(), before + 1, "one request in, one out");
        seen[before].clone()
    }
}

#[test]
fn hop_by_hop_fields_of_requests_stay_here() {
    let path = Path::ok();
    let seen = path.sees(
        "GET / HTTP/1.1\r\nHost: b\r\nConnection: x-first, keep-alive\r\nX-First: 1\r\nconnection: X-Second\r\n\
         X-Second: 2\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nX-Kept: 3\r\n\r\n",
    );
    for name in ["x-first", "x-second", "keep-alive", "proxy-connection"] {
        assert_eq!(seen.header(name), None, "{name} is not for the upstream: {seen:?}");
    }
    assert!(!seen.header_all("connection").iter().any(|v| v.to_lowercase().contains("x-")), "{seen:?}");
    assert_eq!(seen.header("x-kept"), Some("3"));
}

#[test]
fn nominating_framing_or_identity_does_not_remove_it() {
    let path = Path::ok();
    let seen = path.sees(
        "POST / HTTP/1.1\r\nHost: b\r\nConnection: host, content-length, authorization, x-forwarded-for, cookie\r\n\
         Authorization: Bearer t\r\nX-Forwarded-For: 192.0.2.1\r\nCookie: a=1\r\nContent-Length: 4\r\n\r\nbody",
    );
    assert_eq!(seen.header_all("host"), ["b"]);
    assert_eq!(seen.body, b"body");
    assert_eq!((seen.header("authorization"), seen.header("cookie")), (Some("Bearer t"), Some("a=1")), "{seen:?}");
    assert!(seen.header("x-forwarded-for").is_some_and(|v| v.contains("192.0.2.1")), "{seen:?}");
}

#[test]
fn hop_by_hop_fields_of_answers_stay_there() {
    let path = Path::new(
        "HTTP/1.1 200 OK\r\nConnection: x-first\r\nX-First: 1\r\nConnection: X-Second\r\nX-Second: 2\r\n\
         Keep-Alive: timeout=5\r\nX-Kept: 3\r\nContent-Length: 2\r\n\r\nok",
    );
    let mut client = RawClient::connect(path.squall.to_b());
    for _ in 0..2 {
        let answer = client.get("/");
        for name in ["x-first", "x-second", "keep-alive"] {
            assert_eq!(answer.header(name), None, "{name}: {answer:?}");
        }
        assert_eq!((answer.header("x-kept"), answer.text().as_str()), (Some("3"), "ok"));
    }
}

#[test]
fn connection_close_of_one_side_is_not_the_other_sides() {
    let path = Path::ok();
    for _ in 0..5 {
        let mut client = RawClient::connect(path.squall.to_b());
        let answer = client.send("GET / HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n").answer();
        assert_eq!(answer.status, 200);
        assert_eq!(client.read_to_end().1, squall_integration::End::Fin, "downstream asked for the end");
    }
    assert!(path.origin.accepted() <= 2, "{} upstream connections: one per worker is enough", path.origin.accepted());
    assert!(path.origin.seen().iter().all(|s| s.header("connection") != Some("close")));
}

#[test]
fn te_trailers_is_kept_and_the_rest_of_te_is_not() {
    let path = Path::ok();
    let te = |value: &str| path.sees(&format!("GET / HTTP/1.1\r\nHost: b\r\nConnection: te\r\nTE: {value}\r\n\r\n"));
    assert_eq!(te("trailers").header("te"), Some("trailers"));
    assert!(!te("gzip, trailers;q=0.5").header_all("te").join(",").contains("gzip"));
    assert_eq!(te("gzip").header("te"), None);
}

#[test]
fn absolute_form_becomes_origin_form_and_its_authority_the_host() {
    let path = Path::ok();
    let seen = path.sees("GET http://service-b:8080/a?b=c HTTP/1.1\r\nHost: other\r\n\r\n");
    assert_eq!(seen.line, "GET /a?b=c HTTP/1.1");
    assert_eq!(seen.header_all("host"), ["service-b:8080"], "RFC 9112, 3.2.2");
    let seen = path.sees("GET http://service-b HTTP/1.1\r\nHost: service-b\r\n\r\n");
    assert_eq!(seen.line, "GET / HTTP/1.1");
}

#[test]
fn options_asterisk_stays_an_asterisk() {
    let path = Path::ok();
    assert_eq!(path.sees("OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n").line, "OPTIONS * HTTP/1.1");
    assert_eq!(path.sees("OPTIONS /x HTTP/1.1\r\nHost: b\r\n\r\n").line, "OPTIONS /x HTTP/1.1");
}

#[test]
fn targets_pass_byte_for_byte() {
    let path = Path::ok();
    for target in ["/%2e%2e/%2F", "/a//b/./c/../d", "/?", "/a?b=%00&c=|", "/;p=1", "/~*'()!$&,=:@"] {
        assert_eq!(
            path.sees(&format!("GET {target} HTTP/1.1\r\nHost: b\r\n\r\n")).line,
            format!("GET {target} HTTP/1.1")
        );
    }
}

#[test]
fn trace_context_passes_byte_for_byte() {
    let path = Path::ok();
    let (parent, state) =
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "rojo=00f067aa0ba902b7,  congo=t61");
    let seen = path.sees(&format!(
        "GET / HTTP/1.1\r\nHost: b\r\ntraceparent: {parent}\r\ntracestate: {state}\r\nbaggage: a=1;p, b=2\r\n\r\n"
    ));
    assert_eq!(seen.header_all("traceparent"), [parent]);
    assert_eq!(seen.header_all("tracestate"), [state]);
    assert_eq!(seen.header_all("baggage"), ["a=1;p, b=2"]);
    assert!(path.sees("GET / HTTP/1.1\r\nHost: b\r\n\r\n").header("tracestate").is_none(), "none is invented");
}

#[test]
fn expect_continue_is_answered_here() {
    let path = Path::ok();
    let mut client = RawClient::connect(path.squall.to_b());
    client.send("PUT / HTTP/1.1\r\nHost: b\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.read_exact(25), b"HTTP/1.1 100 Continue\r\n\r\n");
    let answer = client.send("hello").answer_to("PUT");
    assert_eq!(answer.status, 200);
    let seen = &path.origin.seen()[0];
    assert_eq!((seen.body.as_slice(), seen.header("expect")), (b"hello".as_slice(), None));
}

#[test]
fn chunked_requests_arrive_whole() {
    let path = Path::ok();
    let seen = path.sees(
        "POST / HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n\r\n",
    );
    assert_eq!(seen.body, b"hello world");
    assert_eq!((seen.header("transfer-encoding"), seen.header("content-length")), (Some("chunked"), None));
}

#[test]
fn http_1_0_is_served_and_closed() {
    let path = Path::ok();
    let mut client = RawClient::connect(path.squall.to_b());
    let answer = client.send("GET / HTTP/1.0\r\nHost: b\r\n\r\n").answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    assert_eq!(client.read_to_end().1, squall_integration::End::Fin);
    assert_eq!(path.origin.seen()[0].line, "GET / HTTP/1.1");
}

#[test]
fn answers_of_unknown_length_to_http_1_0_end_with_the_connection() {
    let path = Path::new("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let (bytes, end, _) = squall_integration::raw::exchange(path.squall.to_b(), "GET / HTTP/1.0\r\nHost: b\r\n\r\n");
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.ends_with("\r\n\r\nhello") && !text.to_lowercase().contains("transfer-encoding"), "{text}");
    assert_eq!(end, squall_integration::End::Fin);
}

#[test]
fn bodies_that_end_with_the_connection_are_framed() {
    let origin = Origin::answering_once("HTTP/1.1 200 OK\r\n\r\nuntil the end");
    let squall = Squall::start(&Settings::http(origin.address));
    let mut client = RawClient::connect(squall.to_b());
    for _ in 0..3 {
        let answer = client.get("/");
        assert_eq!((answer.text().as_str(), answer.header("transfer-encoding")), ("until the end", Some("chunked")));
    }
}

#[test]
fn interim_answers_do_not_confuse() {
    let path =
        Path::new("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let mut client = RawClient::connect(path.squall.to_b());
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "ok");
    }
}

#[test]
fn dates_and_servers_are_the_upstreams() {
    let path = Path::new(
        "HTTP/1.1 200 OK\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\nServer: b/1\r\nContent-Length: 2\r\n\r\nok",
    );
    let answer = RawClient::connect(path.squall.to_b()).get("/");
    assert_eq!(answer.header_all("date"), ["Tue, 15 Nov 1994 08:12:31 GMT"]);
    assert_eq!(answer.header_all("server"), ["b/1"]);
}
