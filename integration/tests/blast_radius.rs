//! Limits on how much of the traffic faults may reach, over real sockets.

#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};
use squall_integration::message::Answer;
use squall_integration::origin::Origin;
use squall_integration::wait::PATIENCE;
use squall_integration::{Api, End, RawClient, Settings, Squall, eventually, squall};

fn limits(text: &str) -> String {
    format!("limits: {{ {text} }}")
}

fn abort(percentage: u32, matches: &Value) -> Value {
    json!({"match": matches, "percentage": percentage, "fault": {"abort": 503}})
}

fn put(api: Api, name: &str, rule: &Value) -> Answer {
    api.put(&format!("/v1/rules/{name}"), &rule.to_string())
}

/// The problems of an answer, as "path: detail".
fn refused(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 422, "{}", answer.text());
    let problem = answer.json();
    let errors = problem["errors"].as_array().unwrap().clone();
    assert!(errors.iter().all(|error| error["hint"].is_string()), "{problem}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    errors.iter().map(|error| format!("{}: {}", text(&error["path"]), text(&error["detail"]))).collect()
}

fn skipped(api: Api, rule: &str, reason: &str) -> f64 {
    api.metrics().sum("chaos_skipped_faults_total", &[("rule", rule), ("reason", reason)])
}

/// Writes the file anew and reads it; the result in the status.
fn reload(squall: &Squall, settings: &Settings) -> Value {
    let reloads = |result| squall.api().metrics().sum("squall_config_reloads_total", &[("result", result)]);
    let before = reloads("ok") + reloads("error");
    std::fs::write(squall.file(), settings.text()).unwrap();
    squall.signal("HUP");
    eventually("a reload", PATIENCE, || (reloads("ok") + reloads("error") > before).then_some(()));
    squall.api().json("/v1/status")["last_reload"].clone()
}

#[test]
fn no_rule_and_no_rules_together_reach_more_than_the_limit() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address).with(&limits("percentage_max: 10")));
    let api = squall.api();
    assert_eq!(
        refused(&put(api, "big", &abort(11, &json!({})))),
        ["percentage: rule \"big\": 11% exceeds limits.percentage_max 10%"]
    );
    assert_eq!(put(api, "a", &abort(6, &json!({"path": {"prefix": "/a/"}}))).status, 201);
    assert_eq!(put(api, "b", &abort(6, &json!({"path": {"prefix": "/b/"}}))).status, 201);
    assert_eq!(
        refused(&put(api, "all", &abort(5, &json!({})))),
        [
            "percentage: together \"a\" (6%), \"all\" (5%) can reach 11% of the requests of listener \"to-b\", more than \
           limits.percentage_max 10%"
        ]
    );
    assert_eq!(put(api, "all", &abort(4, &json!({}))).status, 201);
    let mut shadow = abort(100, &json!({}));
    shadow["mode"] = json!("shadow");
    assert_eq!(put(api, "shadow", &shadow).status, 201);
    let real = api.call("PATCH", "/v1/rules/shadow", &[], "{\"mode\": \"inject\"}");
    assert!(refused(&real).iter().any(|problem| problem.contains("100% exceeds limits.percentage_max 10%")));
    // A caller cannot ask for more either.
    let requested = json!({"percentage": 50, "fault": {"requested": true}});
    assert_eq!(
        refused(&put(api, "asked", &requested)),
        ["percentage: rule \"asked\": 50% exceeds limits.percentage_max 10%"]
    );
    assert_eq!(api.json("/v1/status")["limits"]["percentage_max"], 10.0);
}

#[test]
fn a_reload_that_lowers_a_limit_below_rules_of_the_api_is_refused() {
    let origin = Origin::ok();
    let with = |max: u32| Settings::http(origin.address).with(&limits(&format!("percentage_max: {max}")));
    let squall = Squall::start(&with(10));
    let api = squall.api();
    api.rule("mine", &abort(10, &json!({})));
    let result = reload(&squall, &with(5));
    assert_eq!(result["result"], "error");
    let detail = result["problems"][0]["detail"].as_str().unwrap();
    assert!(detail.starts_with("a rule made through the control API does not fit to the new file"), "{detail}");
    assert!(detail.contains("rule \"mine\": 10% exceeds limits.percentage_max 5%"), "{detail}");
    assert_eq!(api.json("/v1/status")["limits"]["percentage_max"], 10.0, "the old limit stays with the old file");
    api.remove("mine");
    assert_eq!(reload(&squall, &with(5))["result"], "ok");
    assert_eq!(refused(&put(api, "mine", &abort(6, &json!({})))).len(), 1);
}

