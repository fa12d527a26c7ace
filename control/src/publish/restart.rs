//! What of a configuration takes effect only in a new process.

use squall_config::model::Config;

use super::Publisher;

impl Publisher {
    /// What stays as it was when the process started, for the operator to know.
    pub(super) fn restart_warnings(&self, config: &Config) -> Vec<String> {
        let initial = &self.initial;
        let mut warnings = Vec::new();
        let mut stays = |what: &str, now: &dyn std::fmt::Display| {
            warnings.push(format!("{what}: stays {now} until Squall is started again"));
        };
        let (control, first) = (&config.control, &initial.control);
        if control.address != first.address {
            stays("control.address", &first.address);
        }
        if (&control.token_file, &control.tls) != (&first.token_file, &first.tls) {
            stays("control.token_file and control.tls", &"as they were");
        }
        if config.telemetry != initial.telemetry {
            stays(
                "telemetry.address",
                &initial.telemetry.map_or_else(|| "off".to_owned(), |address| address.to_string()),
            );
        }
        if config.toxiproxy.map(|api| api.address) != initial.toxiproxy.map(|api| api.address) {
            let first = initial.toxiproxy.map(|api| api.address.to_string());
            stays("toxiproxy.address", &first.unwrap_or_else(|| "off".to_owned()));
        }
        if config.controller != initial.controller {
            let first = initial.controller.as_ref().map(|controller| controller.url.to_string());
            stays(
                "controller",
                &first.map_or_else(|| "off".to_owned(), |url| format!("{url}, with the files named then")),
            );
        }
        if config.access_log != initial.access_log {
            stays("access_log", &initial.access_log.as_ref().map_or_else(|| "off".to_owned(), ToString::to_string));
        }
        if config.state_dir != initial.state_dir {
            let first = initial.state_dir.as_ref();
            stays("state_dir", &first.map_or_else(|| "off".to_owned(), |path| path.display().to_string()));
        }
        if config.seed.is_some_and(|seed| seed != self.seed) {
            stays("seed", &self.seed);
        }
        warnings
    }
}
