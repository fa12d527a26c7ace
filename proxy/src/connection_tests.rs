//! How much memory connections and exchanges take: what their futures hold from one wait to the next. What grows them on
//! purpose raises the bound, and says why it is worth it for each of ten thousand connections.

use http::Request;
use tokio::task::LocalSet;

use super::*;
use crate::http::exchange::exchange;
use crate::http::request::Incoming;
use crate::http::request_body::RequestBody;
use crate::net::for_tests::pair;

/// A connection that is open, without its peer.
async fn opened(protocol: Protocol) -> Opened {
    let text = "version: 1\nlisteners:\n  - { name: a, address: '127.0.0.1:0', protocol: auto, cluster: b }\n\
                clusters:\n  - { name: b, endpoints: ['127.0.0.1:9'] }\n";
    let worker = Worker::alone(std::sync::Arc::new(squall_config::load_text(text).unwrap().1));
    let listener = Rc::clone(&worker.view().listeners[0]);
    let (stream, _peer) = pair().await;
    let ends = Ends { source: stream.local_addr().unwrap(), destination: None };
    let (io, open) = (Io::new(stream), worker.open(&listener, worker.claim()));
    Opened { worker, listener, protocol, io, ends, server_name: None, destination: None, open }
}

fn assert_at_most<F>(bytes_max: usize, what: &str, future: &F) {
    let bytes = size_of_val(future);
    println!("{bytes} bytes for {what}");
    assert!(bytes <= bytes_max, "{bytes} bytes for {what}, more than {bytes_max}");
}

#[test]
fn connections_and_exchanges_are_small() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        assert_at_most(64, "a connection beside its protocol", &serve(Box::pin(std::future::pending())));
        let Opened { worker, listener, ends, .. } = opened(Protocol::Http1).await;
        let (stream, claim) = (pair().await.0, worker.claim());
        assert_at_most(896, "a connection that opens", &open(worker, listener, stream, ends.source, claim));
        assert_at_most(800, "a connection of HTTP/1", &serve_http1(opened(Protocol::Http1).await));
        assert_at_most(2_112, "a connection of HTTP/2", &serve_http2(opened(Protocol::Http2).await));
        assert_at_most(3_520, "a connection of bytes", &relay(opened(Protocol::Tcp).await));
        let (downstream, _io) = opened(Protocol::Http1).await.into_http1();
        let request = Incoming { head: Box::new(Request::new(()).into_parts().0), body: RequestBody::Empty };
        assert_at_most(2_048, "an exchange", &exchange(downstream, Ok(request)));
    });
}
