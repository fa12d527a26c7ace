//! Objects as they come and go.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt as _, stream};
use kube::runtime::controller::{self, Action};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, applier, reflector, watcher};
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use squall_config::Chain;

use super::{Context, Error, RETRY_AFTER};

/// What sidecars say within so long is looked at once.
const NEWS_PAUSE: Duration = Duration::from_millis(100);
/// Objects that are reconciled at once; each waits for the API server most of the time.
const CONCURRENCY: u16 = 16;

/// What is watched.
pub(crate) trait Kind:
    Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static
{
    /// Its plural, as in paths.
    const RESOURCE: &'static str;

    /// It is there, as it came with a list (`true`) or as a change. Nothing waits here.
    fn seen(&self, context: &Context, is_listed: bool);

    /// Brings orders and status into line with it.
    fn reconcile(object: Arc<Self>, context: Arc<Context>) -> impl Future<Output = Result<Action, Error>> + Send;
}

/// Follows all objects of a kind, for as long as it is polled.
pub(crate) async fn run<K: Kind>(context: Arc<Context>) {
    let (store, objects) = objects::<K>(&context);
    let news = news(&context, store.clone());
    let queue = stream::select(objects, news).map(Ok::<_, Infallible>);
    let config = controller::Config::default().concurrency(CONCURRENCY);
    let reconcile = |object, context| Box::pin(K::reconcile(object, context));
    let retry = |_object, _error: &Error, _context| Action::requeue(RETRY_AFTER);
    let mut done = std::pin::pin!(applier(reconcile, retry, context, store, queue, config));
    while let Some(result) = done.next().await {
        match result {
            // It has been deleted meanwhile.
            Ok(_) | Err(controller::Error::ObjectNotFound(_)) => {}
            Err(controller::Error::ReconcilerFailed(error, _)) => {
                tracing::warn!(error = %Chain(&error), "tried again soon");
            }
            Err(error) => tracing::error!(error = %Chain(&error), resource = K::RESOURCE, "the queue of objects"),
        }
    }
}

/// The objects, and those that changed. Deletions change the fleet at once.
fn objects<K: Kind>(context: &Arc<Context>) -> (Store<K>, impl Stream<Item = ObjectRef<K>> + Send + 'static + use<K>) {
    let settings = context.dispatch.settings;
    // Each watch that begins tells that the API server still answers: several do so in a lease.
    let seconds = u32::try_from(settings.wait_max().as_secs()).unwrap_or(u32::MAX).max(1);
    let config = watcher::Config::default().timeout(seconds);
    let (reader, writer) = reflector::store::<K>();
    let events = watcher(Api::all(context.client.clone()), config).backoff(Steps::new(settings.lease / 5));
    let context = Arc::clone(context);
    let mut known = Known::default();
    let touched = reflector(writer, events).flat_map(move |event| {
        let touched = match event {
            Ok(event) => take(event, &mut known, &context),
            Err(error) => {
                tracing::warn!(resource = K::RESOURCE, error = %Chain(&error), "the watch was interrupted");
                Vec::new()
            }
        };
        stream::iter(touched)
    });
    (reader, touched)
}

/// What an event changes; what is to be reconciled.
fn take<K: Kind>(event: Event<K>, known: &mut Known<K>, context: &Context) -> Vec<ObjectRef<K>> {
    match event {
        Event::Init => known.begin(),
        Event::InitApply(object) => {
            context.there.add(object.uid());
            object.seen(context, true);
            known.listed(&object);
        }
        Event::InitDone => {
            let (gone, listed) = known.end();
            gone.iter().for_each(|uid| forget(context, uid));
            context.footing.listed(K::RESOURCE, Instant::now());
            return listed;
        }
        Event::Apply(object) => {
            context.there.add(object.uid());
            object.seen(context, false);
            known.add(&object);
            return vec![ObjectRef::from_obj(&object)];
        }
        Event::Delete(object) => {
            let uid = object.uid().unwrap_or_default();
            known.remove(&uid);
            forget(context, &uid);
        }
    }
    Vec::new()
}

fn forget(context: &Context, uid: &str) {
    context.there.remove(uid);
    context.dispatch.change(|fleet| fleet.delete(uid));
    context.rules.forget(uid);
    context.experiments.forget(uid);
    context.told_rules.forget(uid);
    context.told_experiments.forget(uid);
}

/// All objects, each time sidecars have something new to say.
fn news<K: Kind>(context: &Context, store: Store<K>) -> impl Stream<Item = ObjectRef<K>> + Send + 'static + use<K> {
    let told = stream::unfold(context.dispatch.news(), |mut news| async move {
        news.changed().await.ok()?;
        tokio::time::sleep(NEWS_PAUSE).await;
        Some(((), news))
    });
    told.flat_map(move |()| {
        let all: Vec<ObjectRef<K>> = store.state().iter().map(|object| ObjectRef::from_obj(&**object)).collect();
        stream::iter(all)
    })
}

/// Which objects there are, so that a list tells which are no more.
struct Known<K: Kind> {
    uids: BTreeSet<String>,
    listing: BTreeSet<String>,
    listed: Vec<ObjectRef<K>>,
}

impl<K: Kind> Default for Known<K> {
    fn default() -> Self {
        Self { uids: BTreeSet::new(), listing: BTreeSet::new(), listed: Vec::new() }
    }
}

impl<K: Kind> Known<K> {
    fn begin(&mut self) {
        self.listing.clear();
        self.listed.clear();
    }

    fn listed(&mut self, object: &K) {
        self.listing.extend(object.uid());
        self.listed.push(ObjectRef::from_obj(object));
    }

    /// Those that are gone, and those that are there.
    fn end(&mut self) -> (Vec<String>, Vec<ObjectRef<K>>) {
        let before = std::mem::replace(&mut self.uids, std::mem::take(&mut self.listing));
        (before.difference(&self.uids).cloned().collect(), std::mem::take(&mut self.listed))
    }

    fn add(&mut self, object: &K) {
        self.uids.extend(object.uid());
    }

    fn remove(&mut self, uid: &str) {
        self.uids.remove(uid);
    }
}

/// Pauses between tries to reach the API server: twice as long each time, up to a bound that a lease leaves room for.
#[derive(Debug)]
struct Steps {
    next: Duration,
    longest: Duration,
}

impl Steps {
    const FIRST: Duration = Duration::from_millis(100);

    fn new(longest: Duration) -> Self {
        Self { next: Self::FIRST, longest }
    }
}

impl Iterator for Steps {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        Some(pause)
    }
}

impl Backoff for Steps {
    fn reset(&mut self) {
        self.next = Self::FIRST;
    }
}
