use std::time::Duration;

use super::*;
use crate::model::{Caps, Ejection, HealthCheck, LoadBalancing, Probe};

#[test]
fn listeners_and_clusters_report_what_is_missing() {
    assert_eq!(
        problems("version: 1\ntelemetry: {}\nlisteners: [{}]\nclusters: [{}, {name: B}, {name: x, endpoints: [{}]}]\n"),
        [
            "telemetry.address: missing",
            "listeners[0].name: missing",
            "listeners[0].address: missing",
            "listeners[0].cluster: missing",
            "clusters[0].name: missing",
            "clusters[0].endpoints: missing",
            "clusters[1].name: cluster \"B\": 'B' cannot be in a name; use a-z, 0-9, '-', '_' and '.'",
            "clusters[1].endpoints: cluster \"B\": missing",
            "clusters[2].endpoints[0].address: cluster \"x\": missing",
        ]
    );
}

#[test]
fn names_are_unique_and_references_exist() {
    assert_eq!(
        problems(&document(
            "rules:\n- {name: r, percentage: 1, fault: {delay: 1s}}\n- {name: r, percentage: 1, fault: {delay: 1s}}\n"
        )),
        ["rules[1].name: the name \"r\" is taken by rules[0]"]
    );
    let text =
        document("").replace("cluster: b}", "cluster: bee}").replace("protocol: tcp", "protocol: tpc, direction: up");
    assert_eq!(
        problems(&text),
        [
            "listeners[0].cluster: listener \"web\": there is no cluster \"bee\"",
            "listeners[1].direction: listener \"raw\": \"up\" is not one of outbound, inbound",
            "listeners[1].protocol: listener \"raw\": \"tpc\" is not one of http, tcp, auto",
        ]
    );
    let text = "version: 1\nlisteners: [{name: a, address: \"127.0.0.1:0\", cluster: b}]\n";
    let spec = crate::parse_text(text).unwrap();
    let problem = crate::validate(&spec).unwrap_err().0.remove(0);
    assert_eq!(problem.hint.as_deref(), Some("there is no cluster yet; add one"));
}

#[test]
fn listening_addresses_have_hints() {
    for (address, hint) in [
        ("localhost:80", "write 127.0.0.1:80"),
        (":80", "write 0.0.0.0:80"),
        ("*:80", "write 0.0.0.0:80"),
        ("::1:80", "put brackets"),
        ("8080", "write 127.0.0.1:8080"),
        ("127.0.0.1", "add the port"),
        ("b:80", "write an IP address and a port"),
        ("nonsense", "write an IP address and a port"),
    ] {
        let spec = crate::parse_text(&format!("version: 1\ncontrol: {{address: \"{address}\"}}\n")).unwrap();
        let problem = crate::validate(&spec).unwrap_err().0.remove(0);
        assert!(problem.hint.as_deref().unwrap().starts_with(hint), "{problem}");
    }
}

#[test]
fn addresses_are_taken_once() {
    let pair = |a: &str, b: &str| {
        format!("version: 1\ncontrol: {{address: \"{a}\", token_file: t}}\ntelemetry: {{address: \"{b}\"}}\n")
    };
    for (a, b) in [
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("0.0.0.0:80", "127.0.0.1:80"),
        ("127.0.0.1:80", "0.0.0.0:80"),
        ("[::]:80", "127.0.0.1:80"),
        ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
    ] {
        assert_eq!(problems(&pair(a, b)).len(), 1, "{a} {b}");
    }
    for (a, b) in [
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("127.0.0.1:80", "127.0.0.2:80"),
        ("127.0.0.1:80", "127.0.0.1:81"),
        ("0.0.0.0:80", "[::1]:80"),
    ] {
        load(&pair(a, b));
    }
}

fn endpoint_problems(endpoint: &str) -> Vec<String> {
    problems(&format!(
        "version: 1\ncontrol: {{address: \"127.0.0.1:1\"}}\ntelemetry: {{address: \"0.0.0.0:2\"}}\nclusters:\n- {{name: b, endpoints: [\"{endpoint}\"]}}\n"
    ))
}

