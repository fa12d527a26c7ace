use super::*;

fn forward(intercept: &str, cluster: &str) -> String {
    format!(
        "version: 1\nlisteners: [{{name: dev, address: \"127.0.0.1:0\", cluster: outside, {intercept}}}]\n\
         clusters: [{{name: outside, {cluster}}}]\n"
    )
}

fn opened(names: &str) -> String {
    forward(
        &format!("intercept: {{names: {names}, cert: ca.crt, key: ca.key}}"),
        "destinations: [\"*.a.example\", 10.0.0.0/8], tls: {}",
    )
}

#[test]
fn listed_names_are_covered_and_no_other() {
    let config = load(&opened("[\"*.a.example\", b.a.example, 10.1.0.0/16]"));
    let intercept = config.listeners[0].intercept.as_ref().unwrap();
    for (host, expected) in
        [("x.a.example", true), ("X.A.EXAMPLE", true), ("a.example", false), ("10.1.2.3", true), ("10.2.2.3", false)]
    {
        assert_eq!(intercept.covers(host), expected, "{host}");
    }
    assert!(config.listeners[0].ends_tls());
}

#[test]
fn what_cannot_be_opened_is_refused() {
    let not_reached = |name: &str| {
        format!("listeners: listener \"dev\" intercepts, and its cluster \"outside\" lets nobody go to {name}")
    };
    for (text, expected) in [
        (opened("[\"*\"]"), vec!["listeners[0].intercept.names[0]: listener \"dev\": what is opened has to be listed".to_owned()]),
        (
            opened("a.example:443"),
            vec!["listeners[0].intercept.names: listener \"dev\": \"a.example:443\" is neither a name nor an address".to_owned()],
        ),
        (opened("[a.example, 11.0.0.1]"), vec![not_reached("a.example"), not_reached("11.0.0.1/32")]),
        (
            forward("intercept: {}", "destinations: [\"*\"], tls: {}"),
            ["names", "cert", "key"].map(|f| format!("listeners[0].intercept.{f}: listener \"dev\": missing")).into(),
        ),
        (
            forward("intercept: {names: a.example, cert: c, key: k}", "destinations: [\"*\"]"),
            vec![
                "clusters: listener \"dev\" intercepts, and its cluster \"outside\" has no tls: nothing says whom to trust \
                 behind Squall"
                    .to_owned(),
            ],
        ),
        (
            forward("intercept: {names: a.example, cert: c, key: k}", "endpoints: [\"127.0.0.1:1\"]"),
            vec![
                "listeners: listener \"dev\" intercepts, and its cluster \"outside\" has no destinations to CONNECT to"
                    .to_owned(),
            ],
        ),
        (
            forward(
                "tls: {cert: c, key: k}, intercept: {names: a.example, cert: c, key: k}",
                "destinations: [\"*\"], tls: {}",
            ),
            vec!["listeners: listener \"dev\": what is opened would be TLS inside of TLS".to_owned()],
        ),
        (
            forward("protocol: http", "destinations: [\"*\"], tls: {server_name: b}"),
            vec![
                "clusters[0].tls.server_name: cluster \"outside\": each destination has a certificate for its own name"
                    .to_owned(),
            ],
        ),
    ] {
        assert_eq!(problems(&text), expected, "{text}");
    }
}
