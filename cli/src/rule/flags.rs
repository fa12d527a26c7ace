//! A rule from flags: `--fault delay=2s`, `--match path.prefix=/v1/`.

use clap::Args;
use serde_json::{Map, Number, Value, json};

/// The parts of a rule.
#[derive(Clone, Debug, Default, Args)]
#[group(id = "RuleFlags", multiple = true)]
pub(crate) struct RuleFlags {
    /// The share of what matches that gets the fault: 0 to 100, up to 4 decimals
    #[arg(short, long, value_name = "SHARE", allow_negative_numbers = true)]
    percentage: Option<String>,
    /// What goes wrong, as in delay=2s, abort=503, reset, delay.uniform.min=1s; may be given several times
    #[arg(long, value_name = "KIND[.FIELD][=VALUE]")]
    fault: Vec<String>,
    /// What it applies to, as in path.prefix=/v1/, method=GET, headers.x-user=alice; may be given several times
    #[arg(long = "match", value_name = "FIELD[.FIELD]=VALUE")]
    matches: Vec<String>,
    /// How the share is picked: random, exact, sticky=KEY (trace, source or header:NAME), first=N, every=N or attempt=N
    #[arg(long, value_name = "HOW")]
    sample: Option<String>,
    /// The rule ends after this time, as in 5m; without it after the default (1h)
    #[arg(long, value_name = "TIME", visible_alias = "for")]
    ttl: Option<String>,
    /// Makes the rule, but lets it inject nothing yet
    #[arg(long)]
    disabled: bool,
    /// Makes the rule decide, count and log, but inject nothing
    #[arg(long)]
    shadow: bool,
}

/// Conditions that are lists: `--match method=GET --match method=HEAD` and `--match method=GET,HEAD`.
const LISTS: [&str; 2] = ["method", "source"];

impl RuleFlags {
    /// The rule as the API takes it; the error says which flag is wrong. What the values mean is the API's to judge.
    pub(crate) fn to_json(&self) -> Result<Value, String> {
        let percentage = self.percentage.as_deref().ok_or("give --percentage (0 to 100), or a rule with -f FILE")?;
        if self.fault.is_empty() {
            return Err("give --fault at least once, as in --fault delay=2s".to_owned());
        }
        let mut rule = Map::new();
        if self.disabled {
            rule.insert("enabled".to_owned(), json!(false));
        }
        if self.shadow {
            rule.insert("mode".to_owned(), json!("shadow"));
        }
        if !self.matches.is_empty() {
            rule.insert("match".to_owned(), tree("--match", &self.matches)?);
        }
        rule.insert("percentage".to_owned(), scalar(percentage));
        rule.insert("fault".to_owned(), tree("--fault", &self.fault)?);
        if let Some(sample) = &self.sample {
            rule.insert("sample".to_owned(), sample_of(sample));
        }
        if let Some(ttl) = &self.ttl {
            rule.insert("ttl".to_owned(), json!(ttl));
        }
        Ok(Value::Object(rule))
    }
}

fn sample_of(text: &str) -> Value {
    match text.split_once('=') {
        Some(("sticky", key)) => json!({ "mode": "sticky", "key": key }),
        Some((how, n)) => json!({ how: scalar(n) }),
        None => json!({ "mode": text }),
    }
}

/// Puts each `a.b=value` at its place in one object.
fn tree(flag: &str, items: &[String]) -> Result<Value, String> {
    let mut root = Map::new();
    for item in items {
        let (path, value) = match item.split_once('=') {
            Some((path, value)) => (path, leaf(path, value)),
            None if flag == "--fault" => (item.as_str(), json!(true)),
            None => return Err(format!("{flag} {item}: write FIELD=VALUE, as in {flag} path.prefix=/v1/")),
        };
        insert(&mut root, path, value).map_err(|why| format!("{flag} {item}: {why}"))?;
    }
    Ok(Value::Object(root))
}

fn leaf(path: &str, text: &str) -> Value {
    if LISTS.contains(&path) {
        return text.split(',').map(str::trim).collect();
    }
    // Texts that happen to be numbers stay texts where only a text makes sense.
    match path.split('.').next() {
        Some("headers" | "query" | "path" | "authority") if !path.ends_with(".present") => json!(text),
        _ => scalar(text),
    }
}