#[test]
fn limits_change_with_the_configuration_or_not_at_all() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    let api = squall.api();
    api.rule("mine", &abort(10, &json!({})));
    let mut config = api.json("/v1/config");
    let mut set = |max: u32| {
        config["limits"] = json!({"percentage_max": max, "protected": {"paths": ["/pay"]}});
        api.put("/v1/config", &config.to_string())
    };
    let generation = api.generation();
    assert!(refused(&set(5))[0].contains("rule \"mine\": 10% exceeds limits.percentage_max 5%"));
    assert_eq!(api.generation(), generation);
    assert_eq!(set(10).status, 200);
    api.rule("mine", &abort(9, &json!({})));
    assert_eq!(refused(&put(api, "mine", &abort(11, &json!({})))).len(), 1);
    assert_eq!(api.json("/v1/status")["limits"]["protected"]["paths"], json!(["/pay"]));
}

#[test]
fn no_rule_lives_longer_than_the_limit() {
    let origin = Origin::ok();
    let with = |text: &str| Settings::http(origin.address).with(&limits(text));
    let squall = Squall::start(&with("ttl_max: 30m"));
    let api = squall.api();
    let mut long = abort(1, &json!({}));
    long["ttl"] = json!("31m");
    assert_eq!(refused(&put(api, "long", &long)), ["ttl: rule \"long\": 31m exceeds limits.ttl_max 30m"]);
    api.rule("r", &abort(1, &json!({})));
    assert_eq!(api.json("/v1/status")["limits"]["default_ttl_seconds"], 1800.0);
    // The limit holds for rules that are there, too.
    assert_eq!(reload(&squall, &with("ttl_max: 1s"))["result"], "ok");
    eventually("the end of the rule", PATIENCE, || (api.get("/v1/rules/r").status == 404).then_some(()));
    api.rule("s", &abort(1, &json!({})));
    eventually("the end of another", PATIENCE, || (api.get("/v1/rules/s").status == 404).then_some(()));
}

#[test]
fn protected_paths_are_passed_by() {
    let origin = Origin::ok();
    let text = limits("protected: { paths: [/pay, { glob: \"/admin/**\" }] }");
    let squall = Squall::start(&Settings::http(origin.address).with(&text));
    let api = squall.api();
    api.rule("all", &abort(100, &json!({})));
    let mut client = RawClient::connect(squall.to_b());
    assert_eq!(
        ["/", "/pay", "/pay?x=1", "/admin/a/b", "/payment"].map(|path| client.get(path).status),
        [503, 200, 200, 200, 503]
    );
    assert_eq!(skipped(api, "all", "protected"), 3.0);
    assert_eq!(api.rule_status("all")["matched"], 2);
    assert_eq!(
        refused(&put(api, "pay", &abort(1, &json!({"path": "/pay"})))),
        ["match.path: rule \"pay\": path \"/pay\" is in limits.protected.paths, which no rule touches"]
    );
    assert_eq!(api.json("/v1/status")["limits"]["protected"]["paths"], json!(["/pay", {"glob": "/admin/**"}]));

    let with_rule = format!("{text}\nrules: [{{ name: all, percentage: 100, fault: {{ abort: 503 }} }}]");
    let file = squall.directory().join("explained.yaml");
    std::fs::write(&file, Settings::http(origin.address).with(&with_rule).text()).unwrap();
    let said = squall::output(&["explain", "--rule-file", file.to_str().unwrap(), "--request", "GET /admin/x"]);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("path \"/admin/x\" is in limits.protected.paths; no rule reaches it"), "{said}");
}

#[test]
fn protected_clusters_are_passed_by() {
    let (origin, mirror) = (Origin::ok(), Origin::mirror());
    let settings = Settings::http(origin.address)
        .listener("raw", "tcp", "billing")
        .listener("web", "http", "billing-web")
        .cluster("billing", "http1", &[mirror.address])
        .cluster("billing-web", "http1", &[origin.address])
        .with(&limits("protected: { clusters: [billing, billing-web] }"));
    let squall = Squall::start(&settings);
    let api = squall.api();
    api.rule("all", &json!({"percentage": 100, "fault": {"reset": true}}));
    assert_eq!(RawClient::connect(squall.address("web")).get("/").status, 200);
    let mut raw = RawClient::connect(squall.address("raw"));
    assert_eq!(raw.send("hello").read_exact(5), b"hello");
    raw.half_close();
    assert_eq!(raw.read_to_end().1, End::Fin);
    assert_eq!((skipped(api, "all", "protected"), api.injected("all")), (2.0, 0));
    let mut other = RawClient::connect(squall.to_b());
    other.send("GET / HTTP/1.1\r\nHost: b\r\n\r\n");
    assert_eq!(other.read_to_end().1, End::Reset);
    assert_eq!(
        refused(&put(api, "b", &abort(1, &json!({"cluster": "billing-web"})))),
        ["match.cluster: rule \"b\": cluster \"billing-web\" is in limits.protected.clusters, which no rule touches"]
    );
}

