//! After a protocol switch: bytes both ways (RFC 9110 §7.8).

use std::cell::RefCell;
use std::rc::Rc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::input::Input;
use super::socket::Socket;

/// The upstream end, with what it sent behind its 101.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pub(crate) io: Rc<RefCell<TcpStream>>,
    pub(crate) input: Input,
}

impl Tunnel {
    /// Relays until both sides have ended.
    pub(crate) async fn relay(self, socket: Rc<Socket>) -> std::io::Result<()> {
        // The exchange is over: nobody else has a part of either connection.
        let (Some(socket), Some(upstream)) = (Rc::into_inner(socket), Rc::into_inner(self.io)) else {
            debug_assert!(false, "a tunnel whose exchange is not over");
            return Ok(());
        };
        let (mut downstream, mut upstream) = (socket.io.into_inner(), upstream.into_inner());
        downstream.write_all(self.input.bytes()).await?;
        upstream.write_all(socket.input.into_inner().bytes()).await?;
        tokio::io::copy_bidirectional(&mut downstream, &mut upstream).await?;
        Ok(())
    }
}
