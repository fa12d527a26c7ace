//! Whether what is known of the cluster can be acted on.
//!
//! Orders renew the lease of faults. They are given only while the controller knows what it is to order: not before it has
//! listed everything, not until the sidecars that were there before it had time to come back (it would hit others meanwhile),
//! and not when the API server has not answered for a lease: nobody could take a rule back then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response};
use tower::{Layer, Service};

/// The resources without which nothing is known, as they stand in paths.
pub(crate) const RESOURCES: [&str; 3] = ["clusterhalts", "experiments", "faultrules"];

/// How often it is looked whether all has been listed.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why nothing is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsure {
    /// Not all has been listed yet.
    Listing,
    /// Sidecars are still coming back.
    Settling,
    /// The API server does not answer.
    Stale,
}

impl Unsure {
    /// In words.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Listing => "the controller has not listed all rules yet",
            Self::Settling => "the controller has just been started and waits for the sidecars that were there before",
            Self::Stale => "the API server has not answered the controller for a lease",
        }
    }
}

/// What the controller stands on. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Footing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    lease: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In the order of [`RESOURCES`].
    listed: [bool; RESOURCES.len()],
    /// When the last of them was.
    all_listed: Option<Instant>,
    /// When the first sidecar asked.
    asked: Option<Instant>,
    /// When the API server last answered a list or a watch.
    heard: [Option<Instant>; RESOURCES.len()],
}

impl Footing {
    /// Where nothing is known yet.
    pub(crate) fn new(lease: Duration) -> Self {
        Self(Arc::new(Inner { lease, state: Mutex::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sidecars that get no answer ask again at least this often; a fifth of a lease leaves them time for more tries.
    fn settle(&self) -> Duration {
        self.0.lease / 5
    }

    /// All objects of a resource are known.
    pub(crate) fn listed(&self, resource: &str, now: Instant) {
        let mut state = self.state();
        if let Some(at) = RESOURCES.iter().position(|known| *known == resource) {
            state.listed[at] = true;
        }
        if state.listed.iter().all(|listed| *listed) {
            state.all_listed.get_or_insert(now);
        }
    }

    /// Whether orders can be given.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(&self, now: Instant) -> Result<(), Unsure> {
        let state = self.state();
        let listed = state.all_listed.ok_or(Unsure::Listing)?;
        let is_fresh =
            |heard: &Option<Instant>| heard.is_some_and(|heard| now.saturating_duration_since(heard) <= self.0.lease);
        if !state.heard.iter().all(is_fresh) {
            return Err(Unsure::Stale);
        }
        let settled = state.asked.map(|asked| asked.max(listed) + self.settle());
        if settled.is_none_or(|settled| now < settled) {
            return Err(Unsure::Settling);
        }
        Ok(())
    }

    /// A sidecar asks. From the first on the others are expected, too: they could not ask while nobody was there.
    pub(crate) fn asked(&self, now: Instant) {
        self.state().asked.get_or_insert(now);
    }

    /// When the sidecars have had time to come back; `None` when none has.
    pub(crate) fn settled(&self) -> Option<Instant> {
        let state = self.state();
        Some(state.asked?.max(state.all_listed?) + self.settle())
    }

    /// Waits until all has been listed.
    pub(crate) async fn wait_listed(&self) {
        while self.state().all_listed.is_none() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Hears the answers of the API server.
    pub(crate) fn ears(&self) -> Ears {
        Ears(self.clone())
    }

    fn hear(&self, path: &str, now: Instant) {
        let mut state = self.state();
        let at = RESOURCES.iter().position(|resource| path.ends_with(&format!("/{resource}")));
        if let Some(at) = at {
            state.heard[at] = Some(now);
        }
    }
}

/// A layer of the client of Kubernetes: a list or a watch that was answered says that what is known is not old. Watches are
/// asked for again several times a lease, so one that hangs is noticed.
#[derive(Clone, Debug)]
pub(crate) struct Ears(Footing);

impl<S> Layer<S> for Ears {
    type Service = Listening<S>;

    fn layer(&self, inner: S) -> Listening<S> {
        Listening { inner, footing: self.0.clone() }
    }
}

/// A client whose answers are heard.
#[derive(Clone, Debug)]
pub(crate) struct Listening<S> {
    inner: S,
    footing: Footing,
}

impl<S, A, B> Service<Request<A>> for Listening<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    B: 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<B>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let path = (request.method() == Method::GET).then(|| request.uri().path().to_owned());
        // An answer is as new as its question.
        let (asked, footing, answer) = (Instant::now(), self.footing.clone(), self.inner.call(request));
        async move {
            let answer = answer.await?;
            if let Some(path) = path.filter(|_| answer.status().is_success()) {
                footing.hear(&path, asked);
            }
            Ok(answer)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(15);

    fn hear_all(footing: &Footing, now: Instant) {
        for resource in RESOURCES {
            footing.hear(&format!("/apis/squall.dev/v1alpha1/{resource}"), now);
        }
    }

    #[test]
    fn orders_are_given_when_all_is_known_and_new() {
        let (footing, start) = (Footing::new(LEASE), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(footing.check(at(0)), Err(Unsure::Listing));
        hear_all(&footing, at(0));
        footing.listed("faultrules", at(0));
        footing.listed("experiments", at(0));
        assert_eq!((footing.check(at(1)), footing.settled()), (Err(Unsure::Listing), None));
        footing.listed("clusterhalts", at(1));
        footing.listed("clusterhalts", at(5));
        assert_eq!((footing.check(at(9)), footing.settled()), (Err(Unsure::Settling), None));
        footing.asked(at(2));
        footing.asked(at(8));
        assert_eq!((footing.check(at(4)), footing.settled()), (Err(Unsure::Settling), Some(at(5))));
        assert_eq!((footing.check(at(5)), footing.check(at(15))), (Ok(()), Ok(())));
        assert_eq!(footing.check(at(16)), Err(Unsure::Stale));
        footing.hear("/apis/squall.dev/v1alpha1/namespaces/shop/faultrules/slow", at(16));
        footing.hear("/apis/squall.dev/v1alpha1/faultrules", at(16));
        assert_eq!(footing.check(at(16)), Err(Unsure::Stale), "the others have not been heard");
        hear_all(&footing, at(16));
        assert_eq!(footing.check(at(31)), Ok(()));
    }
}
