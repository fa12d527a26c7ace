//! What each of the proxies is told.

use std::net::SocketAddr;

use crate::setup::Setup;
use crate::work::{DELAYED, Work};

pub(crate) fn squall(
    work: Work,
    (address, upstream): (SocketAddr, SocketAddr),
    setup: &Setup<'_>,
    others: usize,
) -> String {
    let (listener, cluster) = match work {
        Work::TcpBulk | Work::TcpPingPong => ("tcp", "http1"),
        Work::Http2 | Work::WorkersHttp2 => ("http", "http2"),
        _ => ("http", "http1"),
    };
    let matching = r#"{"name": "matches", "percentage": 0, "fault": {"delay": "1s"}}"#.to_owned();
    let other = |i| {
        format!(
            r#"{{"name": "other-{i}", "percentage": 100, "match": {{"path": {{"prefix": "/other/{i}"}}}}, "fault": {{"delay": "1s"}}}}"#
        )
    };
    let delay = format!(
        r#"{{"name": "delayed", "percentage": 100, "match": {{"path": "{DELAYED}"}}, "fault": {{"delay": "100ms"}}}}"#
    );
    let delay = (work == Work::Delay).then_some(delay);
    let rules: Vec<String> = std::iter::once(matching).chain(delay).chain((0..others).map(other)).collect();
    let (cert, key) = (setup.identity.cert.display(), setup.identity.key.display());
    let tls = if work.is_tls() { format!(", tls: {{cert: '{cert}', key: '{key}'}}") } else { String::new() };
    format!(
        "version: 1\nlimits: {{rules_max: 20000}}\n\
         listeners: [{{name: in, address: '{address}', protocol: {listener}, cluster: b{tls}}}]\n\
         clusters: [{{name: b, endpoints: ['{upstream}'], protocol: {cluster}}}]\n\
         rules: [{}]\n",
        rules.join(",\n")
    )
}

pub(crate) fn haproxy(
    work: Work,
    (address, upstream): (SocketAddr, SocketAddr),
    setup: &Setup<'_>,
    others: usize,
) -> String {
    // Spliced connections take four descriptors for their pipes, and HAProxy insists on having them all.
    let maxconn = if matches!(work, Work::TcpBulk | Work::TcpPingPong) { 1_000 } else { 8_000 };
    let (mode, proto, options) = match work {
        Work::TcpBulk | Work::TcpPingPong => ("tcp", "", "option splice-request\n option splice-response"),
        Work::Http2 | Work::WorkersHttp2 => ("http", "proto h2", "http-reuse always"),
        _ => ("http", "", "http-reuse always"),
    };
    let other = |i| format!(" use_backend out if {{ path_beg /other/{i} }}\n");
    let (others, workers): (String, _) = ((0..others).map(other).collect(), work.workers());
    let pair = setup.identity.pair.display();
    let tls = if work.is_tls() { format!("ssl crt {pair} ssl-min-ver TLSv1.3") } else { String::new() };
    format!(
        "global\n nbthread {workers}\n maxconn {maxconn}\n\
         defaults\n mode {mode}\n {options}\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n\
         frontend in\n bind {address} {proto} {tls}\n{others} default_backend out\n\
         backend out\n server b {upstream} {proto}\n"
    )
}

pub(crate) fn nginx(work: Work, (address, upstream): (SocketAddr, SocketAddr), setup: &Setup<'_>) -> String {
    let here = setup.directory.display();
    let (cert, key) = (setup.identity.cert.display(), setup.identity.key.display());
    let tls = format!("ssl; ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.3");
    let tls = if work.is_tls() { tls } else { String::new() };
    format!(
        "daemon off; master_process off; worker_processes 1; pid {here}/nginx.pid; error_log {here}/nginx-error.log;\n\
         events {{ worker_connections 16000; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;\n\
         client_body_temp_path {here}/b; proxy_temp_path {here}/p; fastcgi_temp_path {here}/f;\n\
         uwsgi_temp_path {here}/u; scgi_temp_path {here}/s;\n\
         upstream b {{ server {upstream}; keepalive 256; keepalive_requests 1000000000; }}\n\
         server {{ listen {address} {tls};\n\
         location / {{ proxy_pass http://b; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
         proxy_set_header Host $http_host; }} }} }}\n"
    )
}

pub(crate) fn fault(address: SocketAddr, upstream: SocketAddr) -> serde_json::Value {
    serde_json::json!({"schema_version": 1, "name": "compare", "phases": [{"name": "all", "proxies": []}],
        "proxies": [{"name": "in", "protocol": "tcp", "listen": address, "upstream": upstream}]})
}

pub(crate) fn envoy(
    work: Work,
    (address, upstream): (SocketAddr, SocketAddr),
    setup: &Setup<'_>,
    others: usize,
) -> serde_json::Value {
    use serde_json::json;
    let is_http2 = matches!(work, Work::Http2 | Work::WorkersHttp2);
    let at = |a: SocketAddr| json!({"socket_address": {"address": a.ip().to_string(), "port_value": a.port()}});
    let filter = if matches!(work, Work::TcpBulk | Work::TcpPingPong) {
        json!({"name": "tcp", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": "in", "cluster": "b"}})
    } else {
        let delay = |fixed: &str, percent: u32| {
            json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
                "delay": {"fixed_delay": fixed, "percentage": {"numerator": percent}}})
        };
        let fault = json!({"name": "envoy.filters.http.fault", "typed_config": delay("1s", 0)});
        let other = |i| json!({"match": {"prefix": format!("/other/{i}")}, "route": {"cluster": "b"}});
        let mut routes: Vec<serde_json::Value> = (0..others).map(other).collect();
        routes.push(json!({"match": {"path": DELAYED}, "route": {"cluster": "b"},
            "typed_per_filter_config": {"envoy.filters.http.fault": delay("0.1s", 100)}}));
        routes.push(json!({"match": {"prefix": "/"}, "route": {"cluster": "b"}}));
        let router = json!({"name": "envoy.filters.http.router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}});
        json!({"name": "http", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "in", "codec_type": if is_http2 { "HTTP2" } else { "HTTP1" },
            "generate_request_id": false,
            "route_config": {"virtual_hosts": [{"name": "b", "domains": ["*"], "routes": routes}]},
            "http_filters": [fault, router]}})
    };
    let mut cluster = json!({"name": "b", "type": "STATIC", "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [{"max_connections": 20000, "max_pending_requests": 20000, "max_requests": 20000}]},
        "load_assignment": {"cluster_name": "b", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": at(upstream)}}]}]}});
    if is_http2 {
        cluster["typed_extension_protocol_options"] = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}}}});
    }
    let mut chain = json!({"filters": [filter]});
    if work.is_tls() {
        chain["transport_socket"] = json!({"name": "tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_3"},
                "tls_certificates": [{"certificate_chain": {"filename": setup.identity.cert},
                    "private_key": {"filename": setup.identity.key}}]}}});
    }
    json!({"static_resources": {
        "listeners": [{"name": "in", "address": at(address), "filter_chains": [chain]}],
        "clusters": [cluster]}})
}
