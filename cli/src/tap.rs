//! `squall tap`: requests as they end, one line each.

use std::ops::ControlFlow;

use clap::Args;
use http::{Method, StatusCode};
use serde_json::Value;

use crate::client::events::follow;
use crate::client::{Call, send_blocking};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, Format};
use crate::rule::rule_path;
use crate::verb::{ClientArgs, EPILOGUE};

/// Arguments of `squall tap`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "\
Examples:
  squall tap                            everything, at most 100 lines a second
  squall tap --faulted --path /v1/      what faults touched below /v1/
  squall tap --status 5xx -n 10         the next ten answers of 500 and above
  squall tap --rule slow-b -o json      all that the access log says, one JSON object a line",
    after_long_help = EPILOGUE
)]
pub(crate) struct TapArgs {
    /// Only what a fault of this rule touched, or would have, were it not in shadow mode
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Only paths that begin so
    #[arg(long, value_name = "PREFIX")]
    path: Option<String>,
    /// Only answers with this status, as in 503 or 5xx
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Only what a fault touched
    #[arg(long)]
    faulted: bool,
    /// At most so many lines a second, 1 to 10000; what is left out is counted
    #[arg(long, value_name = "N", default_value_t = 100)]
    rate: u32,
    /// Ends after so many lines
    #[arg(short, long, value_name = "N")]
    number: Option<u64>,
    #[command(flatten)]
    client: ClientArgs,
}

/// Shows until it has enough, the reader has, or a signal comes.
pub(crate) fn execute(args: &TapArgs) -> Outcome {
    let call = Call::new(Method::GET, args.target());
    if args.client.api.curl {
        output::data(&call.curl(&args.client.api.control, &args.client.api.credentials))?;
        return Ok(Exit::Ok);
    }
    let mut left = args.number.unwrap_or(u64::MAX);
    if left == 0 {
        return Ok(Exit::Ok);
    }
    say_when_unknown(args);
    follow((&args.client.api.control, &args.client.api.credentials), &call, |kind, data| {
        if kind == "missed" {
            let missed = serde_json::from_str::<Value>(data).ok().and_then(|value| value["missed"].as_u64());
            output::say(&format!("{} more were left out; narrow it down, or raise --rate", missed.unwrap_or(0)));
            return Ok(ControlFlow::Continue(()));
        }
        left -= 1;
        let flow = output::line(&written(args.client.output, data)?)?;
        Ok(if left == 0 { ControlFlow::Break(()) } else { flow })
    })?;
    Ok(Exit::Ok)
}

/// Tells people who wait for a rule that is not there. It is no error: the rule may be made in a moment, by hand or by an
/// experiment, and whoever watches its first exchange has to be there before it. What cannot be asked is not told.
fn say_when_unknown(args: &TapArgs) {
    let Some(rule) = &args.rule else { return };
    let api = &args.client.api;
    let Ok(reply) = send_blocking(&api.control, &api.credentials, &Call::new(Method::GET, rule_path(rule))) else {
        return;
    };
    let answer = reply.json();
    let why = answer["detail"].as_str().filter(|_| reply.status == StatusCode::NOT_FOUND);
    if let Some(why) = why {
        output::say(&format!("{why}; waiting until there is one (`squall rule ls` lists those that there are)"));
    }
}

impl TapArgs {
    fn target(&self) -> String {
        let mut target = format!("/v1/tap?rate={}", self.rate);
        for (name, value) in [("rule", &self.rule), ("path", &self.path), ("status", &self.status)] {
            if let Some(value) = value {
                target.push_str(&format!("&{name}={}", encoded(value)));
            }
        }
        if self.faulted {
            target.push_str("&faulted=true");
        }
        target
    }
}

/// Everything but what means itself in a query (RFC 3986 §3.4).
fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let encode = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}

fn written(format: Format, data: &str) -> Result<String, Failure> {
    let line: Value = serde_json::from_str(data).map_err(|error| Failure::caused_by(Exit::Failure, error))?;
    Ok(match format {
        Format::Table => columns(&line),
        Format::Json => data.to_owned(),
        Format::Yaml => format!("---\n{}", output::yaml(&line)?.trim_end()),
    })
}

/// Time, caller, what was asked of whom, what came of it and how long that took, what rules did.
fn columns(line: &Value) -> String {
    let text = |name: &str| line[name].as_str().unwrap_or("-");
    let ms = |name: &str| line[name].as_f64().unwrap_or(0.0) * 1000.0;
    let status = line["status"].as_u64().map_or_else(|| "-".to_owned(), |status| status.to_string());
    // The date is today's.
    let time = text("time").split_once('T').map_or("-", |(_, time)| time.trim_end_matches('Z'));
    let (added, whole) = (ms("injected_latency_seconds"), ms("duration_seconds"));
    let added = if added > 0.0 { format!(" (+{added:.1})") } else { String::new() };
    let (method, authority, path, cluster) = (text("method"), text("authority"), text("path"), text("cluster"));
    let mut shown =
        format!("{time} {} {method} {authority}{path} -> {cluster} {status} {whole:.1}ms{added}", text("source"));
    for fault in line["faults"].as_array().into_iter().flatten() {
        let of = |name: &str| fault[name].as_str().unwrap_or("-");
        shown.push_str(&format!(" {}/{}", of("rule"), of("kind")));
    }
    for shadow in line["shadows"].as_array().into_iter().flatten() {
        shown.push_str(&format!(" {}/shadow", shadow.as_str().unwrap_or("-")));
    }
    if let Some(error) = line["error"].as_str() {
        shown.push_str(&format!(" {error}"));
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_says_who_asked_what_and_what_came_of_it() {
        let line = json!({
            "time": "2026-11-25T05:09:11.090Z", "source": "127.0.0.1:1", "method": "GET", "authority": "b", "path": "/x",
            "cluster": "service-b", "status": 200, "duration_seconds": 0.0521, "injected_latency_seconds": 0.05,
            "faults": [{"rule": "slow-b", "kind": "delay"}],
        });
        let expected = "05:09:11.090 127.0.0.1:1 GET b/x -> service-b 200 52.1ms (+50.0) slow-b/delay";
        assert_eq!(columns(&line), expected);
        let shadow = json!({"cluster": "c", "faults": [], "shadows": ["try"]});
        assert_eq!(columns(&shadow), "- - - -- -> c - 0.0ms try/shadow");
        let failed = json!({"cluster": "c", "faults": [], "error": "upstream_connect_refused"});
        assert_eq!(columns(&failed), "- - - -- -> c - 0.0ms upstream_connect_refused");
    }

    #[test]
    fn filters_are_encoded() {
        assert_eq!(encoded("/v1/a b&c=é"), "/v1/a%20b%26c%3D%C3%A9");
    }
}
