//! Who changed what: every change and every refusal is noted, with its author and without secrets.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use squall_integration::origin::Origin;
use squall_integration::squall::output;
use squall_integration::wait::PATIENCE;
use squall_integration::{Api, Settings, Squall, eventually};

fn entries(api: &Api) -> Vec<Value> {
    api.json("/v1/audit?limit=1000")["entries"].as_array().unwrap().clone()
}

/// What the last entry says, without number and time.
fn last(api: &Api) -> Value {
    let mut entry = entries(api).pop().unwrap();
    let fields = entry.as_object_mut().unwrap();
    assert!(fields.remove("id").unwrap().is_u64() && fields.remove("at").unwrap().is_string());
    let from = fields["actor"].as_object_mut().unwrap().remove("from");
    assert!(from.is_none_or(|from| from.as_str().unwrap().starts_with("127.0.0.1:")));
    entry
}

#[test]
fn every_change_is_noted_with_its_difference() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    let api = squall.api();
    let caller = json!({"kind": "address"});
    let start = last(&api);
    assert_eq!((&start["operation"], &start["actor"]["kind"]), (&json!("start"), &json!("process")));
    let rule = json!({"match": {"path": {"prefix": "/a"}}, "percentage": 0, "fault": {"delay": "1s"}, "ttl": "1h"});
    api.rule("r", &rule);
    let mut added = rule.clone();
    added["name"] = json!("r");
    assert_eq!(
        last(&api),
        json!({"actor": caller, "operation": "putRule", "rule": "r", "result": "ok", "generation": 2, "changes": {"added": [added]}})
    );
    assert_eq!(
        api.call("PATCH", "/v1/rules/r", &[], "{\"percentage\": 5, \"match\": {\"path\": {\"prefix\": \"/b\"}}}")
            .status,
        200
    );
    let fields = json!({
        "percentage": {"before": 0, "after": 5},
        "match.path.prefix": {"before": "/a", "after": "/b"},
    });
    assert_eq!(
        last(&api),
        json!({"actor": caller, "operation": "patchRule", "rule": "r", "result": "ok", "generation": 3,
               "changes": {"changed": [{"name": "r", "fields": fields}]}})
    );
    api.halt();
    assert_eq!(
        last(&api),
        json!({"actor": caller, "operation": "halt", "result": "ok", "generation": 4, "reason": "test"})
    );
    api.resume();
    api.remove("r");
    let removed = last(&api);
    assert_eq!(
        (&removed["operation"], &removed["changes"]["removed"][0]["percentage"]),
        (&json!("deleteRule"), &json!(5))
    );
    let mut config = api.json("/v1/config");
    config["limits"] = json!({"default_ttl": "2h"});
    assert_eq!(api.put("/v1/config", &config.to_string()).status, 200);
    assert_eq!(last(&api)["changes"], json!({"sections": ["limits"]}));
    // Numbered without a gap, and what was only tried is not there.
    assert_eq!(api.put("/v1/rules?dry_run=true", "[]").status, 200);
    assert_eq!(api.put("/v1/rules/x?dry_run=true", "{}").status, 422);
    let ids: Vec<u64> = entries(&api).iter().map(|entry| entry["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
    assert_eq!(last(&api)["operation"], "putConfig");
    assert_eq!(api.json("/v1/audit?limit=2")["entries"].as_array().unwrap().len(), 2);
    for query in ["limit=0", "limit=1001", "limit=x", "offset=1"] {
        assert_eq!(api.get(&format!("/v1/audit?{query}")).status, 400, "{query}");
    }
}

#[test]
fn refusals_are_noted_with_their_status() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    let api = squall.api();
    for (method, path, header, body, operation, rule, status) in [
        ("PUT", "/v1/rules/r", "", "{", "putRule", Some("r"), 400),
        ("PUT", "/v1/rules/r", "", "{}", "putRule", Some("r"), 422),
        ("PUT", "/v1/rules", "If-Match: \"99\"", "[]", "replaceRules", None, 412),
        ("DELETE", "/v1/rules/none", "", "", "deleteRule", Some("none"), 404),
        ("POST", "/v1/halt", "", "[]", "halt", None, 422),
        ("PUT", "/v1/config", "", "{\"version\": 2}", "putConfig", None, 422),
    ] {
        let headers: Vec<&str> = [header].into_iter().filter(|header| !header.is_empty()).collect();
        assert_eq!(api.call(method, path, &headers, body).status, status, "{method} {path}");
        let mut expected = json!({"actor": {"kind": "address"}, "operation": operation, "result": "refused", "status": status, "generation": 1});
        if let Some(rule) = rule {
            expected["rule"] = json!(rule);
        }
        assert_eq!(last(&api), expected, "{method} {path}");
    }
    // Looking changes nothing, also where there is nothing.
    let n = entries(&api).len();
    assert_eq!(api.get("/v1/rules/none").status, 404);
    assert_eq!(entries(&api).len(), n);
}

