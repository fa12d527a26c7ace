//! The first thing that people see: where everything is, and the next command.

use std::fmt::Write;

use http::Method;
use squall_config::model::ListenerProtocol;

use super::sidecar::Sidecar;
use crate::client::{Base, Call};
use crate::output;

/// Tells on stderr where everything is.
pub(super) fn print(sidecar: &Sidecar) {
    output::say(&text(sidecar));
}

fn text(sidecar: &Sidecar) -> String {
    let snapshot = sidecar.snapshot();
    let mut text = format!("squall {} is running (seed {})\n", env!("CARGO_PKG_VERSION"), sidecar.seed());
    for listener in &snapshot.listeners {
        let listener = &listener.listener;
        let Some(address) = sidecar.listener_address(listener.name.as_str()) else { continue };
        let scheme = match (listener.protocol, &listener.tls) {
            (ListenerProtocol::Http | ListenerProtocol::Auto, None) => "http",
            (ListenerProtocol::Http | ListenerProtocol::Auto, Some(_)) => "https",
            (ListenerProtocol::Tcp, None) => "tcp",
            (ListenerProtocol::Tcp, Some(_)) => "tls",
        };
        let cluster = snapshot.clusters.iter().find(|cluster| cluster.name == listener.cluster);
        let endpoints: Vec<_> = cluster.iter().flat_map(|c| &c.endpoints).map(|e| e.address.to_string()).collect();
        let to = match cluster {
            Some(cluster) if cluster.forwards() => "where requests say (HTTP_PROXY, HTTPS_PROXY)".to_owned(),
            Some(cluster) if cluster.is_original_dst => "where connections were going (squall net-init)".to_owned(),
            _ => endpoints.join(", "),
        };
        let _ = writeln!(text, "  {:<12} {scheme}://{address} -> {to}", listener.name);
    }
    let api = &snapshot.config.control;
    let control = Base::of_control(sidecar.control_address(), api.tls.is_some());
    let _ = writeln!(text, "  {:<12} {control}", "control");
    if let Some(telemetry) = sidecar.telemetry_address() {
        let _ = writeln!(text, "  {:<12} {}/metrics", "telemetry", Base::of(telemetry));
    }
    if let Some(toxiproxy) = sidecar.toxiproxy_address() {
        let _ = writeln!(text, "  {:<12} {}", "toxiproxy", Base::of(toxiproxy));
    }
    if snapshot.listeners.is_empty()
        && let Some(toxiproxy) = sidecar.toxiproxy_address()
    {
        let proxy = r#"{"name": "redis", "listen": "127.0.0.1:26379", "upstream": "127.0.0.1:6379"}"#;
        let toxic = r#"{"type": "latency", "attributes": {"latency": 1000}}"#;
        let proxies = format!("{}/proxies", Base::of(toxiproxy));
        let _ = writeln!(text, "make a proxy:  curl -d '{proxy}' {proxies}");
        let _ = writeln!(text, "add a toxic:   curl -d '{toxic}' {proxies}/redis/toxics");
    } else if snapshot.rules.is_empty() {
        let rule = serde_json::json!({ "percentage": 25, "fault": { "delay": "200ms" } });
        let line = |call: Call| call.curl_of_environment(&control, api.token_file.is_some());
        let _ = writeln!(text, "add a fault:   {}", line(Call::new(Method::PUT, "/v1/rules/slow").with_body(rule)));
        let _ = writeln!(text, "and remove it: {}", line(Call::new(Method::DELETE, "/v1/rules/slow")));
    }
    text
}
