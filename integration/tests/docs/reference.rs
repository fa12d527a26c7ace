//! What is generated in docs/reference/, and whether it is what the programs say now.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use squall_integration::echo::Echo;
use squall_integration::exposition::Exposition;
use squall_integration::kubernetes::{self, ApiServer, Operator};
use squall_integration::squall::{binary, output};
use squall_integration::wait::PATIENCE;
use squall_integration::{Authority, RawClient, Settings, Squall, TlsClient, eventually};

use crate::api;
use crate::checks::Check;
use crate::page::root;
use crate::schema::{Writer, place, reached};

/// All of them.
pub(crate) const ALL: [Check; 5] = [
    ("reference: configuration", || same("configuration", &configuration())),
    ("reference: experiments", || same("experiments", &experiments())),
    ("reference: command line", || same("cli", &cli())),
    ("reference: API", || same("api", &api::page())),
    ("reference: metrics", || same("metrics", &metrics()?)),
];

/// Writes the page with `SQUALL_UPDATE=1`, and otherwise compares.
fn same(name: &str, text: &str) -> Result<(), String> {
    let text = format!("<!-- generated: SQUALL_UPDATE=1 integration/run --test docs -- reference -->\n{text}");
    let path = root().join(format!("docs/reference/{name}.md"));
    if std::env::var_os("SQUALL_UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return Ok(());
    }
    let is = std::fs::read_to_string(&path).unwrap_or_default();
    let mut differing = text.lines().zip(is.lines()).enumerate().filter(|(_, (new, old))| new != old);
    match differing.next() {
        None if is == text => Ok(()),
        first => {
            let (line, (new, old)) = first.unwrap_or((text.lines().count().min(is.lines().count()), ("", "")));
            let how = "SQUALL_UPDATE=1 integration/run --test docs -- reference";
            Err(format!("docs/reference/{name}.md:{} is\n{old}\nand should be\n{new}\nrun: {how}", line + 1))
        }
    }
}

/// The JSON Schema that the binary prints.
pub(crate) fn schema_of(arguments: &[&str]) -> Value {
    serde_json::from_slice(&output(arguments).stdout).unwrap()
}

/// The types of the page with the configuration.
pub(crate) fn types_of_configuration(schema: &Value) -> Vec<&str> {
    reached(&[&schema["properties"]], &schema["$defs"])
}

fn configuration() -> String {
    let schema = schema_of(&["config", "schema"]);
    let types = &schema["$defs"];
    let mut out = "# Configuration\n\n\
        Every field of the file that `squall run -c` reads, in YAML or JSON; `squall config schema` prints the same as a JSON\n\
        Schema. Times are texts such as `200ms`. Where several kinds are named, the first is the short form.\n"
        .to_owned();
    let writer = Writer { elsewhere: &|_| None };
    writer.write("The file", &schema, &mut out);
    types_of_configuration(&schema).iter().for_each(|name| writer.write(name, &types[name], &mut out));
    out
}

fn experiments() -> String {
    let schema = schema_of(&["config", "schema", "--experiment"]);
    let configuration = schema_of(&["config", "schema"]);
    let known = types_of_configuration(&configuration);
    let types = &schema["$defs"];
    let mut out = "# Experiments\n\n\
        Every field of an experiment's document, as `squall experiment run` and the custom resource take it; `squall config schema\n\
        --experiment` prints the same as a JSON Schema.\n"
        .to_owned();
    let elsewhere = |name: &str| known.contains(&name).then(|| place("configuration.md", name));
    let writer = Writer { elsewhere: &elsewhere };
    writer.write("The document", &schema, &mut out);
    let own = reached(&[&schema["properties"]], types).into_iter().filter(|name| !known.contains(name));
    own.for_each(|name| writer.write(name, &types[name], &mut out));
    out
}

