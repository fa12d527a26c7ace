//! What the control side needs from the data plane; `cli` hands it in, so that the two never know each other.

use std::net::SocketAddr;

use squall_config::Problems;
use squall_config::model::Config;

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

    /// The whole exposition of `/metrics`, including the control side's own ([`crate::ControlStats`]).
    fn metrics_text(&self) -> String;

    /// Whether traffic is accepted.
    fn is_ready(&self) -> bool;
}
