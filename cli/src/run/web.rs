//! Asks over HTTP what guards, experiments and the follower of a controller ask.

use std::fmt;
use std::path::{Path, PathBuf};
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
use tokio::sync::{Semaphore, oneshot};

use crate::trust;

/// Look-ups of names that hang take no thread of anybody else.
const LOOKUPS_MAX: usize = 8;
/// Nor do files: one on a file system that hangs takes a place here until it is read. Who waits for a place meanwhile is a
/// question with files, which has a deadline.
const READS_MAX: usize = 2;
/// A token, and the authorities of a system, are shorter.
const FILE_BYTES_MAX: u64 = 4 << 20;

type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Asks, on a thread of its own that begins with the first question.
#[derive(Debug)]
pub(super) struct Asking {
    thread: &'static str,
    handle: OnceLock<Result<Handle, String>>,
    kept: Arc<Kept>,
    reads: Arc<Semaphore>,
}

/// The client whose connection is used again, with the authorities that it trusts, as they were written.
#[derive(Debug, Default)]
struct Kept(Mutex<Option<(Option<Content>, HttpClient)>>);

impl Asking {
    /// Asks on a thread of this name.
    pub(super) fn on(thread: &'static str) -> Self {
        let reads = Arc::new(Semaphore::new(READS_MAX));
        Self { thread, handle: OnceLock::new(), kept: Arc::default(), reads }
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
        let (kept, reads) = (Arc::clone(&self.kept), Arc::clone(&self.reads));
        handle.spawn(async move {
            let answer = tokio::select! {
                answer = ask(request, &kept, reads) => answer,
                () = tell.closed() => return,
            };
            // Nobody may want it any more.
            let _ = tell.send(answer);
        });
        Box::pin(async move { told.await.unwrap_or_else(|_| Err("the question was lost".to_owned())) })
    }
}

fn start(thread: &'static str) -> std::io::Result<Handle> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(LOOKUPS_MAX + READS_MAX)
        .build()?;
    let handle = runtime.handle().clone();
    let serve = move || runtime.block_on(std::future::pending::<()>());
    std::thread::Builder::new().name(thread.to_owned()).spawn(serve)?;
    Ok(handle)
}

async fn ask(request: WebRequest, kept: &Kept, reads: Arc<Semaphore>) -> Result<WebAnswer, String> {
    let is_https = request.url.scheme_str() == Some("https");
    let (ca, token_file) = (request.ca.filter(|_| is_https), request.token_file);
    let (ca, token) = match (ca, token_file) {
        (None, None) => (None, None),
        (ca, token_file) => elsewhere(reads, move || read_both(ca, token_file.as_deref())).await??,
    };
    let client = match request.connection {
        WebConnection::Own if is_https => client(roots(ca.as_ref())?, 0)?,
        WebConnection::Own => client(RootCertStore::empty(), 0)?,
        WebConnection::Kept => kept.client(ca)?,
    };
    let mut question = Request::builder()
        .method(request.method)
        .uri(request.url)
        .header(header::USER_AGENT, concat!("squall/", env!("CARGO_PKG_VERSION")));
    if let Some(token) = token {
        question = question.header(header::AUTHORIZATION, format!("Bearer {token}"));
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
    fn client(&self, ca: Option<Content>) -> Result<HttpClient, String> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = kept.as_ref().filter(|(trusted, _)| *trusted == ca) {
            return Ok(client.clone());
        }
        let fresh = client(roots(ca.as_ref())?, 1)?;
        *kept = Some((ca, fresh.clone()));
        Ok(fresh)
    }
}

fn roots(ca: Option<&Content>) -> Result<RootCertStore, String> {
    ca.map_or_else(|| trust::roots(None), |ca| trust::roots_in(&ca.file, &ca.bytes))
}

/// Does this on another thread, where it may hang.
async fn elsewhere<T: Send + 'static>(
    reads: Arc<Semaphore>,
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let place = reads.acquire_owned().await.map_err(|error| error.to_string())?;
    let done = tokio::task::spawn_blocking(move || {
        let _until_done = place;
        read()
    });
    done.await.map_err(|error| error.to_string())
}

/// A file and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Content {
    file: PathBuf,
    bytes: Vec<u8>,
}

/// What a question needs of files: authorities as they are written, and a token.
fn read_both(ca: Option<PathBuf>, token_file: Option<&Path>) -> Result<(Option<Content>, Option<String>), String> {
    let ca = ca.map(|file| Ok::<_, String>(Content { bytes: read(&file)?, file })).transpose()?;
    Ok((ca, token_file.map(token).transpose()?))
}

/// The token alone; never shown.
fn token(file: &Path) -> Result<String, String> {
    let bytes = read(file)?;
    let token = bytes.trim_ascii();
    let is_token = !token.is_empty() && token.iter().all(u8::is_ascii_graphic);
    let text = std::str::from_utf8(token).ok().filter(|_| is_token).map(str::to_owned);
    text.ok_or_else(|| format!("{} does not hold a token alone", file.display()))
}

/// Never waits for a pipe, never reads without bound.
fn read(file: &Path) -> Result<Vec<u8>, String> {
    let fail = |why: &dyn fmt::Display| format!("{}: {why}", file.display());
    // Asked before it is opened: opening a pipe waits for its writer.
    let facts = std::fs::metadata(file).map_err(|error| fail(&error))?;
    if !facts.is_file() {
        return Err(fail(&"is not a file"));
    }
    if facts.len() > FILE_BYTES_MAX {
        return Err(fail(&format_args!("has {} bytes, more than {FILE_BYTES_MAX}", facts.len())));
    }
    std::fs::read(file).map_err(|error| fail(&error))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn files_that_hang_take_so_many_threads_and_hold_up_nobody_else() {
        let reads = Arc::new(Semaphore::new(READS_MAX));
        let (end, ended) = mpsc::channel::<()>();
        let ended = Arc::new(Mutex::new(ended));
        let hang = || {
            let ended = Arc::clone(&ended);
            tokio::spawn(elsewhere(Arc::clone(&reads), move || ended.lock().unwrap().recv()))
        };
        let hanging: Vec<_> = (0..READS_MAX).map(|_| hang()).collect();
        while reads.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        // This thread goes on; only who needs a file waits, until its own deadline.
        let waiting = elsewhere(Arc::clone(&reads), || ());
        assert!(timeout(Duration::from_millis(10), waiting).await.is_err());
        for task in hanging {
            end.send(()).unwrap();
            task.await.unwrap().unwrap().unwrap();
        }
        elsewhere(reads, || ()).await.unwrap();
    }

    #[test]
    fn a_token_stands_alone_in_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        for (text, expected) in [("abc\n", Ok("abc")), (" ", Err("alone")), ("a b", Err("alone")), ("é", Err("alone"))]
        {
            std::fs::write(&file, text).unwrap();
            match expected {
                Ok(expected) => assert_eq!(token(&file).as_deref(), Ok(expected)),
                Err(why) => assert!(token(&file).unwrap_err().contains(why), "{text}"),
            }
        }
        assert!(token(directory.path()).unwrap_err().ends_with("is not a file"));
        assert!(token(&directory.path().join("none")).is_err());
    }
}