#[test]
fn endpoints_are_host_and_port() {
    for (endpoint, part) in [
        ("b", "the port is missing"),
        ("b:0", "port 0"),
        ("b:x", "\"x\" is not a port"),
        ("b:99999", "\"99999\" is not a port"),
        ("http://b:80/path", "more than that"),
        ("user@b:80", "more than that"),
        ("https://b:443", "is TLS, but the cluster has no tls"),
        ("ftp://b:80", "more than that"),
        (":80", "\"\" is not a host"),
        ("a..b:80", "\"a..b\" is not a host"),
        ("a b:80", "\"a b\" is not a host"),
        ("1.2.3:80", "\"1.2.3\" is not a host"),
        ("::1:80", "\"::1\" is not a host"),
        ("[::1]", "the port is missing"),
        ("[x]:80", "\"[x]\" is not a host"),
    ] {
        let problems = endpoint_problems(endpoint);
        assert!(problems.len() == 1 && problems[0].contains(part), "{endpoint}: {problems:?}");
    }
    let config = load(
        "version: 1\nclusters: [{name: b, endpoints: [\"http://b\", \"a_b.c.:81\", \"[::1]:82\", \"http://[::1]/\"]}]\n",
    );
    let addresses: Vec<String> = config.clusters[0].endpoints.iter().map(|e| e.address.to_string()).collect();
    assert_eq!(addresses, ["b:80", "a_b.c.:81", "[::1]:82", "[::1]:80"]);
}

#[test]
fn endpoints_are_not_our_own() {
    for endpoint in [
        "127.0.0.1:1",
        "localhost:1",
        "LOCALHOST.:1",
        "x.localhost:1",
        "0.0.0.0:1",
        "[::ffff:127.0.0.1]:1",
        "127.0.0.9:2",
        "[::1]:2",
    ] {
        let problems = endpoint_problems(endpoint);
        assert!(problems.len() == 1 && problems[0].contains("loop"), "{endpoint}: {problems:?}");
    }
}

#[test]
fn clusters_have_bounds() {
    assert_eq!(
        problems(
            "version: 1\nclusters:\n- {name: b, endpoints: [{address: \"h:1\", weight: 0}], protocol: h2, connect_timeout: 0s, \
             idle_timeout: 4, idle_connections_max: 100000, header_timeout: 0s, response_timeout: 0s}\n"
        ),
        [
            "clusters[0].endpoints[0].weight: cluster \"b\": a weight of 0 gets no traffic",
            "clusters[0].protocol: cluster \"b\": \"h2\" is not one of http1, http2",
            "clusters[0].connect_timeout: cluster \"b\": it must be longer than 0s",
            "clusters[0].idle_timeout: cluster \"b\": the duration 4 has no unit",
            "clusters[0].header_timeout: cluster \"b\": it must be longer than 0s",
            "clusters[0].response_timeout: cluster \"b\": it must be longer than 0s",
            "clusters[0].idle_connections_max: cluster \"b\": 100000 is too large",
        ]
    );
}

#[test]
fn clusters_say_how_they_balance_eject_check_and_bound() {
    let text = |more: &str| format!("version: 1\nclusters:\n- {{name: b, endpoints: [\"h:1\"], {more}}}\n");
    let cluster = load(&text(
        "load_balancing: least_request, connections_max: 5, requests_max: 7, pending_max: 0, \
         ejection: {consecutive_failures: 3, max_percentage: 100, server_errors: false}, \
         health_check: {path: \"/healthz?deep\", interval: 500ms, healthy_threshold: 3}",
    ))
    .clusters
    .remove(0);
    assert_eq!(cluster.load_balancing, LoadBalancing::LeastRequest);
    assert_eq!(cluster.caps, Caps { connections_max: Some(5), requests_max: Some(7), pending_max: 0 });
    let ejection = Ejection {
        consecutive_failures: 3,
        base_time: Duration::from_secs(30),
        max_percentage: 100,
        server_errors: false,
    };
    assert_eq!(cluster.ejection, Some(ejection));
    let check = HealthCheck {
        probe: Probe::Http("/healthz?deep".parse().unwrap()),
        interval: Duration::from_millis(500),
        timeout: Duration::from_millis(500),
        unhealthy_threshold: 2,
        healthy_threshold: 3,
    };
    assert_eq!(cluster.health_check, Some(check));
    let plain = load(&text("ejection: {}, health_check: {tcp: true}")).clusters.remove(0);
    assert_eq!(plain.ejection.unwrap().consecutive_failures, 5);
    assert_eq!(plain.health_check.unwrap().probe, Probe::Tcp);
    let bare = load("version: 1\nclusters: [{name: b, endpoints: [\"h:1\"]}]\n").clusters.remove(0);
    assert!(bare.ejection.is_none() && bare.health_check.is_none() && bare.caps == Caps::default());
}

