//! Does a rule's condition hold? One condition after the other, cheapest first; the first that fails is the answer.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use squall_config::model::{Endpoint, EndpointMatch, GrpcMatch, Listener, Match, ValueMatch};
use squall_config::pattern::Pattern;

use crate::grpc::Call;
use crate::meta::{ConnectionMeta, RequestMeta};
use crate::snapshot::CompiledRule;

/// A condition of a rule, as the name of what did not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Listener,
    Direction,
    Cluster,
    Source,
    Endpoint,
    Method,
    Path,
    Authority,
    Grpc,
    /// Index into `Match::headers`.
    Header(usize),
    /// Index into `Match::query`.
    Query(usize),
}

fn require(holds: bool, condition: Condition) -> Result<(), Condition> {
    if holds { Ok(()) } else { Err(condition) }
}

/// The conditions that depend on the listener alone; checked once, when rules are compiled.
pub(crate) fn match_listener(matches: &Match, listener: &Listener) -> Result<(), Condition> {
    require(matches.listener.as_ref().is_none_or(|name| *name == listener.name), Condition::Listener)?;
    require(matches.direction.is_none_or(|direction| direction == listener.direction), Condition::Direction)?;
    require(matches.cluster.as_ref().is_none_or(|name| *name == listener.cluster), Condition::Cluster)
}

/// The conditions on a connection.
pub(crate) fn match_connection(matches: &Match, connection: &ConnectionMeta<'_>) -> Result<(), Condition> {
    require(is_source(&matches.source, connection.source), Condition::Source)?;
    require(matches.endpoint.as_ref().is_none_or(|m| is_endpoint(m, connection.endpoint)), Condition::Endpoint)
}

/// The conditions on a request.
pub(crate) fn match_request(rule: &CompiledRule, request: &RequestMeta<'_>) -> Result<(), Condition> {
    let matches = &rule.rule.matches;
    require(matches.method.is_empty() || matches.method.contains(request.method), Condition::Method)?;
    match_connection(matches, &ConnectionMeta { source: request.source, endpoint: request.endpoint })?;
    require(matches.path.as_ref().is_none_or(|pattern| pattern.is_match(request.path)), Condition::Path)?;
    require(matches.grpc.as_ref().is_none_or(|grpc| is_grpc_call(grpc, request)), Condition::Grpc)?;
    require(
        rule.authority.as_ref().is_none_or(|pattern| is_authority(pattern, request.authority)),
        Condition::Authority,
    )?;
    for (i, (name, value)) in matches.headers.iter().enumerate() {
        require(is_header(name, value, request.headers), Condition::Header(i))?;
    }
    for (i, (name, value)) in matches.query.iter().enumerate() {
        require(is_query(name, value, request.query.unwrap_or_default()), Condition::Query(i))?;
    }
    Ok(())
}

/// A dual-stack socket shows IPv4 peers as `::ffff:a.b.c.d`; operators write `a.b.c.d`.
pub(crate) fn is_source(networks: &[IpNet], source: IpAddr) -> bool {
    networks.is_empty() || {
        let source = source.to_canonical();
        networks.iter().any(|network| network.contains(&source))
    }
}

fn is_endpoint(matches: &EndpointMatch, endpoint: &Endpoint) -> bool {
    match matches {
        EndpointMatch::Address(address) => endpoint.is_at(address),
        EndpointMatch::Labels(labels) => labels.iter().all(|(key, value)| endpoint.labels.get(key) == Some(value)),
    }
}

/// A pattern for text that is in lower case.
pub(crate) fn lowercase(pattern: &Pattern) -> Pattern {
    match pattern {
        Pattern::Exact(text) => Pattern::Exact(text.to_ascii_lowercase()),
        Pattern::Prefix(text) => Pattern::Prefix(text.to_ascii_lowercase()),
        // Lowering the text of these would change classes and escapes (`\D`, `[A-z]`): ask their engines instead.
        Pattern::Glob(glob) => globset::GlobBuilder::new(glob.glob().glob())
            .literal_separator(true)
            .case_insensitive(true)
            .build()
            .map_or_else(|_| pattern.clone(), |glob| Pattern::Glob(glob.compile_matcher())),
        Pattern::Regex(regex) => regex::RegexBuilder::new(regex.as_str())
            .case_insensitive(true)
            .build()
            .map_or_else(|_| pattern.clone(), Pattern::Regex),
    }
}

/// Host names have no case (RFC 9110 §4.2.3). A pattern without a port means every port.
fn is_authority(lowercase_pattern: &Pattern, authority: &str) -> bool {
    let authority: Cow<'_, str> = if authority.bytes().any(|byte| byte.is_ascii_uppercase()) {
        authority.to_ascii_lowercase().into()
    } else {
        authority.into()
    };
    lowercase_pattern.is_match(&authority) || host_of(&authority).is_some_and(|host| lowercase_pattern.is_match(host))
}

/// The host of `host:port`, `None` when there is no port.
fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = authority.rsplit_once(':')?;
    let is_host = !host.contains(':') || host.ends_with(']');
    (is_host && port.bytes().all(|byte| byte.is_ascii_digit())).then_some(host)
}

fn is_grpc_call(matches: &GrpcMatch, request: &RequestMeta<'_>) -> bool {
    Call::of(request).is_some_and(|call| {
        matches.service.as_ref().is_none_or(|wanted| wanted == call.service)
            && matches.method.as_ref().is_none_or(|wanted| wanted == call.method)
    })
}

/// Any value of a repeated field counts. Values that are not UTF-8 match no pattern.
fn is_header(name: &HeaderName, value: &ValueMatch, headers: &HeaderMap) -> bool {
    match value {
        ValueMatch::Present(present) => headers.contains_key(name) == *present,
        ValueMatch::Pattern(pattern) => headers
            .get_all(name)
            .iter()
            .any(|value| std::str::from_utf8(value.as_bytes()).is_ok_and(|text| pattern.is_match(text))),
    }
}

/// Any value of a repeated parameter counts. A parameter without `=` has the empty value.
fn is_query(name: &str, value: &ValueMatch, query: &str) -> bool {
    let mut values = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(|(key, _)| decode(key) == name)
        .map(|(_, value)| decode(value));
    match value {
        ValueMatch::Present(present) => values.next().is_some() == *present,
        ValueMatch::Pattern(pattern) => values.any(|value| pattern.is_match(&value)),
    }
}

/// Decodes `%XX` and `+` as in the URL standard's form encoding. A `%` without two digits stands for itself; what is
/// not UTF-8 afterwards becomes U+FFFD.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return text.into();
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'+', _) => decoded.push(b' '),
            (b'%', [high, low, after @ ..]) => match (hex_digit(*high), hex_digit(*low)) {
                (Some(high), Some(low)) => {
                    decoded.push(high << 4 | low);
                    rest = after;
                }
                _ => decoded.push(b'%'),
            },
            _ => decoded.push(byte),
        }
    }
    match String::from_utf8_lossy(&decoded) {
        Cow::Borrowed(_) => String::from_utf8(decoded).map_or_else(|_| text.into(), Cow::Owned),
        Cow::Owned(lossy) => lossy.into(),
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
#[path = "matcher_tests.rs"]
mod tests;
