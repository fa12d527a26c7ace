//! Everything of one Squall, put together: configuration → snapshot → proxy → control side → control API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use squall_config::Problems;
use squall_config::model::{Config, ControlAddress, ControlApi, Drain};
use squall_config::spec::ConfigSpec;
use squall_control::{Access, Actor, App, AppOptions, Control, ControlOptions, Start, Web};
use squall_fault::snapshot::Snapshot;
use squall_fault::store::SnapshotStore;
use squall_fault::{Stamp, compile};
use squall_proxy::{Proxy, ProxyOptions};

use super::plane::{Plane, unbound};
use super::settings::Overrides;
use super::traces::{self, Exporting};
use super::web::Asking;
use crate::exit::{Exit, Failure};

/// What a sidecar is started with.
#[derive(Debug)]
pub(crate) struct SidecarOptions {
    /// As written.
    pub(crate) document: ConfigSpec,
    /// Validated from `document`.
    pub(crate) config: Config,
    /// Where `document` came from, to reload it.
    pub(crate) file: Option<PathBuf>,
    /// What goes over the file at each reload.
    pub(crate) overrides: Overrides,
    /// Seed of every draw.
    pub(crate) seed: u64,
    /// Threads that carry traffic.
    pub(crate) n_workers: usize,
    /// Whether a change of the file reloads it.
    pub(crate) watch: bool,
}

/// A Squall that runs.
pub(crate) struct Sidecar {
    store: Arc<SnapshotStore>,
    proxy: Arc<Proxy>,
    plane: Arc<Plane>,
    app: Arc<App>,
    control: Control,
    /// When exchanges are traced.
    exporting: Option<Exporting>,
    seed: u64,
}

impl Sidecar {
    /// Starts all of it; listening sockets are open when this returns. The failure names the port that is in use.
    pub(crate) fn start(options: SidecarOptions) -> Result<Self, Failure> {
        let SidecarOptions { document, config, file, overrides, seed, n_workers, watch } = options;
        let invalid = |problems: Problems| Failure::caused_by(Exit::InvalidConfig, problems);
        let start =
            Start::load(document, config).map_err(|problem| Failure::new(Exit::Failure, problem.to_string()))?;
        let config = Arc::clone(start.config());
        let stamp = Stamp { generation: start.generation(), halted: start.is_halted(), seed };
        let store = SnapshotStore::new(compile(Arc::clone(&config), None, stamp));
        let (traces, exporting) = traces::start()?.unzip();
        let proxy = Proxy::start(Arc::clone(&store), ProxyOptions { workers: n_workers, traces })?;
        proxy.load_certificates(&config).map_err(invalid)?;
        // Both are bound before either serves, so that a start that fails has served nobody.
        let unbound = |error| Failure::new(Exit::Failure, unbound(&config, &error).to_string());
        let bound = proxy.bind(&config).map_err(unbound)?;
        let plane = Plane::new(Arc::clone(&proxy));
        let access = Access::open(&config.control).map_err(invalid)?;
        let tls = config.control.tls.as_ref().map(|tls| proxy.control_tls(tls)).transpose().map_err(invalid)?;
        let tls = tls.map(|source| Arc::new(source) as squall_control::TlsSource);
        let controller = config.controller.clone();
        let (address, telemetry) = (config.control.address.clone(), config.telemetry);
        let toxiproxy = config.toxiproxy.map(|api| api.address);
        warn_of_clear_text(&config.control);
        let app = App::new(AppOptions {
            store: Arc::clone(&store),
            start,
            file,
            overlay: Some(Box::new(move |spec| overrides.apply(spec))),
            seed,
            data_plane: Arc::clone(&plane) as Arc<dyn squall_control::DataPlane>,
            access,
        });
        plane.connect(&app);
        let web = Arc::new(Asking::on("guards"));
        let controller = controller.map(|controller| (controller, Arc::new(Asking::on("controller")) as Arc<dyn Web>));
        let control =
            ControlOptions { app: Arc::clone(&app), address, tls, telemetry, toxiproxy, web, controller, watch };
        let control = squall_control::start(control).map_err(|error| Failure::caused_by(Exit::Failure, error))?;
        let own = [control.address().tcp(), control.telemetry_address(), control.toxiproxy_address()];
        for own in own.into_iter().flatten() {
            proxy.keep_from(own);
        }
        proxy.apply(bound);
        app.publisher().note_life(&Actor::default(), "start", concat!("squall ", env!("CARGO_PKG_VERSION")));
        tracing::info!(seed, workers = n_workers, control = %control.address(), "started");
        Ok(Self { store, proxy, plane, app, control, exporting, seed })
    }

    /// The address of the control API.
    pub(crate) fn control_address(&self) -> &ControlAddress {
        self.control.address()
    }

    /// The address of telemetry, when it is on.
    pub(crate) fn telemetry_address(&self) -> Option<SocketAddr> {
        self.control.telemetry_address()
    }

    /// The address of Toxiproxy's API, when it is on.
    pub(crate) fn toxiproxy_address(&self) -> Option<SocketAddr> {
        self.control.toxiproxy_address()
    }

    /// The address of a listener.
    pub(crate) fn listener_address(&self, name: &str) -> Option<SocketAddr> {
        self.proxy.addresses().into_iter().find(|(listener, _)| listener.as_str() == name).map(|(_, address)| address)
    }

    /// What is in force now.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.store.load()
    }

    /// The seed of every draw.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// The control side.
    pub(crate) fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// The proxy, for the threads that end it.
    pub(crate) fn proxy(&self) -> &Arc<Proxy> {
        &self.proxy
    }

    /// Turns readiness off; gives what the configuration in force says about draining.
    pub(crate) fn leave(&self) -> Drain {
        self.plane.leave();
        self.snapshot().config.drain
    }

    /// Ends without any delay but for exchanges in flight, at most `timeout`.
    pub(crate) fn stop(self, timeout: Duration) {
        self.plane.leave();
        self.proxy.drain(timeout);
        self.finish();
    }

    /// Sends the last traces and ends the control API, last of all: it answers "not ready" while the proxy drains.
    pub(crate) fn finish(self) {
        if let Some(exporting) = self.exporting {
            exporting.finish();
        }
        self.control.shutdown();
    }
}

/// Off this machine, a token in clear text is anybody's who listens.
fn warn_of_clear_text(control: &ControlApi) {
    if !control.address.is_local() && control.tls.is_none() {
        tracing::warn!(address = %control.address, "the control API is reached over the network without TLS, and its tokens can be read there; add control.tls");
    }
}
