//! Asks what guards ask over HTTP: each time on a new connection, so that a server that accepts none any more is noticed.

use std::path::Path;
use std::sync::OnceLock;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustls::RootCertStore;
use squall_control::{Web, WebAnswer, WebFuture, WebRequest};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::trust;

/// Look-ups of names that hang take no thread of anybody else.
const LOOKUPS_MAX: usize = 8;

/// Asks, on a thread of its own that begins with the first question.
#[derive(Debug, Default)]
pub(super) struct Asking(OnceLock<Result<Handle, String>>);

impl Web for Asking {
    fn get(&self, request: WebRequest) -> WebFuture {
        let handle = self.0.get_or_init(|| start().map_err(|error| format!("no thread to ask on: {error}")));
        let handle = match handle {
            Ok(handle) => handle.clone(),
            Err(error) => return Box::pin(std::future::ready(Err(error.clone()))),
        };
        let (mut tell, told) = oneshot::channel();
        handle.spawn(async move {
            let answer = tokio::select! {
                answer = ask(request) => answer,
                () = tell.closed() => return,
            };
            // Nobody may want it any more.
            let _ = tell.send(answer);
        });
        Box::pin(async move { told.await.unwrap_or_else(|_| Err("the question was lost".to_owned())) })
    }
}

fn start() -> std::io::Result<Handle> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(LOOKUPS_MAX).build()?;
    let handle = runtime.handle().clone();
    let serve = move || runtime.block_on(std::future::pending::<()>());
    std::thread::Builder::new().name("guards".to_owned()).spawn(serve)?;
    Ok(handle)
}

async fn ask(request: WebRequest) -> Result<WebAnswer, String> {
    let WebRequest { url, token_file, ca, body_bytes_max, .. } = request;
    let is_https = url.scheme_str() == Some("https");
    let roots = if is_https { trust::roots(ca.as_deref())? } else { RootCertStore::empty() };
    let tls = trust::trusting(roots).map_err(|error| error.to_string())?.with_no_client_auth();
    let connector =
        hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
    let mut get = Request::get(url).header(header::USER_AGENT, concat!("squall/", env!("CARGO_PKG_VERSION")));
    if let Some(file) = &token_file {
        get = get.header(header::AUTHORIZATION, format!("Bearer {}", token(file)?));
    }
    let get = get.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let (head, body) = client.request(get).await.map_err(|error| trust::in_words(&error))?.into_parts();
    let mut answer = WebAnswer { status: head.status.as_u16(), body: Vec::new() };
    if body_bytes_max > 0 {
        let body =
            Limited::new(body, body_bytes_max).collect().await.map_err(|error| trust::in_words(error.as_ref()))?;
        answer.body = body.to_bytes().to_vec();
    }
    Ok(answer)
}

/// The token alone; never shown.
fn token(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let token = text.trim();
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    is_token.then(|| token.to_owned()).ok_or_else(|| format!("{} does not hold a token alone", file.display()))
}
