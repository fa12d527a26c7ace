use super::*;

fn document(listener: &str, clusters: &str) -> String {
    format!(
        "version: 1\nlisteners: [{{name: out, address: \"[::]:15101\", cluster: original_dst{listener}}}]\n\
         clusters: [{clusters}]\n"
    )
}

#[test]
fn the_short_form_is_enough() {
    let config = load(&document("", ""));
    let [cluster] = &config.clusters[..] else { panic!("one cluster") };
    assert_eq!(*cluster, Cluster::of_original_dst(Name::new("original_dst").unwrap()));
    let listener = &config.listeners[0];
    assert_eq!(listener.protocol, ListenerProtocol::Auto);
    let original = listener.original_dst.as_ref().unwrap();
    assert_eq!(original.opaque_ports, [25, 587, 3306, 4444, 5432, 6379, 9300, 11211]);
    assert!(!original.is_transparent && original.clusters.is_empty());
    // A cluster of that name is what it says.
    let config = load(&document("", "{name: original_dst, endpoints: [\"b:1\"]}"));
    assert_eq!((config.clusters.len(), &config.listeners[0].original_dst), (1, &None));
}

#[test]
fn clusters_stand_for_destinations_in_the_order_of_the_file() {
    let clusters = "{name: b, original_dst: true, destinations: [\"10.0.0.0/8:5432\", \"b:*\"]}, \
                    {name: other, original_dst: true}, {name: fixed, endpoints: [\"c:1\"]}, \
                    {name: a, original_dst: true, destinations: a}";
    let rules = "rules: [{name: r, percentage: 1, match: {cluster: original_dst}, fault: {delay: 1s}}, \
                 {name: s, percentage: 1, match: {endpoint: \"10.0.0.1:5432\"}, fault: {delay: 1s}}]\n";
    let config = load(&(document(", opaque_ports: [], transparent: true", clusters) + rules));
    let listener = &config.listeners[0];
    let original = listener.original_dst.as_ref().unwrap();
    assert_eq!(original.clusters.iter().map(Name::as_str).collect::<Vec<_>>(), ["b", "a"]);
    assert!(original.opaque_ports.is_empty() && original.is_transparent);
    for (name, expected) in [("b", true), ("a", true), ("original_dst", true), ("other", false), ("fixed", false)] {
        assert_eq!(listener.leads_to(&Name::new(name).unwrap()), expected, "{name}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let cluster = |fields: &str| document("", &format!("{{name: b, original_dst: true, {fields}}}"));
    let excluded = |field: &str| {
        format!(
            "clusters[0].{field}: cluster \"b\": {field} and original_dst exclude each other: each connection goes where it \
             was going"
        )
    };
    let of_listener = |field: &str, detail: &str| format!("listeners[0].{field}: listener \"out\": {detail}");
    let only = "only connections that go on to their original destination have one";
    for (text, expected) in [
        (cluster("endpoints: [\"c:1\"]"), excluded("endpoints")),
        (cluster("protocol: http2"), excluded("protocol")),
        (cluster("ejection: {}"), excluded("ejection")),
        (
            document(", protocol: tcp, opaque_ports: [1]", ""),
            of_listener("opaque_ports", "only protocol: auto tells protocols apart"),
        ),
        (document(", opaque_ports: [0]", ""), of_listener("opaque_ports", "nobody listens on port 0")),
        (
            document(", transparent: true", "{name: original_dst, endpoints: [\"b:1\"]}"),
            of_listener("transparent", only),
        ),
        (
            document("", "{name: original_dst, original_dst: true, destinations: b}"),
            of_listener(
                "cluster",
                "cluster \"original_dst\" gets all that belongs to no other one: its destinations would say nothing",
            ),
        ),
    ] {
        assert_eq!(problems(&text), [expected], "{text}");
    }
}
