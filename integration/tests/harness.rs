//! The harness sees what it claims to see, with no Squall between: otherwise the other tests prove nothing.

use std::time::Duration;

use squall_integration::client::{self, Client, full, get, request};
use squall_integration::echo::{Echo, header_all, trailer_all};
use squall_integration::exposition::Exposition;
use squall_integration::origin::{Origin, black_hole, refusing};
use squall_integration::{End, RawClient, Settings};

#[test]
fn fin_rst_and_silence_are_told_apart() {
    let origin = Origin::start(|mut peer| match peer.read(1)[..] {
        [b'f'] => peer.send("bye"),
        [b'r'] => peer.reset(),
        _ => {
            peer.read_to_end();
        }
    });
    let end = |word: &str| {
        let mut client = RawClient::connect(origin.address).patience(Duration::from_millis(300));
        client.send(word).read_to_end()
    };
    assert_eq!(end("f"), (b"bye".to_vec(), End::Fin));
    assert_eq!(end("r"), (vec![], End::Reset));
    assert_eq!(end("s"), (vec![], End::Silence));
    let (told, heard) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let origin = Origin::start(move |mut peer| told.lock().unwrap().send(peer.read_to_end()).unwrap());
    RawClient::connect(origin.address).reset();
    assert_eq!(heard.recv_timeout(Duration::from_secs(5)).unwrap().1, End::Reset);
    drop(RawClient::connect(origin.address));
    assert_eq!(heard.recv_timeout(Duration::from_secs(5)).unwrap().1, End::Fin);
}

#[test]
fn bytes_before_a_reset_are_seen() {
    let origin = Origin::start(|mut peer| {
        peer.read(1);
        peer.send(vec![b'x'; 50_000]);
        squall_integration::wait::pause(Duration::from_millis(50));
        peer.reset();
    });
    let (bytes, end) = RawClient::connect(origin.address).send("x").read_to_end();
    assert_eq!((bytes.len(), end), (50_000, End::Reset));
}

#[test]
fn answers_are_read_as_they_are_framed() {
    let origin = Origin::start(|mut peer| {
        peer.request();
        peer.send("HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nSet-Cookie: a\r\nset-cookie: b\r\n");
        peer.send("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-T: 1\r\n\r\n");
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort");
    });
    let mut client = RawClient::connect(origin.address);
    let answer = client.get("/");
    assert_eq!((answer.text().as_str(), answer.trailer("x-t"), answer.complete), ("abcde", Some("1"), true));
    assert_eq!(answer.header_all("set-cookie"), ["a", "b"]);
    let answer = client.get("/");
    assert_eq!((answer.text().as_str(), answer.complete), ("short", false));
}

#[test]
fn origins_note_whole_requests_alone() {
    let origin = Origin::ok();
    let mut client = RawClient::connect(origin.address);
    assert_eq!(client.send("POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc").answer().status, 200);
    assert_eq!(
        client.send("POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n").answer().status,
        200
    );
    client.send("POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").half_close();
    client.read_to_end();
    client = RawClient::connect(origin.address);
    client.send("POST /d HTTP/1.1\r\nContent-Length: 30\r\n\r\nabc").half_close();
    client.read_to_end();
    let lines: Vec<String> = origin.seen().into_iter().map(|s| s.line).collect();
    assert_eq!(lines, ["POST /a HTTP/1.1", "POST /b HTTP/1.1"]);
}

#[test]
fn addresses_refuse_and_swallow() {
    assert!(std::net::TcpStream::connect_timeout(&refusing(), Duration::from_secs(2)).is_err());
    let (address, _held) = black_hole();
    let error = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(300)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}

#[test]
fn echoes_report_on_both_versions() {
    for (is_http2, echo) in [(false, Echo::http1()), (true, Echo::http2())] {
        client::run(Duration::from_secs(20), async {
            let mut client =
                if is_http2 { Client::http2(echo.address).await } else { Client::http1(echo.address).await };
            let mut call = request("POST", "/echo?x", full("body"));
            call.headers_mut().append("x-two", "a".parse().unwrap());
            call.headers_mut().append("x-two", "b".parse().unwrap());
            let report = client.must(call).await.json();
            assert_eq!(
                (report["body"].as_str(), header_all(&report, "x-two")),
                (Some("body"), vec!["a".into(), "b".into()])
            );
            assert!(trailer_all(&report, "none").is_empty());
            let mut call = request("POST", "/trailers", full("x"));
            call.headers_mut().insert("te", "trailers".parse().unwrap());
            let trailers = client.must(call).await.trailers.unwrap();
            assert_eq!(
                (trailers["grpc-status"].to_str().unwrap(), trailers.get_all("x-many").iter().count()),
                ("0", 2)
            );
            assert_eq!(client.must(get("/bytes/200000")).await.body.len(), 200_000);
            assert_eq!(client.must(get("/sized/200000")).await.header("content-length"), Some("200000"));
            assert_eq!(client.must(request("POST", "/mirror", full("again"))).await.body, "again");
        });
    }
}

#[test]
fn expositions_are_numbers() {
    let text = "# HELP a_total What.\n# TYPE a_total counter\na_total{x=\"1\",y=\"b,c\"} 3\na_total{x=\"2\",y=\"\"} 4\nb 1.5e3\nc_bucket{le=\"+Inf\"} 2\n";
    let all = Exposition::parse(text);
    assert_eq!(all.sum("a_total", &[]), 7.0);
    assert_eq!(all.sum("a_total", &[("x", "1"), ("y", "b,c")]), 3.0);
    assert_eq!((all.sum("b", &[]), all.sum("c_bucket", &[("le", "+Inf")])), (1500.0, 2.0));
    assert_eq!((all.kinds["a_total"].as_str(), all.help["a_total"].as_str()), ("counter", "What."));
}

#[test]
fn settings_read_like_a_file() {
    let text = Settings::http("127.0.0.1:9".parse().unwrap())
        .listener_with("to-a", "tcp", "service-b", "direction: inbound\nidle_timeout: 1s")
        .with("seed: 7")
        .text();
    let expected = "version: 1\ncontrol: { address: \"127.0.0.1:0\" }\nlisteners:\n  - name: to-b\n    address: 127.0.0.1:0\n    protocol: http\n    cluster: service-b\n    direction: outbound\n  - name: to-a\n    address: 127.0.0.1:0\n    protocol: tcp\n    cluster: service-b\n    direction: inbound\n    idle_timeout: 1s\nclusters:\n  - name: service-b\n    protocol: http1\n    endpoints: [\"127.0.0.1:9\"]\nseed: 7\n";
    assert_eq!(text, expected);
}
