#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

fn refusal_of(bytes: &[u8]) -> Option<Refusal> {
    let mut gate = Gate::new(8192);
    let admitted = gate.admit(bytes);
    let text = String::from_utf8_lossy(&admitted.bytes).into_owned();
    let label = text.strip_prefix("SQUALL-REFUSED /")?.split(' ').next()?;
    Refusal::from_label(label)
}

fn is_admitted(bytes: &[u8]) -> bool {
    Gate::new(8192).admit(bytes).bytes == bytes
}

#[test]
fn ordinary_requests_pass() {
    for request in [
        &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"POST /x?y=1 HTTP/1.1\r\nhost: a:80\r\ncontent-length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: [::1]:80\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\nA;x=y\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    ] {
        assert!(is_admitted(request), "{:?}", String::from_utf8_lossy(request));
    }
}

#[test]
fn doubtful_requests_are_refused() {
    use Refusal::*;
    for (request, expected) in [
        (
            &b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
            AmbiguousLength,
        ),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", AmbiguousLength),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", InvalidContentLength),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n", InvalidContentLength),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n", InvalidContentLength),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\n", InvalidContentLength),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n", InvalidContentLength),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", InvalidContentLength),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", UnsupportedTransferEncoding),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", UnsupportedTransferEncoding),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", UnsupportedTransferEncoding),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tchunked\r\n\r\n", UnsupportedTransferEncoding),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\t\r\n\r\n", UnsupportedTransferEncoding),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            InvalidTransferEncoding,
        ),
        (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", InvalidTransferEncoding),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", InvalidHost),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", InvalidHost),
        (b"GET / HTTP/1.1\r\n\r\n", InvalidHost),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", InvalidHost),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", InvalidHost),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", FoldedHeader),
        (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", FoldedHeader),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", InvalidHeaderValue),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n", InvalidHeaderValue),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", BareLineEnding),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", InvalidHeaderName),
        (b"GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n", InvalidHeaderName),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", MalformedRequest),
        (b"GET / HTTP/1.1\nHost: a\n\n", BareLineEnding),
        (b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", BareLineEnding),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", MalformedRequest),
        (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", MalformedRequest),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", MalformedRequest),
        (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", MalformedRequest),
        (b"GET /\r\n\r\n", MalformedRequest),
        (b"G\xffT / HTTP/1.1\r\nHost: a\r\n\r\n", MalformedRequest),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", UnsupportedMethod),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", MalformedBody),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", MalformedBody),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\nX\r\n0\r\n\r\n", MalformedBody),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nXY\r\n0\r\n\r\n", MalformedBody),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", MalformedBody),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a\rb\r\nX\r\n0\r\n\r\n", MalformedBody),
    ] {
        assert_eq!(refusal_of(request), Some(expected), "{:?}", String::from_utf8_lossy(request));
    }
}

#[test]
fn heads_have_a_size_limit() {
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(9000));
    assert_eq!(refusal_of(long.as_bytes()), Some(Refusal::HeadTooLarge));
    assert_eq!(refusal_of(&long.as_bytes()[..8500]), Some(Refusal::HeadTooLarge));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(100));
    assert_eq!(refusal_of(many.as_bytes()), Some(Refusal::HeadTooLarge));
}

#[test]
fn a_refused_request_leaves_those_before_it_alone() {
    let good = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut gate = Gate::new(8192);
    let mut bytes = good.to_vec();
    bytes.extend_from_slice(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    let admitted = gate.admit(&bytes);
    assert!(admitted.bytes.starts_with(good));
    assert!(admitted.bytes[good.len()..].starts_with(b"SQUALL-REFUSED /invalid_host "));
    assert!(gate.is_closed());
    assert!(gate.admit(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").bytes.is_empty());
}

#[test]
fn a_body_that_breaks_late_is_told_apart() {
    let mut gate = Gate::new(8192);
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    assert_eq!(&*gate.admit(head).bytes, head);
    assert!(gate.admit(b"zz\r\n").is_body_broken);
}

#[test]
fn an_upgrade_waits_for_its_answer() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut bytes = head.to_vec();
    bytes.extend_from_slice(b"\x81\x00");
    let mut gate = Gate::new(8192);
    assert_eq!(&*gate.admit(&bytes).bytes, head);
    assert!(gate.is_undecided());
    assert_eq!(gate.decide(true), b"\x81\x00");
    assert_eq!(&*gate.admit(b"\xff\n").bytes, b"\xff\n");

    let mut refused = Gate::new(8192);
    refused.admit(head);
    assert!(refused.decide(false).is_empty());
    assert!(refused.admit(b"GET / HTTP/1.1\nHost: a\n\n").bytes.starts_with(b"SQUALL-REFUSED"));
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces(bytes in proptest::collection::vec(any::<u8>(), 0..600), cut in 0usize..600) {
        let mut gate = Gate::new(256);
        let cut = cut.min(bytes.len());
        gate.admit(&bytes[..cut]);
        gate.admit(&bytes[cut..]);
    }

    #[test]
    fn pieces_do_not_matter(sizes in proptest::collection::vec(1usize..40, 1..40)) {
        let stream = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;q\r\nhello\r\n0\r\nT: x\r\n\r\n\
            POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbodyGET /c HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut gate = Gate::new(8192);
        let (mut out, mut at) = (Vec::new(), 0);
        for size in sizes.iter().cycle().take(4000) {
            let end = (at + size).min(stream.len());
            out.extend_from_slice(&gate.admit(&stream[at..end]).bytes);
            at = end;
        }
        prop_assert_eq!(&out[..], &stream[..]);
    }
}
