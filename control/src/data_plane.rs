//! What the control side needs from the data plane; `cli` hands it in, so that the two never know each other.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures_util::Stream;
use squall_config::Problems;
use squall_config::model::{Config, Direction, Endpoint, Fallback, Name};
use squall_fault::trace_share::TraceShare;

/// An address that a cluster has at the moment, or a name of it that has none.
#[derive(Clone, Debug)]
pub struct EndpointHealth {
    /// As it is written.
    pub written: Endpoint,
    /// Where its traffic goes; `None` when the name has no address.
    pub address: Option<SocketAddr>,
    /// One of `healthy`, `ejected`, `failing` and `unresolved`.
    pub health: &'static str,
}

/// A certificate in use.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// What shows it, as in `listener to-b`.
    pub of: String,
    /// Where it was read from.
    pub file: PathBuf,
    /// When its time ends, in seconds of Unix time.
    pub not_after: Option<i64>,
    /// What is wrong with its files now; then those before are in use.
    pub error: Option<String>,
}

/// What of `limits.traffic_share` is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficUsed {
    /// Exchanges that were counted in the window.
    pub seen: u64,
    /// Those that were faulted.
    pub faulted: u64,
}

/// Which exchanges somebody wants to see; all that is said must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapFilter {
    /// Touched by a fault of this rule, or would have been, were it not in shadow mode.
    pub rule: Option<String>,
    /// Whose path begins so.
    pub path: Option<String>,
    /// Answered with a status from the first to the last.
    pub status: Option<(u16, u16)>,
    /// Touched by a fault.
    pub is_faulted: bool,
    /// At most so many in a second.
    pub rate_max: u32,
}

/// What somebody who watches gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TapEvent {
    /// An exchange, as JSON.
    Exchange(String),
    /// So many more were left out.
    Missed(u64),
}

/// What has gone through the listeners since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Upper bounds of the buckets of durations, in seconds and rising; what is beyond the last is in one more.
    pub duration_bounds: &'static [f64],
    /// Of each listener with each cluster, in any order.
    pub totals: Vec<TrafficTotals>,
}

/// What has gone from one listener to one cluster since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficTotals {
    /// The listener.
    pub listener: Name,
    /// The cluster that its traffic goes to.
    pub cluster: Name,
    /// The listener's.
    pub direction: Direction,
    /// Connections of clients that are open.
    pub connections: u64,
    /// Bytes of bodies and streams towards the cluster.
    pub bytes_request: u64,
    /// The same from there.
    pub bytes_response: u64,
    /// HTTP exchanges that began.
    pub begun: u64,
    /// Exchanges that ended.
    pub ended: u64,
    /// Those of them that a rule ended.
    pub injected: u64,
    /// Of the others those that got no answer, or one with a status from 500 on.
    pub failed: u64,
    /// How many took how long, by bucket.
    pub durations: Vec<u64>,
}

/// What an experiment wants to know of each exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// How answers of A show that they are fallbacks; of the n-th is told in the n-th bit, of the first 8.
    pub fallbacks: Vec<Fallback>,
    /// Calls to A that have neither a trace id nor a request id get one of each, or the sole one (`traceparent`, not sampled, and
    /// `x-request-id`) when they leave for A, whether they are noted or not, unless the share says that those that are not need
    /// none ([`TraceShare::own_id_alone`]). One that Squall traces has a `traceparent` already.
    pub add_ids: bool,
    /// Of which traces exchanges are noted, until [`DataPlane::note_share`] says otherwise.
    pub share: TraceShare,
}

