//! Connections for tests.
#![expect(clippy::disallowed_methods, reason = "one end is somebody else's")]

use tokio::net::{TcpListener, TcpStream};

/// The two ends of a connection: the one that connected, the one that was accepted.
pub(crate) async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}
