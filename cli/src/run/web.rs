//! Asks over HTTP what guards, experiments and the follower of a controller ask.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::RootCertStore;
use squall_config::Chain;
use squall_control::{Web, WebAnswer, WebConnection, WebFuture, WebRequest};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::trust;

/// Look-ups of names that hang take no thread of anybody else.
const LOOKUPS_MAX: usize = 8;

type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Asks, on a thread of its own that begins with the first question.
#[derive(Debug)]
pub(super) struct Asking {
    thread: &'static str,
    handle: OnceLock<Result<Handle, String>>,
    kept: Arc<Kept>,
}

/// The client whose connection is used again, with the authorities that it trusts, as they were written.
#[derive(Debug, Default)]
struct Kept(Mutex<Option<(Option<Vec<u8>>, HttpClient)>>);

impl Asking {
    /// Asks on a thread of this name.
    pub(super) fn on(thread: &'static str) -> Self {
        Self { thread, handle: OnceLock::new(), kept: Arc::default() }
    }
}

impl Web for Asking {
    fn ask(&self, request: WebRequest) -> WebFuture {
        let start = || start(self.thread).map_err(|error| format!("no thread to ask on: {error}"));
        let handle = match self.handle.get_or_init(start) {
            Ok(handle) => handle.clone(),
            Err(error) => return Box::pin(std::future::ready(Err(error.clone()))),
        };
        let (mut tell, told) = oneshot::channel();
        let kept = Arc::clone(&self.kept);
        handle.spawn(async move {
            let answer = tokio::select! {
                answer = ask(request, &kept) => answer,
                () = tell.closed() => return,
            };
            // Nobody may want it any more.
            let _ = tell.send(answer);
        });
        Box::pin(async move { told.await.unwrap_or_else(|_| Err("the question was lost".to_owned())) })
    }
}

fn start(thread: &'static str) -> std::io::Result<Handle> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(LOOKUPS_MAX).build()?;
    let handle = runtime.handle().clone();
    let serve = move || runtime.block_on(std::future::pending::<()>());
    std::thread::Builder::new().name(thread.to_owned()).spawn(serve)?;
    Ok(handle)
}

async fn ask(request: WebRequest, kept: &Kept) -> Result<WebAnswer, String> {
    let client = match request.connection {
        WebConnection::Own => {
            let is_https = request.url.scheme_str() == Some("https");
            let roots = if is_https { trust::roots(request.ca.as_deref())? } else { RootCertStore::empty() };
            client(roots, 0)?
        }
        WebConnection::Kept => kept.client(request.ca.as_deref())?,
    };
    let mut question = Request::builder()
        .method(request.method)
        .uri(request.url)
        .header(header::USER_AGENT, concat!("squall/", env!("CARGO_PKG_VERSION")));
    if let Some(file) = &request.token_file {
        question = question.header(header::AUTHORIZATION, format!("Bearer {}", token(file)?));
    }
    if !request.body.is_empty() {
        question = question.header(header::CONTENT_TYPE, "application/json");
    }
    let question = question.body(Full::from(request.body)).map_err(|error| error.to_string())?;
    let (head, body) = client.request(question).await.map_err(|error| Chain(&error).to_string())?.into_parts();
    let mut answer = WebAnswer { status: head.status.as_u16(), body: Vec::new() };
    if request.body_bytes_max > 0 {
        let body = Limited::new(body, request.body_bytes_max);
        let body = body.collect().await.map_err(|error| Chain(error.as_ref()).to_string())?;
        answer.body = body.to_bytes().to_vec();
    }
    Ok(answer)
}

fn client(roots: RootCertStore, n_idle: usize) -> Result<HttpClient, String> {
    let tls = trust::trusting(roots).map_err(|error| error.to_string())?.with_no_client_auth();
    let connector =
        hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
    Ok(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(n_idle).build(connector))
}

impl Kept {
    /// The one of before, unless it trusts others than it should now: then its connection ends with it.
    fn client(&self, ca: Option<&Path>) -> Result<HttpClient, String> {
        let read = |file: &Path| std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()));
        let written = ca.map(read).transpose()?;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = kept.as_ref().filter(|(trusted, _)| *trusted == written) {
            return Ok(client.clone());
        }
        let fresh = client(trust::roots(ca)?, 1)?;
        *kept = Some((written, fresh.clone()));
        Ok(fresh)
    }
}

/// The token alone; never shown.
fn token(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let token = text.trim();
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    is_token.then(|| token.to_owned()).ok_or_else(|| format!("{} does not hold a token alone", file.display()))
}
