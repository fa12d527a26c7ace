//! `squall rule`: the rules of a running squall.

mod flags;
pub(crate) mod view;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};
use squall_config::spec::RuleSpec;

use crate::client::{Call, send_blocking};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, Format};
use crate::source;
use crate::verb::{ClientArgs, EPILOGUE};

/// Arguments of `squall rule`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "\
Examples:
  squall rule ls
  squall rule set slow --percentage 5 --fault delay=2s --match path.prefix=/v1/ --ttl 5m
  squall rule set broken --percentage 1 --fault abort=503 --match headers.x-user=alice
  squall rule set slow -f rule.yaml            `-f -` reads stdin
  squall rule disable slow
  squall rule rm slow
  squall rule set slow --percentage 5 --fault delay=2s --curl     prints the curl line",
    after_long_help = EPILOGUE
)]
pub(crate) struct RuleArgs {
    #[command(subcommand)]
    verb: RuleVerb,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// What flags can say.
const CATALOGUE: &str = "\
Faults, each after --fault:
  anywhere          delay=2s  reset=true  blackhole=true  truncate=1KiB  stall=true  corrupt=0.1%
                    throttle=64KiB/s
  on HTTP           abort=503  abort.grpc_status=14  response_lost=true  duplicate=true
                    modify.status=418  malformed=bad_chunk  goaway=true  requested=true
                    delay.at_least=300ms  slow_body.chunk=16B with slow_body.every=100ms
  on TCP            refuse=true  slice=64  slow_close=2s  delay.fixed=1s with delay.on=connect
  on TLS handshakes tls.handshake=stall  tls.certificate=expired

Conditions, each after --match:
  everywhere        listener  direction  cluster  endpoint  endpoint.labels.NAME  source
  of requests       method  path  path.prefix  authority  headers.NAME  query.NAME
                    grpc.service  upgrade

`squall config schema` has all of them with all their fields.";

#[derive(Debug, Subcommand)]
enum RuleVerb {
    /// Lists the rules in their order, with what each has done
    Ls,
    /// Shows one rule
    Get {
        /// The rule
        name: String,
    },
    /// Makes a rule, or replaces the one of this name
    #[command(alias = "add", after_long_help = CATALOGUE)]
    Set(Box<SetArgs>),
    /// Removes a rule; requests that it holds go on
    Rm {
        /// The rule
        name: String,
        #[command(flatten)]
        write: WriteArgs,
    },
    /// Lets a rule inject
    Enable {
        /// The rule
        name: String,
        #[command(flatten)]
        write: WriteArgs,
    },
    /// Keeps a rule, but lets it inject nothing
    Disable {
        /// The rule
        name: String,
        #[command(flatten)]
        write: WriteArgs,
    },
}

#[derive(Debug, Args)]
struct SetArgs {
    /// The rule
    name: String,
    /// The rule as YAML or JSON; `-` is stdin
    #[arg(short, long, value_name = "FILE", conflicts_with = "RuleFlags")]
    file: Option<PathBuf>,
    #[command(flatten)]
    flags: flags::RuleFlags,
    #[command(flatten)]
    write: WriteArgs,
}

/// Conditions of a change.
#[derive(Debug, Args)]
struct WriteArgs {
    /// Only when the rules are still those of this generation (exit 5 otherwise)
    #[arg(long, value_name = "GENERATION")]
    if_match: Option<u64>,
    /// Checks everything and changes nothing
    #[arg(long)]
    dry_run: bool,
}

impl WriteArgs {
    fn call(&self, method: Method, name: &str) -> Call {
        let query = if self.dry_run { "?dry_run=true" } else { "" };
        Call::new(method, format!("{}{query}", rule_path(name))).with_if_match(self.if_match)
    }
}

/// Does it.
pub(crate) fn execute(args: &RuleArgs) -> Outcome {
    let client = &args.client;
    match &args.verb {
        RuleVerb::Ls => {
            let done = client.call(&Call::new(Method::GET, "/v1/rules"), view::list)?;
            say_when_halted(client);
            Ok(done)
        }
        RuleVerb::Get { name } => client.call(&Call::new(Method::GET, rule_path(name)), view::one),
        RuleVerb::Set(set) => {
            let done = client.call(&set.write.call(Method::PUT, &set.name).with_body(body(set)?), view::one)?;
            say_when_halted(client);
            Ok(done)
        }
        RuleVerb::Rm { name, write } => {
            let done = if write.dry_run { "would be removed" } else { "removed" };
            client.call(&write.call(Method::DELETE, name), |_| format!("rule {name} {done}"))
        }
        RuleVerb::Enable { name, write } => switch(client, name, write, json!({ "enabled": true })),
        RuleVerb::Disable { name, write } => switch(client, name, write, json!({ "enabled": false })),
    }
}

fn switch(client: &ClientArgs, name: &str, write: &WriteArgs, patch: Value) -> Outcome {
    let done = client.call(&write.call(Method::PATCH, name).with_body(patch), view::one)?;
    say_when_halted(client);
    Ok(done)
}

/// Tells people whose rules inject nothing why that is. What cannot be asked is not told.
fn say_when_halted(client: &ClientArgs) {
    if client.api.curl || client.output != Format::Table {
        return;
    }
    let status = send_blocking(&client.api.control, &client.api.credentials, &Call::new(Method::GET, "/v1/status"));
    if status.is_ok_and(|reply| reply.json()["halted"] == true) {
        output::say("halted: no faults until `squall resume`");
    }
}

/// The rule that `set` sends: of the file or of the flags.
fn body(set: &SetArgs) -> Result<Value, Failure> {
    let Some(file) = &set.file else {
        return set.flags.to_json().map_err(|why| Failure::new(Exit::Usage, why));
    };
    rule_of_file(file, &source::read(file)?)
}

/// A rule of a file as JSON. Quantities are checked where the rule goes; here only its shape is.
fn rule_of_file(file: &Path, text: &str) -> Result<Value, Failure> {
    let value = squall_config::parse_yaml(text).map_err(|problems| source::invalid(file, &problems))?;
    let _: RuleSpec = squall_config::parse_value(&value)
        .map_err(|problems| source::invalid(file, &squall_config::locate(text, problems)))?;
    Ok(value)
}

/// The path of one rule; what cannot be in a path segment is percent-encoded, for the API to refuse.
pub(crate) fn rule_path(name: &str) -> String {
    let mut path = "/v1/rules/".to_owned();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => path.push(char::from(byte)),
            other => path.push_str(&format!("%{other:02X}")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_path_segment() {
        assert_eq!(rule_path("slow-b"), "/v1/rules/slow-b");
        assert_eq!(rule_path("../x?y#ö"), "/v1/rules/..%2Fx%3Fy%23%C3%B6");
    }

    #[test]
    fn a_rule_file_may_be_yaml_or_json_and_its_fields_are_checked() {
        let file = Path::new("rule.yaml");
        let yaml = rule_of_file(file, "percentage: 5\nfault: { delay: 2s }\n").unwrap();
        let json = rule_of_file(file, r#"{"percentage": 5, "fault": {"delay": "2s"}}"#).unwrap();
        assert_eq!(yaml, json);
        for (text, place) in [
            ("percentge: 5\n", "rule.yaml:1:1: percentge: unknown field \"percentge\"; did you mean \"percentage\"?"),
            ("percentage: 5\nfault: { delay: 2s\n", "rule.yaml:2:8: unclosed bracket"),
        ] {
            let failure = rule_of_file(file, text).unwrap_err();
            assert_eq!(failure.exit, Exit::InvalidConfig);
            assert!(failure.text().contains(place), "{}", failure.text());
        }
    }
}
