//! Puts the actors on stage: B, A, and Squall beside A.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;

use super::services::Doors;
use crate::client::Base;
use crate::exit::Failure;
use crate::run::{Overrides, Sidecar, SidecarOptions};

/// Everything that runs, and where.
pub(super) struct Scene {
    sidecar: Sidecar,
    /// Service A itself.
    pub(super) a: SocketAddr,
    /// The instances of Service B.
    pub(super) b: Vec<SocketAddr>,
    /// Where A's callers reach A through Squall.
    pub(super) inbound: SocketAddr,
    /// Where A reaches B through Squall.
    pub(super) outbound: SocketAddr,
    /// Squall's control API.
    pub(super) control: Base,
}

impl Scene {
    /// Starts all of it.
    pub(super) fn set(seed: u64, fragile: bool) -> Result<Self, Failure> {
        let doors = Doors::open()?;
        let (a, b) = doors.addresses()?;
        let (document, config) = squall_config::load_text(&configuration(a, &b))
            .map_err(|problems| anyhow::anyhow!("the demo's own configuration is invalid: {problems}"))?;
        let (file, overrides, watch) = (None, Overrides::default(), false);
        let options = SidecarOptions { document, config, file, overrides, seed, n_workers: 1, watch };
        let sidecar = Sidecar::start(options)?;
        let address = |name| sidecar.listener_address(name).with_context(|| format!("listener {name} is not bound"));
        let (inbound, outbound) = (address("to-a")?, address("a-to-b")?);
        doors.serve(outbound, fragile)?;
        let control = Base::of_control(sidecar.control_address(), false);
        Ok(Self { sidecar, a, b, inbound, outbound, control })
    }

    /// Ends Squall; the services end with the process.
    pub(super) fn strike(self) {
        self.sidecar.stop(Duration::from_millis(200));
    }
}

pub(super) fn configuration(a: SocketAddr, b: &[SocketAddr]) -> String {
    let instance = |(n, address): (usize, &SocketAddr)| {
        format!("{{ address: '{address}', labels: {{ instance: \"{}\" }} }}", n + 1)
    };
    let instances = b.iter().enumerate().map(instance).collect::<Vec<_>>().join(", ");
    format!(
        "version: 1
control: {{ address: '127.0.0.1:0' }}
listeners:
  - {{ name: to-a, address: '127.0.0.1:0', direction: inbound, protocol: http, cluster: service-a }}
  - {{ name: a-to-b, address: '127.0.0.1:0', direction: outbound, protocol: http, cluster: service-b }}
clusters:
  - {{ name: service-a, endpoints: ['{a}'] }}
  - {{ name: service-b, endpoints: [{instances}] }}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_valid() {
        let text = configuration("127.0.0.1:1".parse().unwrap(), &["[::1]:2", "[::1]:3"].map(|b| b.parse().unwrap()));
        let config = squall_config::load_text(&text).unwrap().1;
        assert_eq!((config.listeners.len(), config.clusters[1].endpoints.len()), (2, 2));
    }
}
