//! Talks to the API on a thread of its own, so that keys work while it does not answer.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::overview::Overview;
use super::reading::{Reading, read};
use crate::client::{Call, Reply, send};
use crate::exit::Failure;
use crate::verb::ClientArgs;

/// Between the first two readings, so that there are rates at once.
const FIRST_INTERVAL: Duration = Duration::from_millis(250);

/// The other end of the thread.
pub(super) struct Reader {
    pub(super) news: Receiver<News>,
    pub(super) orders: Sender<Call>,
}

/// What came of reading, or of an order.
pub(super) enum News {
    Overview(Box<Overview>),
    /// An order was carried out.
    Done,
    Failed(Failure),
}

/// Reads at once and then every so often, and after each order, until the other end is gone.
pub(super) fn start(client: &ClientArgs, every: Duration) -> std::io::Result<Reader> {
    let (client, (tell, news), (orders, ordered)) = (client.clone(), channel(), channel());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("reader".to_owned()).spawn(move || {
        let mut before = None;
        loop {
            let news = match runtime.block_on(overview(&client, &mut before)) {
                Ok(overview) => News::Overview(Box::new(overview)),
                Err(failure) => News::Failed(failure),
            };
            if tell.send(news).is_err() || !obey((&client, &runtime), (&ordered, &tell), Instant::now() + every) {
                return;
            }
        }
    })?;
    Ok(Reader { news, orders })
}

async fn overview(client: &ClientArgs, before: &mut Option<Reading>) -> Result<Overview, Failure> {
    let earlier = match before.take() {
        Some(earlier) => earlier,
        None => {
            let first = read(client).await?;
            tokio::time::sleep(FIRST_INTERVAL).await;
            first
        }
    };
    let now = read(client).await?;
    let overview = Overview::of(&earlier, &now);
    *before = Some(now);
    Ok(overview)
}

/// Carries out an order, or waits until it is time to read again; `false` when nobody is there any more.
fn obey(
    (client, runtime): (&ClientArgs, &Runtime),
    (ordered, tell): (&Receiver<Call>, &Sender<News>),
    until: Instant,
) -> bool {
    match ordered.recv_timeout(until.saturating_duration_since(Instant::now())) {
        Err(RecvTimeoutError::Timeout) => true,
        Err(RecvTimeoutError::Disconnected) => false,
        Ok(call) => {
            let reply = runtime.block_on(send(&client.api.control, &client.api.credentials, &call));
            let news = match reply.and_then(Reply::into_value) {
                Ok(_) => News::Done,
                Err(failure) => News::Failed(failure),
            };
            tell.send(news).is_ok()
        }
    }
}
