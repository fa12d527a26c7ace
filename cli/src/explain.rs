//! `squall explain`: which rules would match a request, and why the others would not. Needs no running squall: it asks
//! the code that decides.

mod world;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde_json::{Value, json};
use squall_config::model::{Endpoint, HostPort};
use squall_fault::explain::explain_request;
use squall_fault::meta::RequestMeta;
use squall_fault::snapshot::{CompiledListener, Snapshot, Sought};

use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, Format};
use crate::verb::EPILOGUE;

/// Arguments of `squall explain`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "\
Examples:
  squall explain --rule-file squall.yaml --request 'GET /v1/items?id=7'
  squall explain --rule-file rule.yaml --request 'POST /pay' --header 'x-user: alice'
  squall explain --rule-file squall.yaml --listener to-b --request 'GET /' -o json

The file is a configuration, a list of rules (`rules: [...]`), or one rule. Without a configuration
the listeners and clusters that the rules name are made up.",
    after_long_help = EPILOGUE
)]
pub(crate) struct ExplainArgs {
    /// A configuration, a list of rules, or one rule; `-` is stdin
    #[arg(long, value_name = "FILE")]
    rule_file: PathBuf,
    /// Method and target, as in `GET /path?query` or `GET http://host/path`
    #[arg(long, value_name = "'METHOD TARGET'", value_parser = RequestLine::parse)]
    request: RequestLine,
    /// A header field of the request; may be given several times
    #[arg(long = "header", value_name = "'NAME: VALUE'", value_parser = parse_header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The address that the request comes from
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    source: IpAddr,
    /// The listener that gets the request [default: each of them]
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// How the answer is written
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Clone, Debug)]
struct RequestLine {
    method: Method,
    target: Uri,
}

impl RequestLine {
    fn parse(text: &str) -> Result<Self, String> {
        let (method, target) = text.trim().split_once(' ').ok_or("write a method and a target, as in 'GET /path'")?;
        let method = method.parse().map_err(|_| format!("{method:?} is not a method"))?;
        let target: Uri = target.trim().parse().map_err(|e| format!("{target:?} is not a target: {e}"))?;
        if target.path().is_empty() {
            return Err("the target has no path; it begins with /".to_owned());
        }
        Ok(Self { method, target })
    }
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write 'NAME: VALUE'")?;
    let name = name.trim().parse().map_err(|_| format!("{name:?} is not a field name"))?;
    let value = value.trim().parse().map_err(|_| format!("{value:?} is not a field value"))?;
    Ok((name, value))
}

/// Explains.
pub(crate) fn execute(args: &ExplainArgs) -> Outcome {
    let snapshot = world::load(&args.rule_file)?;
    let listeners: Vec<_> = match &args.listener {
        Some(name) => vec![snapshot.listener(name).ok_or_else(|| no_such_listener(&snapshot, name))?],
        None => snapshot.listeners.iter().collect(),
    };
    let verdicts: Vec<_> = listeners.into_iter().flat_map(|listener| verdicts(args, &snapshot, listener)).collect();
    output::value(args.output, &Value::Array(verdicts.clone()), || table(&verdicts))?;
    Ok(Exit::Ok)
}

fn no_such_listener(snapshot: &Snapshot, name: &str) -> Failure {
    let names: Vec<_> = snapshot.listeners.iter().map(|l| l.listener.name.as_str()).collect();
    Failure::new(Exit::Failure, format!("there is no listener {name:?}; there are: {}", names.join(", ")))
}

/// What every rule says to the request on one listener.
fn verdicts(args: &ExplainArgs, snapshot: &Snapshot, listener: &CompiledListener) -> Vec<Value> {
    let named = args
        .request
        .target
        .authority()
        .map(|authority| HostPort { host: authority.host().into(), port: authority.port_u16().unwrap_or(80) });
    let endpoint = snapshot.clusters.get(listener.cluster).and_then(|cluster| match cluster.endpoints.first() {
        Some(endpoint) => Some(endpoint.clone()),
        // A forward proxy, or a redirect: the endpoint is what the request names.
        None => named.map(Endpoint::new),
    });
    let Some(endpoint) = &endpoint else { return Vec::new() };
    let mut headers = HeaderMap::new();
    for (name, value) in &args.headers {
        headers.append(name, value.clone());
    }
    let host = headers.get(http::header::HOST).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let authority = args.request.target.authority().map(ToString::to_string).or(host);
    let request = RequestMeta {
        source: args.source,
        endpoint,
        method: &args.request.method,
        path: args.request.target.path(),
        query: args.request.target.query(),
        authority: authority.as_deref().unwrap_or(""),
        headers: &headers,
    };
    let (ip, port) = (endpoint.ip, Some(endpoint.address.port));
    let sought = Sought { server_name: None, ip, port, authority: authority.as_deref() };
    let listener = listener.route(sought).map_or(listener, |route| &*listener.routes[route]);
    explain_request(snapshot, listener, &request)
        .into_iter()
        .map(|verdict| {
            json!({
                "listener": listener.listener.name.as_str(),
                "rule": verdict.rule.as_str(),
                "matched": verdict.matched,
                "reason": verdict.reason,
                "would_inject": verdict.would_inject,
            })
        })
        .collect()
}

fn table(verdicts: &[Value]) -> String {
    if verdicts.is_empty() {
        return "there are no rules".to_owned();
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = verdicts.iter().map(|verdict| {
        let matched = if verdict["matched"] == true { "yes" } else { "no" };
        vec![text(&verdict["listener"]), text(&verdict["rule"]), matched.to_owned(), text(&verdict["reason"])]
    });
    output::table(&["LISTENER", "RULE", "MATCHES", "WHY"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_headers_are_parsed_as_written() {
        let line = RequestLine::parse("GET /a/b?c=d").unwrap();
        assert_eq!((line.method, line.target.path(), line.target.query()), (Method::GET, "/a/b", Some("c=d")));
        assert_eq!(RequestLine::parse("GET http://b:9000/x").unwrap().target.authority().unwrap(), "b:9000");
        for text in ["", "GET", "/path", "G(T /", "GET b:80"] {
            assert!(RequestLine::parse(text).is_err(), "{text}");
        }
        let (name, value) = parse_header("X-User:  alice ").unwrap();
        assert_eq!((name.as_str(), value.as_bytes()), ("x-user", &b"alice"[..]));
        for text in ["x", ": v", "a b: c", "a: \n"] {
            assert!(parse_header(text).is_err() || text == "a: \n", "{text}");
        }
    }
}