fn insert(object: &mut Map<String, Value>, path: &str, value: Value) -> Result<(), String> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    if first.is_empty() || rest == Some("") {
        return Err("a field has no name; it stands before =, as in delay=2s or path.prefix=/v1/".to_owned());
    }
    let Some(rest) = rest else { return put(object, first, value) };
    // Header names may have dots, and their conditions are one level deep.
    let (first, rest) = match (first, rest.rsplit_once('.')) {
        ("headers" | "query", Some((name, how @ ("exact" | "prefix" | "regex" | "present")))) => {
            let fields = child(object, first)?;
            return put(child(fields, name)?, how, value);
        }
        ("headers" | "query", _) => return put(child(object, first)?, rest, value),
        _ => (first, rest),
    };
    insert(child(object, first)?, rest, value)
}

fn child<'a>(object: &'a mut Map<String, Value>, name: &str) -> Result<&'a mut Map<String, Value>, String> {
    let slot = object.entry(name).or_insert_with(|| json!({}));
    slot.as_object_mut()
        .ok_or_else(|| format!("{name} was given a value of its own before; give either that or its fields"))
}

fn put(object: &mut Map<String, Value>, name: &str, value: Value) -> Result<(), String> {
    match (object.get_mut(name), value) {
        (None, value) => {
            object.insert(name.to_owned(), value);
            Ok(())
        }
        (Some(Value::Array(list)), Value::Array(more)) => {
            list.extend(more);
            Ok(())
        }
        (Some(_), _) => Err(format!("{name} was given before; give it once, and another one in a rule of its own")),
    }
}

/// Numbers and truth values as such, everything else as text.
fn scalar(text: &str) -> Value {
    match text {
        "true" => json!(true),
        "false" => json!(false),
        _ if text.starts_with(['{', '[']) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        _ => text.parse::<Number>().map_or_else(|_| json!(text), Value::Number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(fault: &[&str], matches: &[&str]) -> Result<Value, String> {
        let own = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
        RuleFlags { percentage: Some("5".to_owned()), fault: own(fault), matches: own(matches), ..RuleFlags::default() }
            .to_json()
    }

    #[test]
    fn flags_make_the_rule_that_a_file_would() {
        let flags = RuleFlags {
            sample: Some("every=4".to_owned()),
            ttl: Some("5m".to_owned()),
            disabled: true,
            shadow: true,
            percentage: Some("0.5".to_owned()),
            fault: vec!["delay=2s".to_owned(), "abort=503".to_owned()],
            matches: vec!["path.prefix=/v1/".to_owned(), "method=GET,HEAD".to_owned(), "method=PUT".to_owned()],
        };
        assert_eq!(
            flags.to_json().unwrap(),
            json!({
                "enabled": false,
                "mode": "shadow",
                "match": {"path": {"prefix": "/v1/"}, "method": ["GET", "HEAD", "PUT"]},
                "percentage": 0.5,
                "fault": {"delay": "2s", "abort": 503},
                "sample": {"every": 4},
                "ttl": "5m",
            })
        );
    }

    #[test]
    fn samples_are_short() {
        for (text, sample) in [
            ("exact", json!({"mode": "exact"})),
            ("sticky=header:x-user", json!({"mode": "sticky", "key": "header:x-user"})),
            ("attempt=1", json!({"attempt": 1})),
        ] {
            assert_eq!(sample_of(text), sample);
        }
    }

    #[test]
    fn deep_fields_flags_and_json_are_accepted() {
        let rule = rule(
            &["delay.uniform.min=1s", "delay.uniform.max=2s", "delay.on=response", "reset", r#"abort={"status":503}"#],
            &["headers.x-user=42", "headers.x.y.present=true", "endpoint.labels.region=a", "query.q.regex=a.*=b"],
        );
        assert_eq!(
            rule.unwrap(),
            json!({
                "match": {
                    "headers": {"x-user": "42", "x.y": {"present": true}},
                    "endpoint": {"labels": {"region": "a"}},
                    "query": {"q": {"regex": "a.*=b"}},
                },
                "percentage": 5,
                "fault": {
                    "delay": {"uniform": {"min": "1s", "max": "2s"}, "on": "response"},
                    "reset": true,
                    "abort": {"status": 503},
                },
            })
        );
    }

    #[test]
    fn wrong_flags_name_the_flag() {
        for (fault, matches, part) in [
            (&["delay=1s", "delay=2s"][..], &[][..], "delay was given before"),
            (&["delay=1s", "delay.on=response"], &[], "delay was given a value"),
            (&["=1s"], &[], "no name"),
            (&["delay.=1s"], &[], "no name"),
            (&["reset"], &["path"], "--match path: write FIELD=VALUE"),
            (&[], &[], "--fault"),
        ] {
            let why = rule(fault, matches).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
        assert!(RuleFlags::default().to_json().unwrap_err().contains("--percentage"));
    }
}
