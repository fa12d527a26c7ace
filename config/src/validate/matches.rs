//! Match conditions.

use std::collections::{BTreeMap, BTreeSet};

use http::{HeaderName, Method};
use ipnet::IpNet;

use crate::model::{Endpoint, EndpointMatch, GrpcMatch, Match, Name, UpgradeMatch, ValueMatch};
use crate::pattern::Pattern;
use crate::report::Report;
use crate::spec::{EndpointMatchSpec, GrpcMatchSpec, MatchSpec, TextMatchSpec, ValueMatchSpec, Written};

use super::address;
use super::context::Context;
use super::labels::{has_labels, labels_of};
use super::texts::{DIRECTIONS, texts};

type Labels = BTreeMap<String, String>;

pub(crate) fn matches(path: &str, spec: &MatchSpec, context: &Context<'_>, report: &mut Report) -> Match {
    let at = |field: &str| format!("{path}.{field}");
    let headers = spec.headers.iter().filter_map(|(name, value)| {
        let path = format!("{path}.headers.{name}");
        let value = value_match(&path, value, report);
        Some((header_name(&path, name, report)?, value?))
    });
    let headers = headers.collect();
    let query = spec
        .query
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value_match(&format!("{path}.query.{name}"), value, report)?)));
    let query = query.collect();
    let path_pattern = spec.path.as_ref().and_then(|spec| url_path(&at("path"), spec, report));
    let authority = spec.authority.as_ref().and_then(|spec| text_match(&at("authority"), spec, report));
    Match {
        listener: reference(spec.listener.as_deref(), |name| context.listener(&at("listener"), name, report)),
        direction: spec.direction.as_deref().and_then(|text| report.word(&at("direction"), text, &DIRECTIONS)),
        cluster: reference(spec.cluster.as_deref(), |name| context.cluster(&at("cluster"), name, report)),
        endpoint: spec.endpoint.as_ref().and_then(|spec| endpoint(&at("endpoint"), spec, context, report)),
        source: texts(&at("source"), spec.source.as_ref(), source, report),
        method: texts(&at("method"), spec.method.as_ref(), method, report),
        path: path_pattern,
        authority,
        headers,
        query,
        grpc: spec.grpc.as_ref().and_then(|spec| grpc(&at("grpc"), spec, report)),
        upgrade: spec.upgrade.as_deref().and_then(|text| upgrade(&at("upgrade"), text, report)),
    }
}

/// A token of the Upgrade field (RFC 9110 §7.8).
fn upgrade(path: &str, text: &str, report: &mut Report) -> Option<UpgradeMatch> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~/".contains(&byte);
    match text {
        "*" => Some(UpgradeMatch::Any),
        _ if !text.is_empty() && text.bytes().all(is_token) => Some(UpgradeMatch::Protocol(text.to_ascii_lowercase())),
        _ => {
            report.add(path, format!("{text:?} is not a protocol"), "write one such as websocket, or \"*\" for any");
            None
        }
    }
}

fn reference(name: Option<&str>, check: impl FnOnce(&str)) -> Option<Name> {
    let name = name?;
    check(name);
    Name::new(name).ok()
}

fn source(text: &str) -> Result<IpNet, (String, String)> {
    let net = text.parse().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
    net.map_err(|_| {
        (format!("{text:?} is not an address range"), "write a CIDR range such as 10.0.0.0/8 or fd00::/8".to_owned())
    })
}

fn method(text: &str) -> Result<Method, (String, String)> {
    let upper = text.to_ascii_uppercase();
    let is_usual =
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"].contains(&upper.as_str());
    if is_usual && upper != text {
        return Err((format!("{text:?} matches nothing: methods have capital letters"), format!("write {upper}")));
    }
    Method::from_bytes(text.as_bytes())
        .map_err(|_| (format!("{text:?} is not an HTTP method"), "write one such as GET".to_owned()))
}

fn header_name(path: &str, name: &str, report: &mut Report) -> Option<HeaderName> {
    HeaderName::try_from(name)
        .map_err(|_| report.add(path, format!("{name:?} is not a header name"), "use letters, digits and '-'"))
        .ok()
}

/// A path is compared with what stands before the '?' of a request, and that begins with '/'.
pub(crate) fn url_path(path: &str, spec: &Written<TextMatchSpec>, report: &mut Report) -> Option<Pattern> {
    let pattern = text_match(path, spec, report)?;
    let (Pattern::Exact(text) | Pattern::Prefix(text)) = &pattern else { return Some(pattern) };
    if !text.starts_with('/') && text != "*" {
        report.add(path, format!("{text:?} matches nothing: every path begins with '/'"), format!("write \"/{text}\""));
    } else if text.contains('?') {
        report.add(path, format!("{text:?} matches nothing: a path has no query"), "put parameters into match.query");
    }
    Some(pattern)
}

fn text_match(path: &str, spec: &Written<TextMatchSpec>, report: &mut Report) -> Option<Pattern> {
    match spec {
        Written::Short(text) => Some(Pattern::Exact(text.to_string())),
        Written::Full(TextMatchSpec { exact, prefix, glob, regex }) => {
            let mut choices = Vec::new();
            choices.extend(exact.as_ref().map(|text| ("exact", Ok(Pattern::Exact(text.clone())))));
            choices.extend(prefix.as_ref().map(|text| ("prefix", Ok(Pattern::Prefix(text.clone())))));
            choices.extend(glob.as_ref().map(|text| ("glob", Pattern::glob(text))));
            choices.extend(regex.as_ref().map(|text| ("regex", Pattern::regex(text))));
            one_pattern(path, choices, "exact, prefix, glob or regex", report)
        }
    }
}