#[test]
fn files_signals_and_the_clock_are_noted() {
    let origin = Origin::ok();
    let mut squall = Squall::start(&Settings::http(origin.address));
    let api = squall.api();
    let noted = |what: &str, expected: Value| {
        eventually(what, PATIENCE, || {
            entries(&api)
                .into_iter()
                .find(|entry| expected.as_object().unwrap().iter().all(|(key, value)| entry[key] == *value))
        })
    };
    squall.signal("USR1");
    noted("SIGUSR1", json!({"operation": "halt", "actor": {"kind": "signal"}, "reason": "SIGUSR1", "result": "ok"}));
    api.rule("short", &json!({"percentage": 0, "fault": {"delay": "1s"}, "ttl": "200ms"}));
    let expired = noted("the end of a rule", json!({"operation": "expire", "actor": {"kind": "expiry"}}));
    assert_eq!(expired["changes"]["removed"][0]["name"], "short");
    let text = std::fs::read_to_string(squall.file()).unwrap();
    std::fs::write(
        squall.file(),
        format!("{text}seed: 7\nrules: [{{name: of-file, percentage: 0, fault: {{delay: 1s}}}}]\n"),
    )
    .unwrap();
    let reload = noted("a reload", json!({"operation": "reload", "actor": {"kind": "file"}, "result": "ok"}));
    assert_eq!(reload["changes"]["added"][0]["name"], "of-file");
    std::fs::write(squall.file(), "nonsense").unwrap();
    let refused =
        noted("a reload that failed", json!({"operation": "reload", "actor": {"kind": "file"}, "result": "refused"}));
    assert!(refused["reason"].as_str().unwrap().contains("problems"), "{refused}");
    squall.signal("HUP");
    noted("SIGHUP", json!({"operation": "reload", "actor": {"kind": "signal"}, "result": "refused"}));
    assert!(squall.is_running());
}

#[test]
fn those_who_show_who_they_are_are_named_and_guessers_are_noted() {
    let (origin, directory) = (Origin::ok(), tempfile::tempdir().unwrap());
    let tokens = directory.path().join("tokens");
    std::fs::write(&tokens, "read grafana read-token-of-grafana\nadmin alice admin-token-of-alice\n").unwrap();
    std::fs::set_permissions(&tokens, std::fs::Permissions::from_mode(0o600)).unwrap();
    let control = format!("{{ address: \"127.0.0.1:0\", token_file: {} }}", tokens.display());
    let squall = Squall::start(&Settings::http(origin.address).control(&control));
    let api = squall.api();
    let call = |token: &str, method: &str, path: &str, body: &str| {
        api.call(method, path, &[&format!("Authorization: Bearer {token}")], body)
    };
    let rule = json!({
        "match": {"headers": {"authorization": "Bearer of-somebody"}, "query": {"session_id": "of-somebody"}},
        "percentage": 0,
        "fault": {"modify": {"set_headers": {"set-cookie": "id=of-somebody"}, "body": "of-somebody"}},
    });
    assert_eq!(call("admin-token-of-alice", "PUT", "/v1/rules/r", &rule.to_string()).status, 201);
    assert_eq!(call("read-token-of-grafana", "DELETE", "/v1/rules/r", "").status, 403);
    assert_eq!(call("a-token-that-nobody-has", "DELETE", "/v1/rules/r", "").status, 401);
    assert_eq!(api.delete("/v1/rules/r").status, 401);
    let audit = call("read-token-of-grafana", "GET", "/v1/audit", "");
    let told: Vec<(Value, Value, Value)> = audit.json()["entries"]
        .as_array()
        .unwrap()
        .iter()
        .skip(1)
        .map(|entry| (entry["actor"]["name"].clone(), entry["operation"].clone(), entry["status"].clone()))
        .collect();
    let expected = [
        (json!("alice"), json!("putRule"), Value::Null),
        (json!("grafana"), json!("deleteRule"), json!(403)),
        // A guess; a call without any token is nothing but a number in the metrics.
        (Value::Null, json!("authenticate"), json!(401)),
    ];
    assert_eq!(told, expected);
    assert!(!audit.text().contains("of-somebody") && !audit.text().contains("token-of"), "{}", audit.text());
    assert!(!squall.said().contains("of-somebody"), "{}", squall.said());
    let table = output(&["audit", "--control", &api.url(), "--token-file", "/dev/null"]);
    assert_eq!(table.status.code(), Some(1), "an empty token is none");
    std::fs::write(directory.path().join("mine"), "read-token-of-grafana").unwrap();
    let mine = directory.path().join("mine").display().to_string();
    let table = output(&["audit", "--limit", "2", "--control", &api.url(), "--token-file", &mine]);
    let text = String::from_utf8(table.stdout).unwrap();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains("grafana (read)") && text.contains("refused 403"), "{text}");
}