#[test]
fn what_clusters_say_makes_sense() {
    let of = |more: &str| {
        let text = format!("version: 1\nclusters:\n- {{name: b, endpoints: [\"h:1\"], {more}}}\n");
        problems(&text).into_iter().map(|p| p.replace("clusters[0].", "").replace("cluster \"b\": ", "")).collect()
    };
    let cases: [(&str, &[&str]); 9] = [
        ("load_balancing: random", &["load_balancing: \"random\" is not one of round_robin, least_request"]),
        (
            "ejection: {consecutive_failures: 0, base_time: 0s, max_percentage: 0}",
            &[
                "ejection.consecutive_failures: 0 is too small",
                "ejection.base_time: it must be longer than 0s",
                "ejection.max_percentage: 0 ejects nothing",
            ],
        ),
        ("ejection: {max_percentage: 101}", &["ejection.max_percentage: 101 is not a percentage"]),
        ("health_check: {}", &["health_check: it says nothing of what to ask"]),
        ("health_check: {path: /a, tcp: true}", &["health_check: path and tcp exclude each other"]),
        ("health_check: {path: healthz}", &["health_check.path: \"healthz\" does not begin with '/'"]),
        (
            "health_check: {path: \"/a b\", interval: 1s, timeout: 2s, unhealthy_threshold: 0, healthy_threshold: 9999}",
            &[
                "health_check.path: \"/a b\" is not a path",
                "health_check.timeout: 2s is longer than the interval of the checks",
                "health_check.unhealthy_threshold: 0 is too small",
                "health_check.healthy_threshold: 9999 is too large",
            ],
        ),
        ("connections_max: 0, requests_max: 0", &["connections_max: 0 is too small", "requests_max: 0 is too small"]),
        ("pending_max: 3", &["pending_max: without connections_max nothing ever waits for a connection"]),
    ];
    for (more, expected) in cases {
        let found: Vec<String> = of(more);
        assert_eq!(found, expected, "{more}");
    }
}

#[test]
fn unknown_words_of_clusters_have_hints() {
    for (more, hint) in [
        ("ejektion: {}", "did you mean \"ejection\"?"),
        ("ejection: {consecutive_failure: 1}", "did you mean \"consecutive_failures\"?"),
        ("health_check: {pathh: /a}", "did you mean \"path\"?"),
        ("load_balancing: least_requests", "did you mean \"least_request\"?"),
    ] {
        let text = format!("version: 1\nclusters:\n- {{name: b, endpoints: [\"h:1\"], {more}}}\n");
        let problems = crate::load_text(&text).unwrap_err().0;
        assert!(problems.iter().any(|problem| problem.hint.as_deref() == Some(hint)), "{problems:?}");
    }
}

#[test]
fn the_dns_server_is_an_address() {
    let cluster = "clusters: [{name: b, endpoints: [\"h:1\"]}]\n";
    let server = |text: &str| format!("version: 1\ndns: {text}\n{cluster}");
    let found = load(&server("{server: \"127.0.0.1:53\"}")).clusters.remove(0).dns_server;
    assert_eq!(found, "127.0.0.1:53".parse().ok());
    assert_eq!(problems(&server("{}")), ["dns.server: missing"]);
    for text in ["localhost:53", "127.0.0.1", "127.0.0.1:0"] {
        assert_eq!(
            problems(&server(&format!("{{server: \"{text}\"}}"))),
            [format!("dns.server: {text:?} is not the address of a DNS server")]
        );
    }
}

#[test]
fn endpoints_are_matched_by_name_or_by_an_address_that_it_may_have() {
    let text = |endpoint: &str| {
        format!(
            "version: 1\nclusters: [{{name: b, endpoints: [\"name:80\", \"10.0.0.1:81\"]}}]\n\
             rules: [{{name: r, match: {{endpoint: \"{endpoint}\"}}, percentage: 1, fault: {{abort: 503}}}}]\n"
        )
    };
    for known in ["name:80", "10.0.0.1:81", "10.9.9.9:80", "[::1]:80"] {
        load(&text(known));
    }
    for unknown in ["name:81", "other:80", "10.0.0.2:81", "10.9.9.9:82"] {
        let found = problems(&text(unknown));
        assert!(found.len() == 1 && found[0].contains("no cluster has the endpoint"), "{unknown}: {found:?}");
    }
}

#[test]
fn tls_names_files_that_belong_together() {
    let with = |listener: &str, cluster: &str| {
        format!(
            "version: 1\nlisteners: [{{name: a, address: \"127.0.0.1:0\", cluster: b, tls: {listener}}}]\n\
             clusters: [{{name: b, endpoints: [\"https://b.example\"], tls: {cluster}}}]\n"
        )
    };
    let text = with("{cert: a.crt, key: a.key, client_ca: ca.crt}", "{ca: ca.crt, server_name: b, cert: c, key: k}");
    let config = crate::validate(&crate::parse_text(&text).unwrap()).unwrap();
    let server = config.listeners[0].tls.as_ref().unwrap().server().unwrap();
    assert_eq!(server.files().map(|f| f.to_str().unwrap()).collect::<Vec<_>>(), ["a.crt", "a.key", "ca.crt"]);
    let client = config.clusters[0].tls.as_ref().unwrap();
    assert_eq!(client.files().map(|f| f.to_str().unwrap()).collect::<Vec<_>>(), ["c", "k", "ca.crt"]);
    assert_eq!((client.server_name.as_deref(), config.clusters[0].endpoints[0].address.port), (Some("b"), 443));
    assert_eq!(
        problems(&with("{cert: \"\"}", "{server_name: \"https://b\", key: k}")),
        [
            "listeners[0].tls.key: listener \"a\": missing",
            "listeners[0].tls.cert: listener \"a\": no file is named",
            "clusters[0].tls.server_name: cluster \"b\": \"https://b\" is not a host name or an IP address",
            "clusters[0].tls.cert: cluster \"b\": missing",
        ]
    );
    assert_eq!(
        problems(&with("{cert: \"-----BEGIN CERTIFICATE-----\", key: k}", "{}").replace("https:", "http:")),
        [
            "listeners[0].tls.cert: listener \"a\": this is the content of a file, not its name",
            "clusters[0].endpoints[0]: cluster \"b\": \"http://b.example\" is plain text, but the cluster has tls",
        ]
    );
}

