//! Annotations and options → settings; all problems at once.

use ipnet::IpNet;
use serde_json::Value;

use super::{Calls, Controller, Invalid, Mode, Options, Problem, Resources, Setting, Settings};
use crate::{pod, ports, quantity};

// Of the version that this was built with. Two, so that the one that stays has nothing but Squall in it.
const IMAGE: &str = concat!("squall:", env!("CARGO_PKG_VERSION"));
const INIT_IMAGE: &str = concat!("squall-net-init:", env!("CARGO_PKG_VERSION"));

// An idle sidecar has some 10 MiB resident; a thousand connections have some 30 MiB more.
const CPU_REQUEST: &str = "10m";
const MEMORY_REQUEST: &str = "32Mi";
const MEMORY_LIMIT: &str = "128Mi";

impl Settings {
    /// Of this pod, under these options.
    pub(crate) fn of(pod: &Value, options: &Options) -> Result<Self, Invalid> {
        Reader::new(pod, options).settings()
    }
}

struct Reader<'a> {
    pod: &'a Value,
    options: &'a Options,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn new(pod: &'a Value, options: &'a Options) -> Self {
        Self { pod, options, problems: Vec::new() }
    }

    fn settings(mut self) -> Result<Settings, Invalid> {
        self.texts();
        let settings = Settings {
            calls: self.calls(),
            image: self.word(Setting::Image).unwrap_or_else(|| IMAGE.to_owned()),
            init_image: self.word(Setting::InitImage).unwrap_or_else(|| INIT_IMAGE.to_owned()),
            config_map: self.read(Setting::Config, config_map),
            skip_outbound_ports: self.read(Setting::SkipOutboundPorts, ports::ranges).unwrap_or_default(),
            skips_inbound_ports: self.read(Setting::SkipInboundPorts, ports::ranges).is_some(),
            skip_subnets: self.read(Setting::SkipSubnets, subnets).unwrap_or_default(),
            log_level: self.word(Setting::LogLevel).unwrap_or_else(|| "info".to_owned()),
            log_format: self.read(Setting::LogFormat, log_format).unwrap_or_else(|| "json".to_owned()),
            resources: self.resources(),
            controller: self.options.controller.clone(),
        };
        self.controller();
        if settings.config_map.is_some() && matches!(settings.calls, Calls::Routed(_)) {
            let detail = "the ConfigMap has the listeners already; leave the one or the other out";
            self.problem(Setting::Ports, detail.to_owned());
        }
        if self.problems.is_empty() { Ok(settings) } else { Err(Invalid(self.problems)) }
    }

    /// Annotations are texts; YAML makes a number of `5432` without quotes, and the API server refuses it.
    fn texts(&mut self) {
        for setting in Setting::ALL {
            let name = setting.annotation();
            let value = pod::annotations(self.pod).and_then(|all| all.get(&name));
            if value.is_some_and(|value| !value.is_string()) {
                self.problem(setting, "an annotation is a text; put it in quotes".to_owned());
            }
        }
    }

    fn calls(&mut self) -> Calls {
        let mode = self.read(Setting::Mode, mode).unwrap_or(Mode::Native);
        let routes = self.read(Setting::Ports, ports::routes);
        match (mode, routes) {
            (Mode::Explicit, Some(routes)) => Calls::Routed(routes),
            (Mode::Explicit, None) => Calls::Proxied,
            (Mode::Native, Some(_)) => {
                self.problem(Setting::Ports, "ports need the mode explicit".to_owned());
                Calls::Redirected
            }
            (Mode::Native, None) => Calls::Redirected,
        }
    }

    /// What would keep every sidecar from its controller.
    fn controller(&mut self) {
        let Some(Controller { url, ca }) = &self.options.controller else { return };
        let mut problem = |what: &str, detail: String| self.problems.push(Problem { what: what.to_owned(), detail });
        let host = url.strip_prefix("https://").unwrap_or_default().trim_end_matches('/');
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "/?#@".contains(c)) {
            let detail = format!("{url:?} is not https:// and a host, such as https://squall.squall-system.svc");
            problem("controller", detail);
        }
        if !ca.contains("-----BEGIN CERTIFICATE-----") {
            problem("controller-ca", "there is no certificate in it (PEM)".to_owned());
        }
    }

    fn resources(&mut self) -> Resources {
        let cpu_limit = self.read(Setting::CpuLimit, quantity);
        let memory_limit = self.read(Setting::MemoryLimit, quantity);
        let cpu_request = self.read(Setting::CpuRequest, quantity);
        let memory_request = self.read(Setting::MemoryRequest, quantity);
        if exceeds(cpu_request.as_ref(), cpu_limit.as_ref()) {
            self.problem(Setting::CpuRequest, "it is more than cpu-limit".to_owned());
        }
        if exceeds(memory_request.as_ref(), memory_limit.as_ref()) {
            self.problem(Setting::MemoryRequest, "it is more than memory-limit".to_owned());
        }
        // Of the two that belong together one was said: the other one goes along where it would not fit.
        let least = |wanted: &str, limit: Option<&String>| match limit {
            Some(limit) if quantity::parse(limit) < quantity::parse(wanted) => limit.clone(),
            _ => wanted.to_owned(),
        };
        let cpu_request = cpu_request.unwrap_or_else(|| least(CPU_REQUEST, cpu_limit.as_ref()));
        let memory_request = memory_request.unwrap_or_else(|| least(MEMORY_REQUEST, memory_limit.as_ref()));
        let is_beyond = quantity::parse(&memory_request) > quantity::parse(MEMORY_LIMIT);
        let memory_limit =
            memory_limit.unwrap_or_else(|| if is_beyond { memory_request.clone() } else { MEMORY_LIMIT.to_owned() });
        Resources { cpu_request, cpu_limit, memory_request, memory_limit }
    }

    fn word(&mut self, setting: Setting) -> Option<String> {
        self.read(setting, |text| match text {
            "" => Err("it is empty".to_owned()),
            _ if text.contains(char::is_whitespace) => Err(format!("{text:?} has blanks in it")),
            _ => Ok(text.to_owned()),
        })
    }

    fn read<T>(&mut self, setting: Setting, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let written = self.annotation(setting).or_else(|| self.options.defaults.get(&setting).map(String::as_str));
        match parse(written?.trim()) {
            Ok(value) => Some(value),
            Err(why) => {
                self.problem(setting, why);
                None
            }
        }
    }

    fn annotation(&self, setting: Setting) -> Option<&'a str> {
        pod::annotation(self.pod, &setting.annotation())
    }

    fn problem(&mut self, setting: Setting, detail: String) {
        let is_annotation = pod::annotations(self.pod).is_some_and(|all| all.contains_key(&setting.annotation()));
        let what =
            if is_annotation { format!("annotation {}", setting.annotation()) } else { setting.name().to_owned() };
        self.problems.push(Problem { what, detail });
    }
}

