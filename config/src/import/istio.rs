//! VirtualService of Istio: `spec.http[].fault`.
//!
//! Routes are tried in order there and the first that matches takes the request; rules here all look at every request.
//! Delay and abort are rolled independently there, and are two rules here.

mod matches;

use serde::Deserialize;
use serde_json::Value;

use crate::problem::Problem;
use crate::spec::{AbortSpec, FaultSpec, MatchSpec, Scalar, TextMatchSpec, Written};

use super::draft::{Draft, Missing, Share};
use super::overlap::exclude_each_other;
use super::quantities::{duration, percentage};
use super::read::{Elsewhere, read};
use super::sheet::Sheet;

use matches::{Alternative, HttpMatch, alternatives, authority};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct VirtualService {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    namespace: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    hosts: Vec<String>,
    http: Vec<Route>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Route {
    #[serde(rename = "match")]
    matches: Vec<HttpMatch>,
    fault: Option<Fault>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fault {
    delay: Option<Delay>,
    abort: Option<Abort>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Delay {
    fixed_delay: Option<Scalar>,
    exponential_delay: Option<Value>,
    percentage: Option<Percent>,
    percent: Option<Scalar>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Abort {
    http_status: Option<Scalar>,
    grpc_status: Option<Scalar>,
    http2_error: Option<Value>,
    percentage: Option<Percent>,
    percent: Option<Scalar>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Percent {
    value: Option<Scalar>,
}

const ROUTING: &str = "where a request goes stays with the mesh: Squall only injects";

const ELSEWHERE: [Elsewhere; 17] = [
    ("spec.gateways", "run Squall where these gateways send their requests"),
    ("spec.exportTo", ROUTING),
    ("spec.tcp", "routes of TCP have no faults there"),
    ("spec.tls", "routes of TLS have no faults there"),
    ("spec.http[].name", "routes have names there, rules here"),
    ("spec.http[].route", ROUTING),
    ("spec.http[].redirect", ROUTING),
    ("spec.http[].directResponse", ROUTING),
    ("spec.http[].delegate", ROUTING),
    ("spec.http[].rewrite", ROUTING),
    ("spec.http[].timeout", "timeouts stay with the mesh"),
    ("spec.http[].retries", "retries stay with the mesh; each try is a request of its own to Squall"),
    ("spec.http[].mirror", ROUTING),
    ("spec.http[].mirrors", ROUTING),
    ("spec.http[].headers", ROUTING),
    ("spec.http[].match[].name", "matches have names there, rules here"),
    ("spec.http[].match[].statPrefix", "names of metrics stay with the mesh"),
];

/// What Istio does with a fault that names no percentage.
const ABSENT: &str = "which Istio takes for 0 %: the fault never happens there";

pub(super) fn translate(value: &Value, sheet: &mut Sheet<'_>) -> Result<(), Problem> {
    let service: VirtualService = read(value, &ELSEWHERE, sheet)?;
    let hosts = authority(&service.spec.hosts, service.metadata.namespace.as_deref());
    let mut earlier: Vec<(String, Vec<MatchSpec>)> = Vec::new();
    for (index, route) in service.spec.http.iter().enumerate() {
        let path = format!("spec.http[{index}]");
        let mut own = alternatives(&path, &route.matches);
        for alternative in &mut own {
            place(alternative, hosts.as_ref(), sheet);
        }
        if let Some(fault) = &route.fault {
            reachable(&path, &mut own, &earlier);
            rolls_twice(&path, &own, sheet);
            faults(&format!("{path}.fault"), fault, &own, sheet);
        }
        earlier.push((path, own.into_iter().map(|alternative| alternative.draft.matches).collect()));
    }
    if service.spec.http.iter().all(|route| route.fault.is_none()) {
        sheet.note("spec", "there is no fault in it", "");
    }
    Ok(())
}

/// The hosts of the service, or the cluster that stands for them.
fn place(alternative: &mut Alternative, hosts: Option<&Written<TextMatchSpec>>, sheet: &mut Sheet<'_>) {
    let matches = &mut alternative.draft.matches;
    match (&sheet.options.cluster, hosts) {
        (Some(cluster), _) => {
            matches.cluster = Some(cluster.clone());
            alternative.draft.wider.retain(|missing| !missing.path.ends_with("].port"));
        }
        (None, Some(hosts)) => {
            sheet.note(
                "spec.hosts",
                "match.authority holds for callers that name these hosts; one that is given Squall's own address names that",
                "if so, name the cluster with --cluster NAME",
            );
            matches.authority.get_or_insert_with(|| hosts.clone());
        }
        (None, None) => {}
    }
}

/// Routes before this one take their requests first.
fn reachable(path: &str, own: &mut [Alternative], earlier: &[(String, Vec<MatchSpec>)]) {
    for alternative in own {
        let overlapping = earlier
            .iter()
            .filter(|(_, matches)| matches.iter().any(|other| !exclude_each_other(other, &alternative.draft.matches)));
        let before: Vec<&str> = overlapping.map(|(path, _)| path.as_str()).collect();
        if !before.is_empty() {
            let detail = format!("requests that fulfil {} too never come to it there", before.join(" or "));
            let hint = "narrow the match so that it leaves them out, then enable the rule";
            alternative.draft.wider.push(Missing::new(path, detail, hint));
        }
    }
}

/// A request that fulfils two alternatives is rolled for twice here and once there.
fn rolls_twice(path: &str, own: &[Alternative], sheet: &mut Sheet<'_>) {
    let pairs = own.iter().enumerate().flat_map(|(n, a)| own.iter().skip(n + 1).map(move |b| (a, b)));
    for (a, b) in pairs {
        if !exclude_each_other(&a.draft.matches, &b.draft.matches) {
            let detail = format!(
                "a request that fulfils {} and {} meets two rules, and is hit more often than once",
                a.path, b.path
            );
            sheet.differs(format!("{path}.match"), detail, "make one of them narrower");
        }
    }
}

fn faults(path: &str, fault: &Fault, alternatives: &[Alternative], sheet: &mut Sheet<'_>) {
    if fault.delay.is_none() && fault.abort.is_none() {
        sheet.lost(path, "it names neither delay nor abort", "write one of them");
    }
    if let Some(delay) = &fault.delay {
        let path = format!("{path}.delay");
        let fault = delay_fault(&path, delay, sheet);
        add(&path, fault, (delay.percentage.as_ref(), delay.percent.as_ref()), alternatives, sheet);
    }
    if let Some(abort) = &fault.abort {
        let path = format!("{path}.abort");
        let fault =
            abort_fault(&path, abort, sheet).map(|abort| FaultSpec { abort: Some(abort), ..FaultSpec::default() });
        add(&path, fault, (abort.percentage.as_ref(), abort.percent.as_ref()), alternatives, sheet);
    }
}

fn add(
    path: &str,
    fault: Option<FaultSpec>,
    (percentage_field, percent): (Option<&Percent>, Option<&Scalar>),
    alternatives: &[Alternative],
    sheet: &mut Sheet<'_>,
) {
    let Some(fault) = fault else { return };
    let written = match (percentage_field.and_then(|field| field.value.as_ref()), percent) {
        (Some(value), _) => Some((format!("{path}.percentage.value"), value)),
        (None, Some(percent)) => Some((format!("{path}.percent"), percent)),
        (None, None) => None,
    };
    let share = match written {
        Some((path, value)) => percentage(&path, value, sheet).map(Share::Written),
        None => Some(Share::Absent { path: path.to_owned(), meaning: ABSENT }),
    };
    let Some(share) = share else { return };
    for alternative in alternatives {
        let draft =
            Draft { path: path.to_owned(), share: share.clone(), fault: fault.clone(), ..alternative.draft.clone() };
        sheet.add(draft);
    }
}

fn delay_fault(path: &str, delay: &Delay, sheet: &mut Sheet<'_>) -> Option<FaultSpec> {
    if delay.exponential_delay.is_some() {
        let hint = "write a rule with fault: {delay: {exponential: {mean: 1s}, max: 10s}}";
        sheet.lost(format!("{path}.exponentialDelay"), "Istio reserves it and does nothing with it", hint);
    }
    let Some(fixed) = &delay.fixed_delay else {
        if delay.exponential_delay.is_none() {
            sheet.lost(path, "it has no fixedDelay", "write how long");
        }
        return None;
    };
    let fixed = duration(&format!("{path}.fixedDelay"), fixed, sheet)?;
    Some(FaultSpec { delay: Some(Written::Short(Scalar::from(fixed))), ..FaultSpec::default() })
}

fn abort_fault(path: &str, abort: &Abort, sheet: &mut Sheet<'_>) -> Option<Written<AbortSpec>> {
    if abort.http2_error.is_some() {
        let hint = "write a rule with fault: {reset: true}, which resets the stream";
        sheet.lost(format!("{path}.http2Error"), "Istio reserves it and does nothing with it", hint);
    }
    match (&abort.http_status, &abort.grpc_status) {
        (Some(status), None) => Some(Written::Short(status.clone())),
        (None, Some(status)) => {
            Some(Written::Full(AbortSpec { grpc_status: Some(status.clone()), ..AbortSpec::default() }))
        }
        (Some(_), Some(_)) => {
            sheet.lost(path, "httpStatus and grpcStatus exclude each other; no rule was made", "keep one");
            None
        }
        (None, None) if abort.http2_error.is_some() => None,
        (None, None) => {
            sheet.lost(path, "it has no status", "write httpStatus or grpcStatus");
            None
        }
    }
}
