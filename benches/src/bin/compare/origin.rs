//! The upstream of all proxies: four ports, printed as one line.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What HTTP answers.
pub(crate) const BODY: [u8; 256] = [b'b'; 256];

/// What the source sends.
pub(crate) const SOURCE_BYTE: u8 = b's';

/// The ports of an origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) http1: SocketAddr,
    pub(crate) http2: SocketAddr,
    /// Sends back what it gets.
    pub(crate) echo: SocketAddr,
    /// Sends as much as is taken.
    pub(crate) source: SocketAddr,
}

impl Origin {
    /// Reads the line that [`serve`] prints.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut addresses = line.split(' ').map(|word| word.parse().ok());
        let mut next = || addresses.next().flatten();
        Some(Self { http1: next()?, http2: next()?, echo: next()?, source: next()? })
    }
}

/// Serves until it is killed.
#[expect(clippy::print_stdout, reason = "the line is for the process that started this one")]
pub(crate) fn serve() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let http1 = listen(|stream| Box::pin(http1(stream))).await?;
        let http2 = listen(|stream| Box::pin(http2(stream))).await?;
        let echo = listen(|stream| Box::pin(echo(stream))).await?;
        let source = listen(|stream| Box::pin(source(stream))).await?;
        println!("{http1} {http2} {echo} {source}");
        std::future::pending().await
    })
}

type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

async fn listen(serve: fn(TcpStream) -> Serving) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(serve(stream));
        }
    });
    Ok(address)
}

async fn answer(_request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(&BODY))))
}

// How a connection ends is the load's business.
async fn http1(stream: TcpStream) {
    let service = service_fn(answer);
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn http2(stream: TcpStream) {
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder.max_concurrent_streams(1000);
    let _ = builder.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
}

async fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}

async fn source(mut stream: TcpStream) {
    let chunk = vec![SOURCE_BYTE; 256 * 1024];
    while stream.write_all(&chunk).await.is_ok() {}
}