#[test]
fn server_names_lead_to_clusters() {
    let with = |more: &str| {
        format!(
            "version: 1\nlisteners: [{{name: a, address: \"127.0.0.1:0\", cluster: b, {more}}}]\n\
             clusters: [{{name: b, endpoints: [\"b:1\"]}}, {{name: c, endpoints: [\"c:1\"]}}]\n"
        )
    };
    let text = with("protocol: tcp, tls: passthrough, server_names: {c.example: c, \"*.c.example\": c}");
    let config = crate::validate(&crate::parse_text(&text).unwrap()).unwrap();
    assert_eq!(config.listeners[0].server_names.cluster("x.c.example").unwrap().as_str(), "c");
    for (more, expected) in [
        ("tls: passthrough", "tls: listener \"a\": what passes through is bytes, not HTTP"),
        (
            "protocol: tcp, tls: passthrough, server_names: {c: t}",
            "server_names.c: listener \"a\": there is no cluster \"t\"",
        ),
        ("tls: terminate", "tls: listener \"a\": terminate is not a kind of TLS"),
        ("server_names: {c: c}", "server_names: listener \"a\": only clients that speak TLS ask for a server name"),
        (
            "protocol: tcp, tls: passthrough, server_names: {c: d}",
            "server_names.c: listener \"a\": there is no cluster \"d\"",
        ),
        (
            "protocol: tcp, tls: passthrough, server_names: {\"c.*\": c}",
            "server_names.c.*: listener \"a\": \"c.*\" is not a server name",
        ),
        (
            "protocol: tcp, tls: passthrough, server_names: {c: c, C: b}",
            "server_names.c: listener \"a\": \"c\" is listed twice; case makes no difference",
        ),
    ] {
        assert_eq!(problems(&with(more)), [format!("listeners[0].{expected}")]);
    }
}

#[test]
fn tls_is_not_put_around_tls() {
    let text = "version: 1\nlisteners: [{name: a, address: \"127.0.0.1:0\", cluster: b, protocol: tcp, tls: passthrough, \
                server_names: {c: c}}]\nclusters: [{name: b, endpoints: [\"b:1\"]}, {name: c, endpoints: [\"c:1\"], tls: {}}]\n";
    let found = problems(text);
    assert_eq!(found, ["listeners: listener \"a\" passes TLS through to cluster \"c\", which puts TLS around it"]);
}

#[test]
fn nobody_writes_the_start_of_a_listener_and_it_makes_another_listener_of_it() {
    let text = document("").replace("protocol: tcp", "protocol: tcp, start: 1");
    let problem = crate::parse_text(&text).unwrap_err().to_string();
    assert!(problem.contains("unknown field \"start\""), "{problem}");

    let spec: ConfigSpec = crate::parse_text(&document("")).unwrap();
    let mut started = spec.clone();
    started.listeners[1].start = Some(1);
    assert_ne!(started, spec);
    assert!(!serde_json::to_string(&started).unwrap().contains("start"));
    let (before, after) = (super::super::validate(&spec).unwrap(), super::super::validate(&started).unwrap());
    assert_eq!(before.listeners[0], after.listeners[0]);
    assert_ne!(before.listeners[1], after.listeners[1]);
    assert_eq!(after.listeners[1].start, Some(1));
}

#[test]
fn a_listener_is_at_all_addresses_of_both_families() {
    for address in ["[::]:0", "[::]:8474"] {
        let text = document("").replacen("127.0.0.1:0", address, 1);
        assert_eq!(load(&text).listeners[0].address.to_string(), address);
    }
    // Which takes the port of IPv4, too.
    let text = document("").replacen("127.0.0.1:0", "[::]:8474", 1).replacen("127.0.0.1:0", "127.0.0.1:8474", 1);
    let taken = "listeners[1].address: listener \"raw\": 127.0.0.1:8474 is taken by listeners[0].address";
    assert_eq!(problems(&text), [taken]);
}
