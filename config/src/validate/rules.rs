//! Rules, and what only the whole of a rule shows.

use http::Method;

use crate::model::{AbortAnswer, Cluster, ClusterProtocol, Fault, Http2Code, Match, Mode, Phase, Rule, Sample};
use crate::spec::{RuleSpec, Scalar};
use crate::units::Percentage;

use super::blast_radius::rule_is_within;
use super::context::Context;
use super::matches::matches;
use super::meets::Meets;
use super::samples;
use super::union::union;
use crate::faults::faults;
use crate::report::Report;

const MODES: [(&str, Mode); 2] = [("inject", Mode::Inject), ("shadow", Mode::Shadow)];

pub(crate) fn rules(specs: &[RuleSpec], context: &Context<'_>, report: &mut Report) -> Vec<Rule> {
    if specs.len() > context.limits.rules_max {
        let detail = format!("{} rules are more than limits.rules_max {}", specs.len(), context.limits.rules_max);
        report.add("rules", detail, "remove some, or raise the limit");
    }
    report.unique("rules", specs.iter().map(|spec| spec.name.as_str()));
    let rules = each("rules", specs, context, report);
    if rules.len() == specs.len() {
        union(&rules, ("rules", 0), context, report);
    }
    rules
}

/// Those of the list at `path`, each on its own.
pub(crate) fn each(path: &str, specs: &[RuleSpec], context: &Context<'_>, report: &mut Report) -> Vec<Rule> {
    let mut rules = Vec::with_capacity(specs.len());
    for (index, spec) in specs.iter().enumerate() {
        let before = report.count();
        rules.extend(rule(&format!("{path}[{index}]"), spec, context, report));
        if !spec.name.is_empty() {
            report.label_since(before, &format!("rule {:?}", spec.name));
        }
    }
    rules
}

/// `None` only when there is a problem.
pub(crate) fn rule(path: &str, spec: &RuleSpec, context: &Context<'_>, report: &mut Report) -> Option<Rule> {
    let at = |field: &str| format!("{path}.{field}");
    let name = report.name(&at("name"), &spec.name);
    let matches = spec.matches.as_ref().map(|spec| matches(&at("match"), spec, context, report)).unwrap_or_default();
    let percentage = percentage(&at("percentage"), spec.percentage.as_ref(), report);
    let sample = spec.sample.as_ref().and_then(|spec| samples::sample(&at("sample"), spec, report));
    let faults = report
        .required(&at("fault"), spec.fault.as_ref(), "write what goes wrong, such as fault: {delay: 2s}")
        .map(|spec| faults(&at("fault"), spec, context.limits.delay_max, report))
        .unwrap_or_default();
    let ttl = spec.ttl.as_ref().and_then(|value| report.positive_duration(&at("ttl"), value));
    protocols(path, &matches, &faults, context, report);
    if sample.as_ref().is_some_and(Sample::needs_http) && matches.upgrade.is_none() {
        samples::without_requests(&at("sample"), &Meets::of(&matches, context), &faults, report);
    }
    let mode = spec.mode.as_deref().and_then(|mode| report.word(&at("mode"), mode, &MODES));
    let experiment = spec.experiment.as_ref().and_then(|name| report.name(&at("experiment"), name));
    let rule = Rule {
        name: name?,
        enabled: spec.enabled.unwrap_or(true),
        mode: mode.unwrap_or(Mode::Inject),
        matches,
        percentage: percentage?,
        sample: sample.unwrap_or(Sample::Random),
        faults,
        ttl,
        experiment,
    };
    rule_is_within(path, &rule, context.limits, report);
    Some(rule)
}

fn percentage(path: &str, value: Option<&Scalar>, report: &mut Report) -> Option<Percentage> {
    const HINT: &str = "write the share that gets the fault, such as percentage: 5; 100 for all";
    let value = report.required(path, value, HINT)?;
    report.percentage(path, value)
}

