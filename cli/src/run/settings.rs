//! Flags over environment over file over defaults. (clap puts flags over environment; the file's defaults are in
//! `squall-config`; the middle is here.)

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use squall_config::model::{Config, ControlAddress};
use squall_config::spec::{AccessLogSpec, ClusterSpec, ConfigSpec, ControllerSpec, ListenerSpec, Scalar, Written};

use super::address::Upstream;
use super::args::RunArgs;
use crate::exit::{Exit, Failure};
use crate::source;

/// The listener of `--listen`.
pub(crate) const LISTENER: &str = "to-upstream";
/// The cluster of `--upstream`.
pub(crate) const CLUSTER: &str = "upstream";
const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// What flags and environment say about the configuration; they say it again after each reload of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    route: Option<(SocketAddr, Upstream)>,
    control: Option<ControlAddress>,
    control_token_file: Option<String>,
    telemetry: Option<SocketAddr>,
    toxiproxy: Option<SocketAddr>,
    toxiproxy_open: bool,
    controller: ControllerSpec,
    access_log: Option<String>,
    state_dir: Option<String>,
    seed: Option<u64>,
}

impl Overrides {
    fn of(args: &RunArgs) -> Result<Self, Failure> {
        let route = match (args.listen, &args.upstream) {
            (listen, Some(upstream)) => Some((listen.unwrap_or(LISTEN_DEFAULT), upstream.clone())),
            (Some(_), None) => {
                let message = "--listen needs to know where the traffic goes: add --upstream http://host:port";
                return Err(Failure::new(Exit::Usage, message));
            }
            (None, None) => None,
        };
        let (control, control_token_file) = (args.control.clone(), args.control_token_file.clone());
        let (telemetry, access_log) = (args.telemetry, args.access_log.clone());
        let (toxiproxy, toxiproxy_open) = (args.toxiproxy, args.toxiproxy_open);
        let controller = args.controller.spec();
        let (state_dir, seed) = (args.state_dir.clone(), args.seed);
        Ok(Self {
            route,
            control,
            control_token_file,
            telemetry,
            toxiproxy,
            toxiproxy_open,
            controller,
            access_log,
            state_dir,
            seed,
        })
    }

    /// Puts them over a document.
    pub(crate) fn apply(&self, spec: &mut ConfigSpec) {
        let written = |address: SocketAddr| Some(Scalar::Text(address.to_string()));
        if let Some(address) = &self.control {
            spec.control.get_or_insert_default().address = Some(Scalar::Text(address.to_string()));
        }
        if let Some(file) = &self.control_token_file {
            spec.control.get_or_insert_default().token_file = Some(file.clone());
        }
        if let Some(address) = self.telemetry {
            spec.telemetry.get_or_insert_default().address = written(address);
        }
        if let Some(address) = self.toxiproxy {
            spec.toxiproxy.get_or_insert_default().address = written(address);
        }
        if self.toxiproxy_open {
            spec.toxiproxy.get_or_insert_default().open = Some(true);
        }
        let ControllerSpec { url, ca, token_file, labels_file } = &self.controller;
        for (said, field) in [
            (url, (|spec| &mut spec.url) as fn(&mut ControllerSpec) -> &mut Option<String>),
            (ca, |spec| &mut spec.ca),
            (token_file, |spec| &mut spec.token_file),
            (labels_file, |spec| &mut spec.labels_file),
        ] {
            if said.is_some() {
                field(spec.controller.get_or_insert_default()).clone_from(said);
            }
        }
        match self.access_log.as_deref() {
            Some("stdout") => spec.access_log = Some(Written::Short("stdout".into())),
            Some(file) => spec.access_log = Some(Written::Full(AccessLogSpec { file: Some(file.to_owned()) })),
            None => {}
        }
        spec.state_dir = self.state_dir.clone().or(spec.state_dir.take());
        spec.seed = self.seed.or(spec.seed);
        if let Some((listen, upstream)) = &self.route {
            spec.listeners.push(ListenerSpec {
                name: LISTENER.to_owned(),
                address: written(*listen),
                protocol: Some(upstream.protocol.to_owned()),
                cluster: Some(CLUSTER.to_owned()),
                ..ListenerSpec::default()
            });
            spec.clusters.push(ClusterSpec {
                name: CLUSTER.to_owned(),
                endpoints: vec![Written::Short(Scalar::Text(upstream.address.clone()))],
                ..ClusterSpec::default()
            });
        }
    }

    /// A file that has the names of `--listen` and `--upstream` already means something else by them.
    fn refuse_taken_names(&self, spec: &ConfigSpec, file: &Path) -> Result<(), Failure> {
        let listener = spec.listeners.iter().any(|l| l.name == LISTENER).then_some(("listener", LISTENER));
        let cluster = spec.clusters.iter().any(|c| c.name == CLUSTER).then_some(("cluster", CLUSTER));
        match (&self.route, listener.or(cluster)) {
            (Some(_), Some((kind, name))) => Err(Failure::new(
                Exit::Usage,
                format!(
                    "--upstream adds {kind} {name}, which {} has already; rename it there or leave --listen and --upstream out",
                    file.display()
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// The merged configuration, as written and checked.
#[derive(Debug)]
pub(crate) struct Settings {
    /// As written.
    pub(crate) document: ConfigSpec,
    /// Checked.
    pub(crate) config: Config,
    /// Where it was read from, unless from standard input.
    pub(crate) file: Option<PathBuf>,
    /// What was said beside the file.
    pub(crate) overrides: Overrides,
}

impl Settings {
    /// Merges. The failure lists all problems (exit 3) or says what the command line lacks (exit 2).
    pub(crate) fn load(args: &RunArgs) -> Result<Self, Failure> {
        let overrides = Overrides::of(args)?;
        let mut document = match &args.config {
            Some(path) => source::load_usable_config(path)?.0,
            None if overrides.route.is_some() || overrides.toxiproxy.is_some() => {
                ConfigSpec { version: Some(1), ..ConfigSpec::default() }
            }
            None => {
                let message = "nothing to run: give --upstream http://host:port for one server, -c FILE (`squall config init` \
                               writes one), or --toxiproxy 127.0.0.1:8474 for clients of Toxiproxy; `squall demo` needs none";
                return Err(Failure::new(Exit::Usage, message));
            }
        };
        let file = args.config.clone();
        let name = file.clone().unwrap_or_else(|| PathBuf::from("the command line"));
        overrides.refuse_taken_names(&document, &name)?;
        overrides.apply(&mut document);
        let config = squall_config::validate(&document).map_err(|problems| source::invalid(&name, &problems))?;
        Ok(Self { document, config, file: file.filter(|path| path != Path::new("-")), overrides })
    }
}

/// A seed that nobody chose. The standard library draws its hash keys from the system's generator.
pub(crate) fn seed_of_system() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests;
