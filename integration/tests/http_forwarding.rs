//! What goes through unharmed when no fault is asked for, on every pair of HTTP versions.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt, Channel};
use squall_integration::client::{self, Body, Client, empty, full, get, request};
use squall_integration::echo::{Echo, header_all, trailer_all};
use squall_integration::{Settings, Squall};

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Version {
    H1,
    H2,
}

const PAIRS: [(Version, Version); 4] =
    [(Version::H1, Version::H1), (Version::H2, Version::H1), (Version::H1, Version::H2), (Version::H2, Version::H2)];

/// Runs a test for each pair of downstream and upstream versions.
async fn each_pair<F: AsyncFn(&mut Client, &Echo, (Version, Version))>(test: F) {
    for pair in PAIRS {
        eprintln!("downstream {:?}, upstream {:?}", pair.0, pair.1);
        let (echo, settings) = match pair.1 {
            Version::H1 => (Echo::http1(), Settings::http as fn(_) -> _),
            Version::H2 => (Echo::http2(), Settings::http2 as fn(_) -> _),
        };
        let squall = Squall::start(&settings(echo.address));
        let address = squall.to_b();
        let mut client = match pair.0 {
            Version::H1 => Client::http1(address).await,
            Version::H2 => Client::http2(address).await,
        };
        test(&mut client, &echo, pair).await;
    }
}

#[test]
fn method_target_headers_and_body_arrive() {
    client::run(
        PATIENCE,
        each_pair(async |client, _, (_, upstream)| {
            let mut call = request("POST", "/echo/a%20b?q=1&q=%2F", full("hello"));
            call.headers_mut().insert("x-one", HeaderValue::from_static("1"));
            call.headers_mut().append("x-two", HeaderValue::from_static("a"));
            call.headers_mut().append("x-two", HeaderValue::from_static("b"));
            let answer = client.must(call).await;
            assert_eq!(answer.status, 200);
            assert!(answer.headers.get("x-squall-fault").is_none() && answer.headers.get("x-squall-error").is_none());
            let report = answer.json();
            assert_eq!(report["method"], "POST");
            assert!(report["target"].as_str().unwrap().ends_with("/echo/a%20b?q=1&q=%2F"), "{report}");
            assert_eq!(report["version"], if upstream == Version::H1 { "HTTP/1.1" } else { "HTTP/2.0" });
            assert_eq!(report["body"], "hello");
            assert_eq!(header_all(&report, "x-one"), ["1"]);
            assert_eq!(header_all(&report, "x-two"), ["a", "b"]);
            let hosts = header_all(&report, "host").len();
            match upstream {
                Version::H1 => assert_eq!(header_all(&report, "host"), ["b"]),
                Version::H2 => assert!(hosts <= 1 && report["target"].as_str().unwrap().contains("//b/"), "{report}"),
            }
        }),
    );
}

#[test]
fn repeated_set_cookie_stays_repeated() {
    client::run(
        PATIENCE,
        each_pair(async |client, _, _| {
            let answer = client.must(get("/cookies")).await;
            let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().map(|v| v.to_str().unwrap()).collect();
            assert_eq!(cookies, ["a=1", "b=2; Path=/", "c=3"]);
        }),
    );
}

#[test]
fn answers_without_body_have_none() {
    client::run(
        PATIENCE,
        each_pair(async |client, _, _| {
            let head = client.must(request("HEAD", "/sized/1234", empty())).await;
            assert_eq!((head.status.as_u16(), head.body.len(), head.header("content-length")), (200, 0, Some("1234")));
            for status in [204, 304, 200, 404, 503] {
                let answer = client.must(get(&format!("/status/{status}"))).await;
                assert_eq!((answer.status.as_u16(), answer.body.len()), (status, 0));
            }
            assert_eq!(client.must(get("/echo")).await.status, 200, "the connection is still good");
        }),
    );
}

#[test]
fn a_get_may_have_a_body() {
    client::run(
        PATIENCE,
        each_pair(async |client, _, (downstream, _)| {
            let (mut sender, body) = Channel::<Bytes>::new(2);
            let mut call = request("GET", "/echo", body.boxed());
            if downstream == Version::H1 {
                // The client sends no body with a GET unless the head says so.
                call.headers_mut().insert("transfer-encoding", HeaderValue::from_static("chunked"));
            }
            let answer = client.must(call);
            let feed = async move {
                sender.send_data(Bytes::from_static(b"of unknown length")).await.unwrap();
                drop(sender);
            };
            let (answer, ()) = tokio::join!(answer, feed);
            assert_eq!(answer.json()["body"], "of unknown length");
            let answer = client.must(request("DELETE", "/echo", full("gone"))).await;
            assert_eq!(answer.json()["body"], "gone");
        }),
    );
}

#[test]
fn bodies_stream_both_ways_at_once() {
    client::run(
        PATIENCE,
        each_pair(async |client, _, _| {
            let (mut sender, body) = Channel::<Bytes>::new(1);
            let head = client.head(request("POST", "/mirror", body.boxed()));
            let first = sender.send_data(Bytes::from_static(b"ping 0"));
            let (head, first) = tokio::join!(tokio::time::timeout(Duration::from_secs(10), head), first);
            first.unwrap();
            let mut answer = head.expect("the head comes before the request ends").unwrap().into_body();
            for i in 1..20 {
                let came = next_data(&mut answer).await;
                assert_eq!(came, format!("ping {}", i - 1), "each piece comes back before the next is sent");
                sender.send_data(Bytes::from(format!("ping {i}"))).await.unwrap();
            }
            drop(sender);
            assert_eq!(next_data(&mut answer).await, "ping 19");
            // The end may come as a frame of its own, without data.
            while let Some(frame) = answer.frame().await {
                assert!(
                    frame.unwrap().into_data().map_or(true, |data| data.is_empty()),
                    "nothing comes after the last"
                );
            }
        }),
    );
}