fn value_match(path: &str, spec: &Written<ValueMatchSpec>, report: &mut Report) -> Option<ValueMatch> {
    match spec {
        Written::Short(text) => Some(ValueMatch::Pattern(Pattern::Exact(text.to_string()))),
        Written::Full(ValueMatchSpec { present: Some(present), exact: None, prefix: None, regex: None }) => {
            Some(ValueMatch::Present(*present))
        }
        Written::Full(ValueMatchSpec { present, exact, prefix, regex }) => {
            if present.is_some() {
                report.add(path, "present excludes the others", "write one of present, exact, prefix or regex");
                return None;
            }
            let mut choices = Vec::new();
            choices.extend(exact.as_ref().map(|text| ("exact", Ok(Pattern::Exact(text.clone())))));
            choices.extend(prefix.as_ref().map(|text| ("prefix", Ok(Pattern::Prefix(text.clone())))));
            choices.extend(regex.as_ref().map(|text| ("regex", Pattern::regex(text))));
            one_pattern(path, choices, "present, exact, prefix or regex", report).map(ValueMatch::Pattern)
        }
    }
}

fn one_pattern(
    path: &str,
    choices: Vec<(&str, Result<Pattern, String>)>,
    known: &str,
    report: &mut Report,
) -> Option<Pattern> {
    if choices.len() > 1 {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        report.add(path, format!("{} exclude each other", names.join(" and ")), format!("write one of {known}"));
        return None;
    }
    match choices.into_iter().next() {
        Some((_, Ok(pattern))) => Some(pattern),
        Some((name, Err(error))) => {
            // The engines draw the pattern over several lines; a problem has one.
            let error = error.split_whitespace().collect::<Vec<_>>().join(" ");
            report.add(
                format!("{path}.{name}"),
                format!("it is not a {name}: {error}"),
                "correct the pattern, or use exact or prefix",
            );
            None
        }
        None => {
            report.add(path, "it says nothing", format!("write one of {known}"));
            None
        }
    }
}

/// Labels that no endpoint has match nothing, in silence.
fn known_labels(path: &str, wanted: Labels, context: &Context<'_>, report: &mut Report) -> Labels {
    let all = || context.clusters.iter().flat_map(|cluster| &cluster.endpoints);
    if context.is_known && !all().any(|endpoint| has_labels(endpoint, &wanted)) {
        let known: BTreeSet<String> =
            all().flat_map(|e| &e.labels).map(|(name, value)| format!("{name}: {value}")).collect();
        let known: Vec<String> = known.into_iter().collect();
        let hint = if known.is_empty() {
            "no endpoint has labels".to_owned()
        } else {
            format!("there are {}", known.join(", "))
        };
        let wanted: Vec<String> = wanted.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        report.add(path, format!("no endpoint has {{{}}}", wanted.join(", ")), hint);
    }
    wanted
}

fn endpoint(
    path: &str,
    spec: &Written<EndpointMatchSpec>,
    context: &Context<'_>,
    report: &mut Report,
) -> Option<EndpointMatch> {
    const HINT: &str = "write an address of a cluster, or {labels: {name: value}}";
    let (path, text) = match spec {
        Written::Short(text) => (path.to_owned(), text.to_string()),
        Written::Full(EndpointMatchSpec { address: Some(text), labels }) if labels.is_empty() => {
            (format!("{path}.address"), text.clone())
        }
        Written::Full(EndpointMatchSpec { address: None, labels }) if !labels.is_empty() => {
            return Some(EndpointMatch::Labels(known_labels(
                &format!("{path}.labels"),
                labels_of(labels),
                context,
                report,
            )));
        }
        Written::Full(EndpointMatchSpec { address, .. }) => {
            let detail = if address.is_some() { "address and labels exclude each other" } else { "it says nothing" };
            report.add(path, detail, HINT);
            return None;
        }
    };
    let address = address::endpoint(&path, &text, None, report)?;
    let mut known = context.clusters.iter().flat_map(|cluster| &cluster.endpoints);
    // An IP address may be one of those that a name turns out to have.
    let is_ip = address.host.parse::<std::net::IpAddr>().is_ok();
    let may_be = |endpoint: &Endpoint| is_ip && endpoint.ip.is_none() && endpoint.address.port == address.port;
    let is_anywhere = is_ip && context.clusters.iter().any(|cluster| cluster.is_original_dst);
    let may_be_wrong = context.is_known && !is_anywhere;
    if may_be_wrong && !known.any(|endpoint| endpoint.is_at(&address) || may_be(endpoint)) {
        report.add(path, format!("no cluster has the endpoint {address}"), HINT);
    }
    Some(EndpointMatch::Address(address))
}

fn grpc(path: &str, spec: &GrpcMatchSpec, report: &mut Report) -> Option<GrpcMatch> {
    const HINT: &str = "write service: helloworld.Greeter, method: SayHello, or one of them";
    if spec.service.is_none() && spec.method.is_none() {
        report.add(path, "it says nothing", HINT);
    }
    for (field, text) in [("service", &spec.service), ("method", &spec.method)] {
        if let Some(text) = text.as_ref().filter(|text| text.is_empty() || text.contains('/')) {
            report.add(format!("{path}.{field}"), format!("{text:?} is not a gRPC {field}"), HINT);
        }
    }
    Some(GrpcMatch { service: spec.service.clone(), method: spec.method.clone() })
}
