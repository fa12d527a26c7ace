//! What the control side needs from the data plane; `cli` hands it in, so that the two never know each other.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;

use futures_util::Stream;
use squall_config::Problems;
use squall_config::model::{Config, Name};
use squall_fault::share::Used;
use squall_fault::trace_share::TraceShare;
use squall_telemetry::{CertificateStatus, EndpointStatus, Observation, Outcome, TapEvent, TapFilter, Traffic};

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
    fn listener_addresses(&self) -> Vec<(Name, SocketAddr)>;

    /// The endpoints of each cluster by its name, as they are now; those of a cluster that is about to be taken over may
    /// be missing for a moment.
    fn endpoints(&self) -> Vec<(Name, Vec<EndpointStatus>)>;

    /// What has gone through the listeners; only sums, since it is asked for several times a second.
    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    /// What of `limits.traffic_share` is used now; `None` where nothing is counted.
    fn traffic_used(&self) -> Option<Used> {
        None
    }

    /// The whole exposition of `/metrics`, including the control side's own ([`crate::ControlStats`]).
    fn metrics_text(&self) -> String;

    /// Files besides the configuration that it was made from, such as certificates; they are watched.
    fn files(&self) -> Vec<PathBuf>;

    /// Takes into use what changed in those files; reports what cannot be. Blocks.
    fn reload_files(&self);

    /// The certificates that listeners and clusters show.
    fn certificates(&self) -> Vec<CertificateStatus>;

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
    fn outcomes(&self, _into: &mut Vec<Outcome>) -> u64 {
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