async fn next_data(body: &mut hyper::body::Incoming) -> String {
    let frame = tokio::time::timeout(Duration::from_secs(10), body.frame()).await.expect("a frame within 10 s");
    String::from_utf8(frame.expect("a frame").unwrap().into_data().expect("data").to_vec()).unwrap()
}

#[test]
fn fifty_megabytes_go_both_ways() {
    const BYTES: usize = 50_000_000;
    client::run(
        Duration::from_secs(120),
        each_pair(async |client, _, _| {
            let down = client.must(get(&format!("/bytes/{BYTES}"))).await;
            assert_eq!(down.body.len(), BYTES);
            assert!(down.body.iter().enumerate().all(|(i, b)| *b == i.to_le_bytes()[0]), "every byte in its place");
            drop(down);
            let sized = client.must(get(&format!("/sized/{BYTES}"))).await;
            assert_eq!((sized.body.len(), sized.header("content-length")), (BYTES, Some("50000000")));
            drop(sized);
            let up = client.must(request("POST", "/echo", chunks(BYTES))).await;
            assert_eq!(up.json()["body_length"], BYTES);
        }),
    );
}

fn chunks(count: usize) -> Body {
    let (mut sender, body) = Channel::<Bytes>::new(2);
    tokio::spawn(async move {
        let block = Bytes::from(vec![7; 50_000]);
        for _ in 0..count / block.len() {
            if sender.send_data(block.clone()).await.is_err() {
                return;
            }
        }
    });
    body.boxed()
}

#[test]
fn trailers_of_answers_arrive() {
    client::run(
        PATIENCE,
        each_pair(async |client, _, _| {
            let mut call = request("POST", "/trailers", full("grpc"));
            call.headers_mut().insert("te", HeaderValue::from_static("trailers"));
            call.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
            let answer = client.must(call).await;
            assert_eq!(answer.body, "hello");
            let trailers = answer.trailers.expect("trailers");
            assert_eq!(trailers.get("grpc-status").unwrap(), "0");
            let many: Vec<_> = trailers.get_all("x-many").iter().map(|v| v.to_str().unwrap().to_owned()).collect();
            assert_eq!(many.join(","), "one,two");
        }),
    );
}

#[test]
fn trailers_of_requests_arrive() {
    client::run(
        PATIENCE,
        each_pair(async |client, _, _| {
            let (mut sender, body) = Channel::<Bytes>::new(2);
            let mut call = request("POST", "/echo", body.boxed());
            call.headers_mut().insert("trailer", HeaderValue::from_static("x-checksum"));
            call.headers_mut().insert("te", HeaderValue::from_static("trailers"));
            let feed = async move {
                let mut trailers = HeaderMap::new();
                trailers.insert("x-checksum", HeaderValue::from_static("abc"));
                sender.send_data(Bytes::from_static(b"with trailers")).await.unwrap();
                sender.send_trailers(trailers).await.unwrap();
            };
            let (answer, ()) = tokio::join!(client.must(call), feed);
            let report = answer.json();
            assert_eq!(report["body"], "with trailers");
            assert_eq!(trailer_all(&report, "x-checksum"), ["abc"], "{report}");
        }),
    );
}

#[test]
fn upstream_connections_are_reused() {
    client::run(
        PATIENCE,
        each_pair(async |client, echo, _| {
            for _ in 0..200 {
                assert_eq!(client.must(get("/echo")).await.status, 200);
            }
            assert_eq!(echo.requests(), 200);
            assert!(echo.connections() <= 2, "{} upstream connections for one downstream", echo.connections());
        }),
    );
}

#[test]
fn many_streams_share_one_connection() {
    let echo = Echo::http2();
    let squall = Squall::start(&Settings::http2(echo.address));
    let address = squall.to_b();
    client::run(PATIENCE, async {
        let client = Client::http2(address).await;
        let mut tasks = Vec::new();
        for i in 0..100 {
            let mut stream = client.stream();
            tasks.push(tokio::spawn(async move { (i, stream.must(get(&format!("/echo/{i}"))).await) }));
        }
        for task in tasks {
            let (i, answer) = task.await.unwrap();
            assert!(answer.json()["target"].as_str().unwrap().ends_with(&format!("/echo/{i}")));
        }
    });
}

#[test]
fn a_slow_reader_does_not_stall_its_neighbours() {
    let echo = Echo::http2();
    let squall = Squall::start(&Settings::http2(echo.address));
    let address = squall.to_b();
    client::run(PATIENCE, async {
        let client = Client::http2(address).await;
        // 20 MB that nobody reads fill every window of their stream; others must pass.
        let unread = client.stream().head(get("/bytes/20000000")).await.unwrap();
        for _ in 0..20 {
            assert_eq!(client.stream().must(get("/sized/100000")).await.body.len(), 100_000);
        }
        assert_eq!(unread.into_body().collect().await.unwrap().to_bytes().len(), 20_000_000);
    });
}

#[test]
fn endpoints_take_turns() {
    let (one, two) = (Echo::http1(), Echo::http1());
    let settings =
        Settings::new().listener("to-b", "http", "pair").cluster("pair", "http1", &[one.address, two.address]);
    let squall = Squall::start_with(&settings, &["--workers", "1"]);
    let address = squall.to_b();
    client::run(PATIENCE, async {
        let mut client = Client::http1(address).await;
        for _ in 0..40 {
            client.must(get("/echo")).await;
        }
    });
    assert_eq!((one.requests(), two.requests()), (20, 20));
}
