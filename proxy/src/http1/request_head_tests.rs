use proptest::prelude::*;

use super::*;

fn head(bytes: &[u8]) -> Result<Option<RequestHead>, Refusal> {
    take(&mut Input::of(bytes), &mut 0, 8192)
}

fn refusal_of(bytes: &[u8]) -> Option<Refusal> {
    head(bytes).err()
}

fn is_admitted(bytes: &[u8]) -> bool {
    head(bytes).unwrap().is_some()
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
fn a_head_is_taken_apart() {
    let mut input = Input::of(
        b"\r\nPOST /a%20b?c=d HTTP/1.1\r\nHost: b\r\nX-Two: 1\r\nx-two:  2 \r\nContent-Length: 4\r\n\r\nbody and more",
    );
    let taken = take(&mut input, &mut 0, 8192).unwrap().unwrap();
    let parts = taken.parts;
    assert_eq!((parts.method, parts.version), (Method::POST, Version::HTTP_11));
    assert_eq!((parts.uri.path(), parts.uri.query()), ("/a%20b", Some("c=d")));
    assert_eq!(parts.headers.get_all("x-two").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert!(matches!(taken.body, Decoder::Length(4)));
    assert_eq!(input.bytes(), "body and more");
}

#[test]
fn what_the_client_wants_of_the_connection() {
    let terms = |version: &str, fields: &str| {
        head(format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n").as_bytes()).unwrap().unwrap().terms
    };
    assert!(terms("1.1", "").keeps_alive && terms("1.0", "Connection: Keep-Alive\r\n").keeps_alive);
    assert!(!terms("1.1", "Connection: x, Close\r\n").keeps_alive && !terms("1.0", "").keeps_alive);
    let waiting = "Expect: 100-Continue\r\nContent-Length: 1\r\n";
    assert!(terms("1.1", waiting).expects_continue && !terms("1.0", waiting).expects_continue);
    assert!(!terms("1.1", "Expect: 100-continue\r\n").expects_continue, "there is no body to wait for");
    assert!(terms("1.1", "TE: gzip, Trailers\r\n").wants_trailers);
}

#[test]
fn requests_are_taken_one_by_one_and_a_bad_one_is_refused_in_its_turn() {
    let mut input = Input::of(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    assert!(take(&mut input, &mut 0, 8192).unwrap().is_some());
    assert_eq!(take(&mut input, &mut 0, 8192).err(), Some(Refusal::InvalidHost));
}

proptest! {
    #[test]
    fn any_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = take(&mut Input::of(&bytes), &mut 0, 256);
        let _ = take(&mut Input::of(&[b"GET / HTTP/1.1\r\nHost: a\r\n", &bytes[..]].concat()), &mut 0, 8192);
    }

    #[test]
    fn pieces_do_not_matter(cut in 0usize..60) {
        let bytes = b"GET /a HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n";
        let (mut searched, cut) = (0, cut.min(bytes.len() - 1));
        prop_assert!(take(&mut Input::of(&bytes[..cut]), &mut searched, 8192).unwrap().is_none());
        prop_assert_eq!(searched, cut);
        prop_assert!(take(&mut Input::of(bytes), &mut searched, 8192).unwrap().is_some());
    }
}