/// Refuses rules that could never do what they say: HTTP and TCP each have faults and conditions of their own.
fn protocols(path: &str, matches: &Match, faults: &[Fault], context: &Context<'_>, report: &mut Report) {
    let meets = Meets::of(matches, context);
    if faults.iter().any(|fault| matches!(fault, Fault::Tls(_))) {
        return on_handshake(path, matches, context.is_known.then_some(&meets), report);
    }
    let http_only = faults.iter().find(|fault| !fault.applies_to_tcp());
    let tcp_only = faults.iter().find(|fault| !fault.applies_to_http());
    if let (Some(http), Some(tcp)) = (http_only, tcp_only) {
        let detail = format!("{} is only for HTTP and {} only for TCP", http.kind(), tcp.form());
        report.add(format!("{path}.fault"), detail, "make two rules of it");
        return;
    }
    if matches.upgrade.is_some() {
        return on_tunnel(path, &meets, faults, http_only, report);
    }
    if let (Some(tcp), true) = (tcp_only, matches.needs_http()) {
        let detail = format!("{} is only for TCP, but the match looks at HTTP requests", tcp.form());
        let hint = "match by listener, cluster, endpoint or source alone, or use another fault";
        report.add(format!("{path}.fault.{}", tcp.kind()), detail, hint);
    }
    if let Some(place) = meets.only_tcp() {
        on_tcp(path, &place, matches, faults, report);
    }
    if let (Some(fault), Some(place)) = (tcp_only, meets.only_http()) {
        let detail = format!("{} is only for TCP, but {place}", fault.form());
        report.add(format!("{path}.fault.{}", fault.kind()), detail, "use reset, blackhole or delay");
    }
    let listener =
        matches.listener.as_ref().and_then(|name| context.listeners.iter().find(|listener| listener.name == *name));
    let cluster = matches.cluster.as_ref().or(listener.map(|listener| &listener.cluster));
    let cluster = cluster.and_then(|name| context.clusters.iter().find(|cluster| cluster.name == *name));
    grpc_is_possible(path, matches, faults, cluster, report);
}

/// A handshake comes before any request, and before an endpoint is chosen. Without `meets` it is not known where TLS ends.
fn on_handshake(path: &str, matches: &Match, meets: Option<&Meets<'_>>, report: &mut Report) {
    if matches.needs_http() || matches.endpoint.is_some() || matches.upgrade.is_some() {
        let hint = "match by listener, direction, cluster or source alone";
        report.add(format!("{path}.match"), "nothing of this is known while the handshake goes on", hint);
    } else if meets.is_some_and(|meets| !meets.ends_tls()) {
        let hint = "give the listener tls: {cert, key}, or use delay, reset or blackhole";
        report.add(format!("{path}.fault.tls"), "TLS ends at no listener that the rule can meet", hint);
    }
}

/// What flows in a tunnel is bytes.
fn on_tunnel(path: &str, meets: &Meets<'_>, faults: &[Fault], http_only: Option<&Fault>, report: &mut Report) {
    let refuse = faults.iter().find(|fault| matches!(fault, Fault::Refuse));
    if let Some(fault) = http_only.or(refuse) {
        let detail = format!("{} cannot be applied to the bytes of a tunnel", fault.kind());
        let hint = "without match.upgrade the rule acts on the request that opens the tunnel";
        report.add(format!("{path}.fault.{}", fault.kind()), detail, hint);
    }
    if let Some(place) = meets.only_tcp() {
        let detail = format!("{place}, where nothing is upgraded");
        report.add(format!("{path}.match.upgrade"), detail, "remove it, or use protocol: http on the listener");
    }
}

/// A gRPC status means nothing to a request that cannot be a gRPC call.
fn grpc_is_possible(path: &str, matches: &Match, faults: &[Fault], cluster: Option<&Cluster>, report: &mut Report) {
    let is_grpc =
        |fault: &&Fault| matches!(fault, Fault::Abort(abort) if matches!(abort.answer, AbortAnswer::Grpc { .. }));
    let Some(fault) = faults.iter().find(is_grpc) else { return };
    if !matches.method.is_empty() && !matches.method.contains(&Method::POST) {
        let detail = "a gRPC status is for gRPC calls, which are POST, but the match asks for another method";
        report.add(
            format!("{path}.fault.abort"),
            detail,
            "write status instead of grpc_status, or remove match.method",
        );
    }
    if let Some(cluster) =
        cluster.filter(|cluster| fault.ends() == Some(Phase::Response) && cluster.protocol == ClusterProtocol::Http1)
    {
        let detail = format!(
            "after_messages needs gRPC from the upstream, but cluster {:?} speaks http1",
            cluster.name.as_str()
        );
        report.add(format!("{path}.fault.abort.after_messages"), detail, "write protocol: http2 for the cluster");
    }
}

fn on_tcp(path: &str, place: &str, matches: &Match, faults: &[Fault], report: &mut Report) {
    if let Some(fault) = faults.iter().find(|fault| !fault.applies_to_tcp()) {
        let detail = format!("{} is only for HTTP, but {place}", fault.kind());
        report.add(format!("{path}.fault.{}", fault.kind()), detail, "use reset, or protocol: http on the listener");
    }
    let has_code = |fault: &Fault| matches!(fault, Fault::Reset(reset) if reset.code != Http2Code::INTERNAL_ERROR);
    if faults.iter().any(has_code) {
        let detail = format!("an error code is for streams of HTTP/2, but {place}");
        report.add(format!("{path}.fault.reset.code"), detail, "remove it: on TCP a reset is an RST");
    }
    if matches.needs_http() {
        let detail = format!("the match looks at HTTP requests, but {place}");
        let hint = "match by source or endpoint, or use protocol: http on the listener";
        report.add(format!("{path}.match"), detail, hint);
    }
}