fn mode(text: &str) -> Result<Mode, String> {
    let modes = [Mode::Native, Mode::Explicit];
    modes.into_iter().find(|mode| mode.name() == text).ok_or_else(|| format!("{text:?} is neither native nor explicit"))
}

fn log_format(text: &str) -> Result<String, String> {
    let is_one = ["text", "json"].contains(&text);
    is_one.then(|| text.to_owned()).ok_or_else(|| format!("{text:?} is neither text nor json"))
}

fn config_map(text: &str) -> Result<String, String> {
    ports::is_dns_name(text).then(|| text.to_owned()).ok_or_else(|| format!("{text:?} is no name of a ConfigMap"))
}

fn quantity(text: &str) -> Result<String, String> {
    let is_one = quantity::parse(text).is_some();
    is_one
        .then(|| text.to_owned())
        .ok_or_else(|| format!("{text:?} is no quantity; write one such as 10m, 0.5 or 128Mi"))
}

fn subnets(text: &str) -> Result<Vec<IpNet>, String> {
    let subnet = |item: &str| {
        let address = item.parse::<std::net::IpAddr>().map(IpNet::from);
        item.parse().or(address).map_err(|_| format!("{item:?} is no network; write one such as 10.0.0.0/8"))
    };
    text.split(',').map(|item| subnet(item.trim())).collect()
}

fn exceeds(request: Option<&String>, limit: Option<&String>) -> bool {
    let (Some(request), Some(limit)) = (request, limit) else { return false };
    quantity::parse(request) > quantity::parse(limit)
}