/// Squall with this share of the traffic as its limit.
fn sharing(settings: &Settings, max: u32) -> Squall {
    let text = limits(&format!("traffic_share: {{ max: {max}, window: 10m }}"));
    Squall::start_with(&settings.clone().with(&text), &["--workers", "2"])
}

fn share(api: Api) -> Value {
    api.json("/v1/status")["limits"]["traffic_share"].clone()
}

fn seen(api: Api, n: u64) {
    eventually(&format!("{n} exchanges seen"), PATIENCE, || (share(api)["seen"] == n).then_some(()));
}

#[test]
fn one_request_of_few_is_faulted_and_no_more() {
    let origin = Origin::ok();
    let squall = sharing(&Settings::http(origin.address), 10);
    let api = squall.api();
    api.rule("r", &abort(100, &json!({})));
    let mut client = RawClient::connect(squall.to_b());
    assert_eq!(client.get("/").status, 503);
    assert!((1..19).all(|_| client.get("/").status == 200), "one of nineteen is the most");
    seen(api, 19);
    assert_eq!(client.get("/").status, 200);
    seen(api, 20);
    assert_eq!(client.get("/").status, 503, "two of twenty");
    assert_eq!((api.injected("r"), skipped(api, "r", "traffic_share")), (2, 19.0));
    seen(api, 21);
    assert_eq!(
        share(api),
        json!({"max": 10.0, "window_seconds": 600.0, "seen": 21, "faulted": 2, "percentage": 9.5238})
    );
}

#[test]
fn of_much_traffic_the_share_is_faulted() {
    let origin = Origin::ok();
    let squall = sharing(&Settings::http(origin.address), 10);
    let (api, to_b) = (squall.api(), squall.to_b());
    // Both workers have some.
    let mut clients: Vec<RawClient> = (0..4).map(|_| RawClient::connect(to_b)).collect();
    let mut ask = |n: usize| (0..n).filter(|i| clients[i % 4].get("/").status == 503).count();
    assert_eq!(ask(300), 0);
    seen(api, 300);
    api.rule("a", &abort(100, &json!({})));
    // A second rule that picks the same exchange is no second fault.
    api.rule("b", &json!({"percentage": 100, "fault": {"delay": "1ms"}}));
    let mut faulted = ask(100);
    assert!((30..=40).contains(&faulted), "{faulted}");
    seen(api, 400);
    faulted += ask(40 - faulted);
    assert_eq!(faulted, 40, "all that the share has room for");
    assert_eq!(share(api)["faulted"], 40);
    assert_eq!(skipped(api, "a", "traffic_share") + 40.0, api.rule_status("a")["matched"].as_f64().unwrap());

    // A lower limit counts what was faulted before; a higher one has room.
    let put = |max: u32| {
        let text = limits(&format!("traffic_share: {{ max: {max}, window: 10m }}"));
        assert_eq!(reload(&squall, &Settings::http(origin.address).with(&text))["result"], "ok");
    };
    put(5);
    assert_eq!(ask(10), 0);
    put(100);
    assert_eq!(ask(10), 10);
}

/// What comes of a connection that says something and then only listens.
fn is_reset(client: std::io::Result<RawClient>) -> bool {
    let Ok(mut client) = client else { return true };
    let _sent = client.try_send("hello");
    let _sent = client.stream().shutdown(std::net::Shutdown::Write);
    client.read_to_end().1 == End::Reset
}

#[test]
fn of_connections_too() {
    let origin = Origin::mirror();
    let squall = sharing(&Settings::tcp(origin.address), 20);
    let api = squall.api();
    assert_eq!((0..50).filter(|_| is_reset(RawClient::try_connect(squall.to_b()))).count(), 0);
    seen(api, 50);
    let mut open: Vec<RawClient> = (0..10).map(|_| RawClient::connect(squall.to_b())).collect();
    for client in &mut open {
        assert_eq!(client.send("x").read_exact(1), b"x");
    }
    seen(api, 60);
    // Connections that are open are taken, as far as the share goes.
    api.rule("r", &json!({"percentage": 100, "fault": {"reset": true}}));
    assert_eq!(open.into_iter().filter_map(|client| is_reset(Ok(client)).then_some(())).count(), 10);
    assert_eq!(share(api)["faulted"], 10);
    let more = (0..10).filter(|_| is_reset(RawClient::try_connect(squall.to_b()))).count();
    assert!((2..=4).contains(&more), "{more} of 60 to 70 connections");
    assert_eq!(skipped(api, "r", "traffic_share"), (10 - more) as f64);
}
