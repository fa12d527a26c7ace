//! Toxiproxy's HTTP API: what it answers, what toxics do, and what it shares with the control API.

#![expect(clippy::unwrap_used, reason = "tests")]

mod contract;
mod engine;
mod toxics;

use serde_json::{Value, json};
use squall_integration::{Api, Settings, Squall};

/// Squall with Toxiproxy's API and nothing else.
struct Toxiproxy {
    squall: Squall,
    api: Api,
}

impl Toxiproxy {
    fn start() -> Self {
        Self::start_with("")
    }

    /// With more in the configuration, below `toxiproxy`, such as `proxies: […]`.
    fn start_with(more: &str) -> Self {
        Self::of(&Settings::new().with(&format!("toxiproxy:\n  address: 127.0.0.1:0\n{more}")))
    }

    fn of(settings: &Settings) -> Self {
        let squall = Squall::start(settings);
        let api = squall.toxiproxy();
        Self { squall, api }
    }

    /// A call that must answer so.
    fn call(&self, method: &str, path: &str, body: &Value, status: u16) -> Value {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.api.call(method, path, &[], &text);
        assert_eq!(answer.status, status, "{method} {path} {text}: {}", answer.text());
        if answer.text().is_empty() { Value::Null } else { answer.json() }
    }

    /// Makes a proxy on a free port; gives where it listens.
    fn proxy(&self, name: &str, upstream: impl std::fmt::Display) -> std::net::SocketAddr {
        let proxy = json!({"name": name, "listen": "127.0.0.1:0", "upstream": upstream.to_string()});
        let made = self.call("POST", "/proxies", &proxy, 201);
        made["listen"].as_str().unwrap().parse().unwrap()
    }

    fn toxic(&self, proxy: &str, kind: &str, stream: &str, attributes: &Value) -> Value {
        let toxic = json!({"type": kind, "stream": stream, "attributes": attributes});
        self.call("POST", &format!("/proxies/{proxy}/toxics"), &toxic, 200)
    }
}