/// An HTTP exchange that ended while an experiment ran.
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeOutcome {
    /// Inbound is a call to A, outbound one that A makes.
    pub direction: Direction,
    /// By trace id (of `traceparent`, else of b3) calls that A makes are joined with the one to A that they are made for.
    /// 0 is none.
    pub trace: u128,
    /// By `x-request-id` as well: its 128 bits when it is a UUID, else a hash of it. 0 is none.
    pub request_id: u128,
    /// Whether Squall made those ids.
    pub has_added_ids: bool,
    /// Its place among all: it is noted while the share of traces takes that. Exchanges that share the id by which that share is
    /// taken have the same.
    pub place: u64,
    /// When its head had come.
    pub began: Instant,
    /// When its answer had gone, or it had ended without one.
    pub ended: Instant,
    /// The status that its caller got, or would have got.
    pub status: Option<u16>,
    /// Of a gRPC call, when there was one.
    pub grpc_status: Option<u8>,
    /// The caller went away before it was over.
    pub is_abandoned: bool,
    /// A rule ended it, or a fault touched it.
    pub is_injected: bool,
    /// The route for people: method and the first segments of the path, of a bounded number of routes. Of calls to A; else
    /// empty.
    pub route: Arc<str>,
    /// The cluster that it went to.
    pub cluster: Name,
    /// A hash of method, authority, path and query: two calls with the same one are tries of the same call.
    pub operation: u64,
    /// Whether it may be repeated without harm: by its method (RFC 9110 §9.2.2), or because it has an `Idempotency-Key`.
    pub is_repeatable: bool,
    /// A hash of what the answer looks like: status, media type and the names of its header fields, but for those that come
    /// and go (`date`, `age`, ids). Of calls to A; else 0.
    pub shape: u64,
    /// How many bytes the body of the answer has.
    pub response_bytes: u64,
    /// Which of [`Observation::fallbacks`] the answer shows. Of calls to A; else 0.
    pub fallbacks: u8,
    /// When rules of experiments matched it: the experiment of the first of them, and whether a rule of that experiment was
    /// picked, has a part in the plan, and was let through by the budgets. What it did is [`ExchangeOutcome::is_injected`].
    pub matched: Option<(Name, bool)>,
}

/// Exchanges as they end; never ends by itself.
pub type Taps = Pin<Box<dyn Stream<Item = TapEvent> + Send>>;

/// The data plane, as seen from the control side.
pub trait DataPlane: Send + Sync + 'static {
    /// Binds the sockets that `config` needs and that are not open yet; changes nothing. The closure is called right
    /// after the snapshot of `config` is published; dropping it closes the new sockets again.
    ///
    /// # Errors
    /// One problem for each listener that cannot be bound, such as a port in use.
    fn prepare(&self, config: &Config) -> Result<Box<dyn FnOnce() + Send>, Problems>;

    /// The really bound address of each listener.
    fn listener_addresses(&self) -> Vec<(String, SocketAddr)>;

    /// The endpoints of each cluster by its name, as they are now; those of a cluster that is about to be taken over may
    /// be missing for a moment.
    fn endpoints(&self) -> Vec<(String, Vec<EndpointHealth>)>;

    /// What has gone through the listeners; only sums, since it is asked for several times a second.
    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    /// What of `limits.traffic_share` is used now; `None` where nothing is counted.
    fn traffic_used(&self) -> Option<TrafficUsed> {
        None
    }

    /// The whole exposition of `/metrics`, including the control side's own ([`crate::ControlStats`]).
    fn metrics_text(&self) -> String;

    /// Files besides the configuration that it was made from, such as certificates; they are watched.
    fn files(&self) -> Vec<PathBuf>;

    /// Takes into use what changed in those files; reports what cannot be. Blocks.
    fn reload_files(&self);

    /// The certificates that listeners and clusters show.
    fn certificates(&self) -> Vec<Certificate>;

    /// Shows exchanges as they end, until the stream is dropped; called on a runtime. `None` when too many watch already.
    fn tap(&self, _filter: TapFilter) -> Option<Taps> {
        None
    }

    /// From now on notes each HTTP exchange that begins and ends, for [`DataPlane::outcomes`]; `None` ends that. It takes the
    /// workers a moment. What was noted for the one before and not taken is forgotten when another begins.
    fn observe(&self, _observation: Option<Observation>) {}

    /// From now on notes exchanges of this share of all traces: those that begin, on all workers at the same moment.
    fn note_share(&self, _share: TraceShare) {}

    /// Takes what was noted since it was asked last, in no particular order; gives how many more there was no room for. It
    /// is asked several times a second.
    fn outcomes(&self, _into: &mut Vec<ExchangeOutcome>) -> u64 {
        0
    }

    /// What the program's own log says, as [`DataPlane::prepare_log_filter`] takes it; empty where there is no log.
    fn log_filter(&self) -> String {
        String::new()
    }

    /// Checks a filter of the log; the closure puts it in force.
    ///
    /// # Errors
    /// What is not valid in it.
    fn prepare_log_filter(&self, _filter: &str) -> Result<Box<dyn FnOnce() + Send>, String> {
        Err("this process has no log that could be changed".to_owned())
    }

    /// Whether traffic is accepted.
    fn is_ready(&self) -> bool;
}
