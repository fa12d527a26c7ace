use serde_json::{Value, json};

use super::{assert_said, five_percent, import, losses, on_cluster_b};
use crate::import::Options;

const DOCUMENTS: &str = include_str!("istio.yaml");

fn service(http: &Value) -> String {
    json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "b"},
        "spec": {"hosts": ["*"], "http": [http]}})
    .to_string()
}

#[test]
fn delay_and_abort_are_rules_of_their_own_for_each_alternative() {
    let (rules, _) = import(DOCUMENTS, &Options::default());
    let names: Vec<&str> = rules.iter().map(|rule| rule["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["ratings-1", "ratings-2", "ratings-3", "ratings-4", "ratings-5", "ratings-6", "reviews-1", "reviews-2"]
    );
    let authority = json!({"regex": r"ratings(?:\.shop(?:\.svc(?:\.cluster\.local)?)?)?"});
    assert_eq!(
        rules[0],
        json!({"name": "ratings-1", "match": {"authority": authority, "headers": {"end-user": "jason"}},
            "percentage": 100, "fault": {"delay": "7s"}})
    );
    assert_eq!(
        rules[1],
        json!({"name": "ratings-2", "percentage": 0.5, "fault": {"delay": "1m 30s"},
            "match": {"authority": authority, "headers": {"end-user": "rita"}, "path": {"prefix": "/ratings/"}, "method": ["POST"]}})
    );
    assert_eq!(rules[2]["match"]["query"], json!({"region": {"regex": "eu-.*"}}));
    assert_eq!(
        (&rules[3]["percentage"], &rules[3]["fault"]),
        (&json!(12.5), &json!({"abort": {"grpc_status": "UNAVAILABLE"}}))
    );
    assert_eq!(rules[3]["match"], rules[1]["match"]);
    assert_eq!(rules[4]["match"], rules[2]["match"]);
}

#[test]
fn a_rule_that_would_hit_more_is_not_enabled() {
    let (rules, said) = import(DOCUMENTS, &Options::default());
    let disabled =
        rules.iter().filter(|rule| rule["enabled"] == json!(false)).map(|rule| rule["name"].as_str().unwrap());
    assert_eq!(disabled.collect::<Vec<_>>(), ["ratings-6", "reviews-1"]);
    assert_said(
        &said,
        &[
            "not enabled: spec.http[2]: requests that fulfil spec.http[0] or spec.http[1] too never come to it",
            "not enabled: spec.http[0].match[0].port: ",
            "not enabled: spec.http[0].match[0].sourceLabels: ",
            "note: spec.http[0].route: ",
            "note: : Service says nothing of faults",
        ],
    );
    // What is bookkeeping is not spoken of.
    assert!(!said.iter().any(|line| line.contains("metadata")), "{said:#?}");
}

#[test]
fn a_percentage_is_never_made_up() {
    let abort = json!({"fault": {"abort": {"httpStatus": 503}}});
    let (rules, said) = import(&service(&abort), &Options::default());
    assert_eq!(rules, Vec::<Value>::new());
    assert_said(
        &said,
        &["not carried over: spec.http[0].fault.abort: no percentage is written, which Istio takes for 0 %"],
    );
    let (rules, said) = import(&service(&abort), &five_percent());
    assert_eq!(rules, [json!({"name": "b-1", "percentage": 5, "fault": {"abort": 503}})]);
    assert_eq!(losses(&said), Vec::<&String>::new());
    // What is written is taken as it is, also nothing, and also beside --percentage.
    for (written, percentage) in [(json!({"percentage": {"value": 0}}), 0), (json!({"percent": 30}), 30)] {
        let mut abort = json!({"httpStatus": 503});
        abort.as_object_mut().unwrap().extend(written.as_object().unwrap().clone());
        let (rules, _) = import(&service(&json!({"fault": {"abort": abort}})), &five_percent());
        assert_eq!(rules[0]["percentage"], percentage);
    }
}

#[test]
fn hosts_become_authorities_or_the_cluster() {
    for (hosts, authority) in [
        (json!(["*"]), Value::Null),
        (json!(["b.example.com"]), json!("b.example.com")),
        (json!(["*.example.com"]), json!({"regex": r".*\.example\.com"})),
        (json!(["b"]), json!({"regex": r"b(?:\.[^.]+(?:\.svc(?:\.cluster\.local)?)?)?"})),
        (json!(["b.x.svc.cluster.local"]), json!({"regex": r"b(?:\.x(?:\.svc(?:\.cluster\.local)?)?)?"})),
        (json!(["a.example", "b.example"]), json!({"regex": r"a\.example|b\.example"})),
    ] {
        let mut document: Value =
            serde_json::from_str(&service(&json!({"fault": {"delay": {"fixedDelay": "1s"}}}))).unwrap();
        document["spec"]["hosts"] = hosts;
        let (rules, _) = import(&document.to_string(), &five_percent());
        assert_eq!(rules[0]["match"]["authority"], authority);
        let (rules, _) = import(&document.to_string(), &on_cluster_b());
        assert_eq!(rules[0]["match"], json!({"cluster": "b"}));
    }
}

#[test]
fn faults_that_cannot_be_carried_over_are_said() {
    let all = json!({"value": 100});
    let cases = [
        (json!({"fault": {}}), 0, "not carried over: spec.http[0].fault: it names neither delay nor abort"),
        (
            json!({"fault": {"delay": {"exponentialDelay": "1s", "percentage": all}}}),
            0,
            "not carried over: spec.http[0].fault.delay.exponentialDelay: ",
        ),
        (
            json!({"fault": {"abort": {"http2Error": "NO_ERROR", "percentage": all}}}),
            0,
            "not carried over: spec.http[0].fault.abort.http2Error: ",
        ),
        (
            json!({"fault": {"abort": {"grpcStatus": "GONE", "percentage": all}}}),
            0,
            "not carried over: spec.http[0].fault.abort: no rule was made, its fault.abort.grpc_status: GONE is not a gRPC status",
        ),
        (
            json!({"fault": {"abort": {"httpStatus": 150, "percentage": all}}}),
            0,
            "not carried over: spec.http[0].fault.abort: no rule was made, its fault.abort: 150 is not a final HTTP status",
        ),
        (
            json!({"fault": {"delay": {"fixedDelay": "soon", "percentage": all}}}),
            0,
            "not carried over: spec.http[0].fault.delay.fixedDelay: \"soon\" is not a duration",
        ),
        (
            json!({"fault": {"delay": {"fixedDelay": "1s", "percentage": {"value": 33.333333}}}}),
            1,
            "differs: spec.http[0].fault.delay.percentage.value: 33.333333 is rounded to 33.3333%",
        ),
        (
            json!({"fault": {"delay": {"fixedDelay": "1s", "percentage": {"value": 101}}}}),
            0,
            "not carried over: spec.http[0].fault.delay.percentage.value: 101 is not between 0 and 100",
        ),
        (
            json!({"fault": {"delay": {"fixedDelay": "1s", "percentage": all, "jitter": "1s"}}}),
            1,
            "differs: spec.http[0].fault.delay.jitter: this field is not known here",
        ),
    ];
    cases.iter().for_each(|(http, n_rules, expected)| assert_imports(http, *n_rules, expected));
}

#[track_caller]
fn assert_imports(http: &Value, n_rules: usize, expected: &str) {
    let (rules, said) = import(&service(http), &Options::default());
    assert_eq!(rules.len(), n_rules, "{http}: {said:#?}");
    assert_said(&said, &[expected]);
}

#[test]
fn conditions_that_cannot_be_carried_over_are_said() {
    let fault = json!({"delay": {"fixedDelay": "1s", "percentage": {"value": 100}}});
    let cases = [
        (
            json!({"match": [{"uri": {"regex": "(?=a)"}}], "fault": fault}),
            1,
            "not enabled: spec.http[0].match[0].uri: its pattern",
        ),
        (
            json!({"match": [{"uri": {"exact": "items"}}], "fault": fault}),
            0,
            "no rule was made, its match.path: \"items\" matches nothing",
        ),
        (
            json!({"match": [{"method": {"regex": "GET|PUT"}}], "fault": fault}),
            1,
            "not enabled: spec.http[0].match[0].method: ",
        ),
        (
            json!({"match": [{"withoutHeaders": {"x": {"exact": "1"}}}], "fault": fault}),
            1,
            "not enabled: spec.http[0].match[0].withoutHeaders.x: ",
        ),
        (
            json!({"match": [{"uri": {"prefix": "/a"}}, {"headers": {"x": {}}}], "fault": fault}),
            2,
            "differs: spec.http[0].match: a request that fulfils spec.http[0].match[0] and spec.http[0].match[1]",
        ),
    ];
    cases.iter().for_each(|(http, n_rules, expected)| assert_imports(http, *n_rules, expected));
}

#[test]
fn the_cluster_stands_for_a_port_too() {
    let http = json!({"match": [{"port": 9080}], "fault": {"delay": {"fixedDelay": "1s", "percent": 1}}});
    let (rules, _) = import(&service(&http), &Options::default());
    assert_eq!((&rules[0]["match"], &rules[0]["enabled"]), (&Value::Null, &json!(false)));
    let (rules, _) = import(&service(&http), &on_cluster_b());
    assert_eq!((&rules[0]["match"], &rules[0]["enabled"]), (&json!({"cluster": "b"}), &Value::Null));
}

#[test]
fn letters_of_either_case_when_they_do_not_count() {
    let http = json!({"match": [{"uri": {"prefix": "/A.b"}, "ignoreUriCase": true, "headers": {"x-a": {}}}],
        "fault": {"delay": {"fixedDelay": "1s", "percentage": {"value": 1}}}});
    let (rules, said) = import(&service(&http), &Options::default());
    assert_eq!(rules[0]["match"], json!({"path": {"regex": r"(?i)/A\.b.*"}, "headers": {"x-a": {"present": true}}}));
    assert_eq!(losses(&said), Vec::<&String>::new());
}
