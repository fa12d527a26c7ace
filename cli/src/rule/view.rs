//! Rules as tables.

use serde_json::Value;

use crate::output;

const HEADER: [&str; 9] = ["NAME", "ENABLED", "SHARE", "FAULT", "MATCH", "MATCHED", "INJECTED", "OBSERVED", "EXPIRES"];

/// What the number of a rule in shadow mode is followed by: so many would have been injected.
const WOULD: &str = " (shadow)";

/// The answer of `GET /v1/rules`.
pub(super) fn list(answer: &Value) -> String {
    let rules: Vec<_> = answer["rules"].as_array().into_iter().flatten().collect();
    if rules.is_empty() {
        return "no rules; make one: squall rule set slow --percentage 5 --fault delay=2s".to_owned();
    }
    output::table(&HEADER, rules.into_iter().map(row))
}

/// The answer of `GET /v1/rules/{name}` and of writes.
pub(super) fn one(rule: &Value) -> String {
    // Some answers have the rule inside, beside the generation.
    let rule = if rule["rule"].is_object() { &rule["rule"] } else { rule };
    output::table(&HEADER, [row(rule)])
}

fn row(rule: &Value) -> Vec<String> {
    let status = &rule["status"];
    let per = status["unit"].as_str().map_or_else(String::new, |unit| format!(" of {unit}s"));
    let observed = status["observed_percentage"].as_f64().map_or_else(|| "-".to_owned(), |p| format!("{p:.2}%"));
    let is_shadow = rule["mode"] == "shadow";
    let injected = match is_shadow {
        true => format!("{}{WOULD}", text(&status["would_have_injected"])),
        false => text(&status["injected"]),
    };
    let enabled = text(rule.get("enabled").unwrap_or(&Value::Bool(true)));
    vec![
        text(&rule["name"]),
        if is_shadow && enabled == "true" { "shadow".to_owned() } else { enabled },
        format!("{}%{per}", text(&rule["percentage"]).trim_end_matches('%')),
        fields(&rule["fault"]),
        fields(&rule["match"]),
        text(&status["matched"]),
        injected,
        observed,
        text(&status["expires_at"]),
    ]
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// In the form of `--fault` and `--match`.
pub(crate) fn fields(value: &Value) -> String {
    let mut items = Vec::new();
    flatten("", value, &mut items);
    if items.is_empty() { "-".to_owned() } else { items.join(" ") }
}

fn flatten(path: &str, value: &Value, items: &mut Vec<String>) {
    let Some(object) = value.as_object() else {
        match (path, value) {
            ("", _) => {}
            (_, Value::Array(list)) => {
                items.push(format!("{path}={}", list.iter().map(text).collect::<Vec<_>>().join(",")));
            }
            _ => items.push(format!("{path}={}", text(value))),
        }
        return;
    };
    for (key, value) in object {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        flatten(&path, value, items);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rule_is_one_line_in_the_form_of_the_flags() {
        let rule = json!({
            "name": "slow-b", "percentage": 5, "fault": {"delay": {"fixed": "2s"}},
            "match": {"path": {"prefix": "/v1/"}, "method": ["GET", "PUT"]},
            "status": {"unit": "request", "matched": 1000, "injected": 52, "observed_percentage": 5.2, "expires_at": null},
        });
        let text = list(&json!({"generation": 3, "rules": [rule]}));
        let row: Vec<_> = text.lines().nth(1).unwrap_or_default().split_whitespace().collect();
        let expected = [
            "slow-b",
            "true",
            "5%",
            "of",
            "requests",
            "delay.fixed=2s",
            "method=GET,PUT",
            "path.prefix=/v1/",
            "1000",
            "52",
            "5.20%",
            "-",
        ];
        assert_eq!(row, expected, "{text}");
    }

    #[test]
    fn a_rule_in_shadow_mode_says_so() {
        let rule = |enabled| {
            json!({
                "name": "try", "enabled": enabled, "mode": "shadow", "percentage": 5, "fault": {"abort": 503},
                "status": {"unit": "request", "matched": 100, "injected": 0, "would_have_injected": 4},
            })
        };
        let row = one(&rule(true)).lines().nth(1).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(row, "try shadow 5% of requests abort=503 - 100 4 (shadow) - -");
        assert!(one(&rule(false)).contains("false"));
    }

    #[test]
    fn no_rules_teach_how_to_make_one() {
        assert!(list(&json!({"generation": 1, "rules": []})).contains("squall rule set"));
    }
}
