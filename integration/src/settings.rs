//! Configuration texts, short enough to be read in a test.

use std::fmt::Write as _;
use std::net::SocketAddr;

/// Builds the text of a configuration file. Every address that Squall listens on has port 0.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    control: Option<String>,
    listeners: String,
    clusters: String,
    rest: String,
}

impl Settings {
    /// Nothing but a control address.
    pub fn new() -> Self {
        Self::default()
    }

    /// The usual case: outbound listener `to-b` for HTTP, cluster `service-b` with one HTTP/1 endpoint.
    pub fn http(origin: SocketAddr) -> Self {
        Self::new().listener("to-b", "http", "service-b").cluster("service-b", "http1", &[origin])
    }

    /// As [`Self::http`] with an HTTP/2 endpoint.
    pub fn http2(origin: SocketAddr) -> Self {
        Self::new().listener("to-b", "http", "service-b").cluster("service-b", "http2", &[origin])
    }

    /// As [`Self::http`], but bytes are relayed.
    pub fn tcp(origin: SocketAddr) -> Self {
        Self::new().listener("to-b", "tcp", "service-b").cluster("service-b", "http1", &[origin])
    }

    /// Says what `control` is, in place of a port chosen by the system on loopback.
    #[must_use]
    pub fn control(mut self, text: &str) -> Self {
        self.control = Some(text.to_owned());
        self
    }

    /// Adds an outbound listener.
    #[must_use]
    pub fn listener(self, name: &str, protocol: &str, cluster: &str) -> Self {
        self.listener_with(name, protocol, cluster, "")
    }

    /// Adds an outbound listener with more fields, as in `idle_timeout: 1s`, one a line.
    #[must_use]
    pub fn listener_with(mut self, name: &str, protocol: &str, cluster: &str, more: &str) -> Self {
        let _ = writeln!(self.listeners, "  - name: {name}\n    address: 127.0.0.1:0");
        let _ = writeln!(self.listeners, "    protocol: {protocol}\n    cluster: {cluster}");
        let direction = if more.contains("direction:") { "" } else { "direction: outbound\n" };
        for line in direction.lines().chain(more.lines()) {
            let _ = writeln!(self.listeners, "    {line}");
        }
        self
    }

    /// Adds a cluster.
    #[must_use]
    pub fn cluster(self, name: &str, protocol: &str, endpoints: &[SocketAddr]) -> Self {
        self.cluster_with(name, protocol, endpoints, "")
    }

    /// Adds a cluster with more fields, one a line.
    #[must_use]
    pub fn cluster_with(self, name: &str, protocol: &str, endpoints: &[SocketAddr], more: &str) -> Self {
        let list: Vec<String> = endpoints.iter().map(|e| format!("\"{e}\"")).collect();
        self.cluster_of(name, protocol, &list.join(", "), more)
    }

    /// Adds a cluster whose endpoints are written as in the file, with a comma between them.
    #[must_use]
    pub fn cluster_of(mut self, name: &str, protocol: &str, endpoints: &str, more: &str) -> Self {
        let _ = writeln!(self.clusters, "  - name: {name}\n    protocol: {protocol}");
        let _ = writeln!(self.clusters, "    endpoints: [{endpoints}]");
        for line in more.lines() {
            let _ = writeln!(self.clusters, "    {line}");
        }
        self
    }

    /// Adds top-level text, as in `seed: 7`.
    #[must_use]
    pub fn with(mut self, text: &str) -> Self {
        self.rest += text;
        self.rest += "\n";
        self
    }

    /// The file.
    pub fn text(&self) -> String {
        let control = self.control.as_deref().unwrap_or("{ address: \"127.0.0.1:0\" }");
        let mut text = format!("version: 1\ncontrol: {control}\n");
        if !self.listeners.is_empty() {
            let _ = write!(text, "listeners:\n{}", self.listeners);
        }
        if !self.clusters.is_empty() {
            let _ = write!(text, "clusters:\n{}", self.clusters);
        }
        text + &self.rest
    }
}
