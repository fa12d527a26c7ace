use super::*;
use crate::units::Percentage;

fn limits(text: &str) -> BlastRadius {
    load(&document(&format!("limits: {text}\n"))).limits.blast_radius
}

fn limit_problems(text: &str) -> Vec<String> {
    problems(&document(&format!("limits: {text}\n")))
}

#[test]
fn there_is_no_bound_unless_it_is_written() {
    let none = limits("{}");
    assert_eq!((none.percentage_max, none.traffic_share, none.ttl_max), (Percentage::ALWAYS, None, None));
    assert!(none.protected.paths.is_empty() && none.protected.clusters.is_empty());
    let share = limits("{traffic_share: {max: 10}}").traffic_share;
    assert_eq!(
        share,
        Some(TrafficShare { max: Percentage::from_ppm(100_000).unwrap(), window: Duration::from_secs(60) })
    );
}

#[test]
fn bounds_that_make_no_sense_are_problems() {
    for (text, expected) in [
        ("{percentage_max: 101}", "limits.percentage_max: 101 is not between 0 and 100"),
        ("{traffic_share: {window: 1m}}", "limits.traffic_share.max: missing"),
        ("{traffic_share: {max: 0}}", "limits.traffic_share.max: 0 lets no fault happen"),
        ("{traffic_share: {max: 1, window: 9s}}", "limits.traffic_share.window: 9s is not a window"),
        ("{traffic_share: {max: 1, window: 2h}}", "limits.traffic_share.window: 2h is not a window"),
        ("{ttl_max: 0s}", "limits.ttl_max: it must be longer than 0s"),
        ("{ttl_max: 1m, default_ttl: 2m}", "limits.default_ttl: 2m exceeds limits.ttl_max 1m"),
        ("{protected: {clusters: [c]}}", "limits.protected.clusters[0]: there is no cluster \"c\""),
        (
            "{protected: {paths: [pay]}}",
            "limits.protected.paths[0]: \"pay\" matches nothing: every path begins with '/'",
        ),
    ] {
        assert_eq!(limit_problems(text), [expected], "{text}");
    }
}

#[test]
fn an_unknown_field_says_what_may_have_been_meant() {
    let hint = |text: &str| {
        let problems = crate::load_text(&document(&format!("limits: {text}\n"))).unwrap_err();
        problems.0[0].hint.clone().unwrap_or_default()
    };
    assert_eq!(hint("{percentge_max: 5}"), "did you mean \"percentage_max\"?");
    assert_eq!(hint("{traffic_share: {max: 5, windw: 1m}}"), "did you mean \"window\"?");
    assert_eq!(hint("{protected: {path: [/a]}}"), "did you mean \"paths\"?");
}

#[test]
fn rules_without_ttl_live_no_longer_than_the_longest() {
    let ttl = |text: &str| load(&document(&format!("limits: {text}\n"))).limits.default_ttl;
    assert_eq!(ttl("{ttl_max: 5m}"), Duration::from_secs(300));
    assert_eq!(ttl("{ttl_max: 5h}"), Duration::from_secs(3600));
    let text = document("limits: {ttl_max: 5m}\nrules:\n- {name: r, percentage: 1, fault: {abort: 503}, ttl: 6m}\n");
    assert_eq!(problems(&text), ["rules[0].ttl: rule \"r\": 6m exceeds limits.ttl_max 5m"]);
    load(&document("limits: {ttl_max: 5m}\nrules:\n- {name: r, percentage: 1, fault: {abort: 503}}\n"));
}

#[test]
fn what_is_protected_cannot_be_named() {
    let with = |matches: &str| {
        document(&format!(
            "limits: {{protected: {{paths: [/pay, {{prefix: /admin/}}, /a.B/C], clusters: [b]}}}}\nrules:\n- {{name: r, \
             percentage: 1, match: {{{matches}}}, fault: {{abort: 503}}}}\n"
        ))
    };
    for (matches, expected) in [
        (
            "cluster: b",
            "match.cluster: rule \"r\": cluster \"b\" is in limits.protected.clusters, which no rule touches",
        ),
        ("path: /pay", "match.path: rule \"r\": path \"/pay\" is in limits.protected.paths, which no rule touches"),
        (
            "path: /admin/x",
            "match.path: rule \"r\": path \"/admin/x\" is in limits.protected.paths, which no rule touches",
        ),
        (
            "grpc: {service: a.B, method: C}",
            "match.grpc: rule \"r\": path \"/a.B/C\" is in limits.protected.paths, which no rule touches",
        ),
    ] {
        assert_eq!(problems(&with(matches)), [format!("rules[0].{expected}")], "{matches}");
    }
    for covers in ["", "path: {prefix: /}", "path: /payment", "grpc: {service: a.B}"] {
        load(&with(covers));
    }
}

#[test]
fn modes_are_words() {
    let mode = |text: &str| {
        load(&document(&format!("rules:\n- {{name: r, percentage: 1, fault: {{abort: 503}}{text}}}\n"))).rules[0].mode
    };
    assert_eq!((mode(""), mode(", mode: inject"), mode(", mode: shadow")), (Mode::Inject, Mode::Inject, Mode::Shadow));
    assert_eq!(rule_problems("fault: {abort: 503}, mode: shadwo"), ["mode: \"shadwo\" is not one of inject, shadow"]);
}