/// What `--help` says, as it does to a terminal of a hundred columns.
fn help(program: &Path, verbs: &[String]) -> String {
    let mut command = Command::new(program);
    let done =
        command.args(verbs).arg("--help").env_clear().env("COLUMNS", "100").env("NO_COLOR", "1").output().unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    // What belongs to the line before it stands right below.
    let text = ["[env:", "[default:", "[alias:", "[possible", "Possible"].iter().fold(text, |text, note| {
        text.replace(&format!("\n          \n          {note}"), &format!("\n          {note}"))
    });
    let text = text.replace("\n\n          Possible", "\n          Possible");
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Parts of a help text, each from a line that ends with a colon or stands alone.
fn parts(help: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for line in help.lines() {
        let is_begin = !line.starts_with(' ') && !line.is_empty();
        match parts.last_mut() {
            Some(part) if !is_begin || !part.ends_with("\n\n") => *part += &format!("{line}\n"),
            _ => parts.push(format!("{line}\n")),
        }
    }
    parts
}

/// What every verb says alike.
fn is_common(part: &str) -> bool {
    ["Exit codes:", "Environment:", "Access:"].iter().any(|title| part.starts_with(title))
}

fn block(heading: &str, parts: &[String], out: &mut String) {
    let _ = write!(out, "\n## {heading}\n\n```text\n{}\n```\n", parts.concat().trim_end());
}

/// The help of each verb below these, with those below it.
fn write_verbs(program: &Path, name: &str, out: &mut String) {
    let mut open = vec![Vec::new()];
    while let Some(verbs) = open.pop() {
        let all = parts(&help(program, &verbs));
        let commands = all.iter().find(|p| p.starts_with("Commands:")).cloned().unwrap_or_default();
        let own: Vec<String> = all.into_iter().filter(|part| verbs.is_empty() || !is_common(part)).collect();
        let heading = [&[name.to_owned()], &verbs[..]].concat().join(" ");
        block(&heading, &own, out);
        let names = commands.lines().skip(1).filter(|l| l.starts_with("  ") && !l.starts_with("   "));
        let names: Vec<&str> = names.filter_map(|l| l.split_whitespace().next()).filter(|n| *n != "help").collect();
        open.extend(names.iter().rev().map(|name| [&verbs[..], &[(*name).to_owned()]].concat()));
    }
}

fn cli() -> String {
    let mut out = "# Command line\n\n\
        What `--help` says of each verb. Data goes to stdout, talk to stderr. Exit codes and environment are said once, with `squall`;\n\
        [how to show who one is](#access), once for all verbs that ask a running squall.\n"
        .to_owned();
    write_verbs(&binary(), "squall", &mut out);
    let status = parts(&help(&binary(), &["status".to_owned()]));
    let access: Vec<String> = status.into_iter().filter(|part| part.starts_with("Access:")).collect();
    block("Access", &access, &mut out);
    write_verbs(&kubernetes::binary(), "squall-kubernetes", &mut out);
    out
}

/// Metrics of a Squall in which everything that counts has counted.
fn of_squall() -> Exposition {
    let echo = Echo::http1();
    let authority = Authority::new();
    authority.issue("b");
    let settings = Settings::new()
        .listener("to-b", "http", "service-b")
        .listener_with("by-tls", "http", "service-b", &authority.listener("b"))
        .listener_with("by-proxy", "http", "service-b", "proxy_protocol: accept")
        .cluster_with(
            "service-b",
            "http1",
            &[echo.address],
            "health_check: { path: / }\nejection: {}\nrequests_max: 100",
        )
        .with(
            "guards: [{ name: errors, condition: { metric: error_rate, above: 50%, for: 60s } }]\nlease: { ttl: 30s }",
        )
        .with("controller: { url: \"https://127.0.0.1:9\", token_file: none }");
    let traces = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")];
    let squall = Squall::start_under(&settings, &traces, &[]);
    let api = squall.api();
    api.put("/v1/lease", r#"{"holder": "docs", "ttl": "30s"}"#);
    api.post("/v1/resume", "");
    api.rule("slow", &json!({"percentage": 100, "fault": {"delay": "1ms"}}));
    api.rule("shadow", &json!({"percentage": 100, "mode": "shadow", "fault": {"abort": 503}}));
    assert_eq!(RawClient::connect(squall.to_b()).get("/sized/10").status, 200);
    let mut by_tls = TlsClient::try_connect(squall.address("by-tls"), &authority).unwrap();
    assert_eq!(by_tls.get("/sized/10").unwrap().status, 200);
    let mut stranger = RawClient::connect(squall.address("by-proxy"));
    stranger.send("GET / HTTP/1.1\r\nHost: b\r\n\r\n");
    eventually("a stranger is counted", PATIENCE, || {
        (api.metrics().sum("squall_proxy_protocol_errors_total", &[]) > 0.0).then_some(())
    });
    api.metrics()
}

fn of_operator() -> Exposition {
    let server = ApiServer::start();
    let authority = Authority::new();
    authority.issue("operator");
    let operator = Operator::start(&server, &authority, &[]);
    let text = operator.plain().get("/metrics").text();
    Exposition::parse(&text)
}

/// Names of metrics that the sources of these folders speak of.
fn named(folders: &[&str]) -> BTreeSet<String> {
    let (mut names, mut open): (_, Vec<_>) = (BTreeSet::new(), folders.iter().map(|f| root().join(f)).collect());
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let quoted = code.split('"').filter(|w| w.starts_with("squall_") || w.starts_with("chaos_"));
            let plain = quoted.filter(|w| w.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
            names.extend(plain.map(str::to_owned));
        }
    }
    names
}

fn metrics() -> Result<String, String> {
    let mut out = "# Metrics\n\n\
        `GET /metrics` of the control API and of the telemetry address, in the text format of Prometheus. Times are in seconds, sizes in\n\
        bytes. A family is there as soon as it has something to tell. Labels are closed sets: names of the file and of rules, and the\n\
        words of Squall.\n"
        .to_owned();
    let ours = named(&["proxy/src/telemetry/metrics.rs", "cli/src/run/exposition.rs"]);
    write("Squall", &of_squall(), &ours, &mut out)?;
    write("squall-kubernetes", &of_operator(), &named(&["kubernetes/operator/src/serve"]), &mut out)?;
    Ok(out)
}

fn write(title: &str, exposition: &Exposition, named: &BTreeSet<String>, out: &mut String) -> Result<(), String> {
    let _ = write!(out, "\n## {title}\n\n| metric | kind | labels | says |\n|---|---|---|---|\n");
    let missing: Vec<&String> = named.iter().filter(|name| !exposition.kinds.contains_key(*name)).collect();
    if !missing.is_empty() {
        return Err(format!("{title}: {missing:?} do not count in what this test makes happen"));
    }
    for (name, kind) in &exposition.kinds {
        let all = ["", "_count"].map(|end| format!("{name}{end}"));
        let sample = exposition.samples.iter().find(|s| all.contains(&s.name));
        let labels: Vec<String> = sample.into_iter().flat_map(|s| s.labels.keys()).map(|l| format!("`{l}`")).collect();
        let help = exposition.help.get(name).map_or("", String::as_str).replace('|', "\\|");
        let _ = writeln!(out, "| `{name}` | {kind} | {} | {help} |", labels.join(", "));
    }
    Ok(())
}
