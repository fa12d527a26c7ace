//! MeshFaultInjection of Kuma, and FaultInjection before it.
//!
//! A list of faults is taken in order there: the percentage of one counts of what the aborts before it let pass. Rules
//! are rolled one after the other in the same way, so that percentages stay as they are.

use serde::Deserialize;
use serde_json::Value;

use crate::problem::Problem;
use crate::spec::{FaultSpec, Scalar, ThrottleSpec, Written};
use crate::units::{ByteRate, Percentage};

use super::draft::{Draft, Missing, Share};
use super::quantities::{amount, duration, percentage};
use super::read::{Elsewhere, read};
use super::sheet::Sheet;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Policy {
    spec: Spec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    rules: Vec<Entry>,
    from: Vec<Entry>,
    to: Vec<Entry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Entry {
    target_ref: Option<TargetRef>,
    matches: Vec<Value>,
    default: Conf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TargetRef {
    kind: Option<String>,
    name: Option<String>,
    tags: Option<Value>,
    labels: Option<Value>,
    mesh: Option<Value>,
    namespace: Option<Value>,
    #[serde(rename = "sectionName")]
    section_name: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Conf {
    http: Vec<Item>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Item {
    delay: Option<Delay>,
    abort: Option<Abort>,
    response_bandwidth: Option<Bandwidth>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Delay {
    value: Option<Scalar>,
    percentage: Option<Scalar>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Abort {
    http_status: Option<Scalar>,
    percentage: Option<Scalar>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Bandwidth {
    limit: Option<String>,
    percentage: Option<Scalar>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LegacyPolicy {
    spec: Legacy,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Legacy {
    sources: Vec<Selector>,
    conf: Item,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename = "match")]
struct Selector {
    #[serde(rename = "match")]
    matches: std::collections::BTreeMap<String, Scalar>,
}

const PROXIES: &str = "which proxies have the fault is decided by where Squall runs with this rule";

const ELSEWHERE: [Elsewhere; 4] =
    [("spec.targetRef", PROXIES), ("spec.destinations", PROXIES), ("destinations", PROXIES), ("mesh", PROXIES)];

const ABSENT: &str = "which Kuma refuses";

const WHO_CALLS: &str = "Squall does not know who calls, so that the rule would hit other callers too";
const BESIDE_THEM: &str =
    "write their address ranges into match.source, or put an outbound rule beside them; then enable it";

pub(super) fn translate(value: &Value, sheet: &mut Sheet<'_>) -> Result<(), Problem> {
    let Policy { spec } = read(value, &ELSEWHERE, sheet)?;
    if spec.rules.is_empty() && spec.from.is_empty() && spec.to.is_empty() {
        sheet.note("spec", "there is no fault in it", "");
    }
    for (field, entries, side) in
        [("rules", &spec.rules, "inbound"), ("from", &spec.from, "inbound"), ("to", &spec.to, "outbound")]
    {
        for (index, entry) in entries.iter().enumerate() {
            let path = format!("spec.{field}[{index}]");
            let mut base = Draft::default();
            base.matches.direction = Some(side.to_owned());
            narrowed(&path, entry, entries.len(), &mut base, sheet);
            list(&format!("{path}.default.http"), &entry.default.http, &base, sheet);
        }
    }
    Ok(())
}

pub(super) fn translate_legacy(value: &Value, sheet: &mut Sheet<'_>) -> Result<(), Problem> {
    // On Kubernetes the policy stands below `spec`, elsewhere it is the document.
    let (prefix, policy): (_, Legacy) = match value.get("spec") {
        Some(_) => ("spec.", read::<LegacyPolicy>(value, &ELSEWHERE, sheet)?.spec),
        None => ("", read(value, &ELSEWHERE, sheet)?),
    };
    let mut base = Draft::default();
    base.matches.direction = Some("inbound".to_owned());
    let names_callers = |source: &Selector| {
        source
            .matches
            .iter()
            .any(|(tag, value)| tag != "kuma.io/protocol" && tag != "protocol" && value.to_string() != "*")
    };
    if policy.sources.iter().any(names_callers) {
        base.wider.push(Missing::new(format!("{prefix}sources"), WHO_CALLS, BESIDE_THEM));
    }
    list_of(&[(format!("{prefix}conf"), &policy.conf)], &base, sheet);
    Ok(())
}

/// What narrows an entry, beside where the policy is.
fn narrowed(path: &str, entry: &Entry, n_entries: usize, base: &mut Draft, sheet: &Sheet<'_>) {
    if !entry.matches.is_empty() {
        base.wider.push(Missing::new(format!("{path}.matches"), WHO_CALLS, BESIDE_THEM));
    }
    let is_all = entry.target_ref.as_ref().is_none_or(TargetRef::is_all);
    let is_outbound = base.matches.direction.as_deref() == Some("outbound");
    match (is_all, is_outbound) {
        (false, true) => {
            let detail = "whom it means is not known here, so that the rule would hit calls to others too";
            let hint = "name their cluster with --cluster NAME, or write match.cluster and enable the rule";
            sheet.place(base, Missing::new(format!("{path}.targetRef"), detail, hint));
        }
        (false, false) => base.wider.push(Missing::new(format!("{path}.targetRef"), WHO_CALLS, BESIDE_THEM)),
        (true, _) if n_entries > 1 && entry.matches.is_empty() => {
            let detail = "entries beside it take their traffic from it there; this rule would hit that too";
            base.wider.push(Missing::new(path, detail, "narrow the match, then enable the rule"));
        }
        (true, _) => {}
    }
}

impl TargetRef {
    fn is_all(&self) -> bool {
        let Self { kind, name, tags, labels, mesh, namespace, section_name } = self;
        let narrower = [tags, labels, mesh, namespace, section_name];
        kind.as_deref() == Some("Mesh") && name.is_none() && narrower.iter().all(|field| field.is_none())
    }
}

fn list(path: &str, items: &[Item], base: &Draft, sheet: &mut Sheet<'_>) {
    let items: Vec<_> = items.iter().enumerate().map(|(index, item)| (format!("{path}[{index}]"), item)).collect();
    list_of(&items, base, sheet);
}

/// The faults of a list in order; of one item, delay goes before abort.
fn list_of(items: &[(String, &Item)], base: &Draft, sheet: &mut Sheet<'_>) {
    let mut list = List { base, left: Percentage::ALWAYS };
    for (path, item) in items {
        let (delay, abort, bandwidth) = (item.delay.as_ref(), item.abort.as_ref(), item.response_bandwidth.as_ref());
        if delay.is_none() && abort.is_none() && bandwidth.is_none() {
            sheet.lost(path.clone(), "it names neither delay, abort nor responseBandwidth", "write one of them");
        }
        if let Some(delay) = delay {
            let path = format!("{path}.delay");
            let fault = delay_fault(&path, delay, sheet);
            list.add(&path, fault, delay.percentage.as_ref(), sheet);
        }
        if let Some(bandwidth) = bandwidth {
            let path = format!("{path}.responseBandwidth");
            let fault = bandwidth_fault(&path, bandwidth, sheet);
            list.add(&path, fault, bandwidth.percentage.as_ref(), sheet);
        }
        if let Some(abort) = abort {
            let path = format!("{path}.abort");
            let fault = abort_fault(&path, abort, sheet);
            let share = list.add(&path, fault, abort.percentage.as_ref(), sheet).unwrap_or(Percentage::NEVER);
            let passes = Percentage::from_ppm(Percentage::ALWAYS.ppm() - share.ppm());
            list.left = of(list.left, passes.unwrap_or(Percentage::ALWAYS));
        }
    }
}

/// `share` of `whole`, to the nearest millionth.
fn of(whole: Percentage, share: Percentage) -> Percentage {
    let all = u64::from(Percentage::ALWAYS.ppm());
    let product = (u64::from(whole.ppm()) * u64::from(share.ppm()) + all / 2) / all;
    u32::try_from(product).ok().and_then(Percentage::from_ppm).unwrap_or(whole)
}

/// A list while its rules are written.
struct List<'a> {
    base: &'a Draft,
    /// What the aborts so far let pass.
    left: Percentage,
}

impl List<'_> {
    /// Writes a rule; returns its percentage, when it has one.
    fn add(
        &self,
        path: &str,
        fault: Option<FaultSpec>,
        share: Option<&Scalar>,
        sheet: &mut Sheet<'_>,
    ) -> Option<Percentage> {
        let fault = fault?;
        let field = format!("{path}.percentage");
        let (share, percentage) = match share {
            Some(value) => {
                let share = percentage(&field, value, sheet)?;
                (Share::Written(share), Some(share))
            }
            None => (Share::Absent { path: path.to_owned(), meaning: ABSENT }, sheet.options.percentage),
        };
        if let Some(share) = percentage.filter(|_| self.left != Percentage::ALWAYS) {
            let (left, all) = (self.left, of(self.left, share));
            let detail =
                format!("{share} of the {left} that the aborts before it let pass, {all} of all; so it is here");
            sheet.note(field, detail, "");
        }
        sheet.add(Draft { path: path.to_owned(), share, fault, ..self.base.clone() });
        percentage
    }
}

fn delay_fault(path: &str, delay: &Delay, sheet: &mut Sheet<'_>) -> Option<FaultSpec> {
    let Some(value) = &delay.value else {
        sheet.lost(path, "it has no value; no rule was made", "write how long");
        return None;
    };
    let value = duration(&format!("{path}.value"), value, sheet)?;
    Some(FaultSpec { delay: Some(Written::Short(Scalar::from(value))), ..FaultSpec::default() })
}

fn abort_fault(path: &str, abort: &Abort, sheet: &mut Sheet<'_>) -> Option<FaultSpec> {
    let Some(status) = &abort.http_status else {
        sheet.lost(path, "it has no httpStatus; no rule was made", "write one");
        return None;
    };
    Some(FaultSpec { abort: Some(Written::Short(status.clone())), ..FaultSpec::default() })
}

/// `50Mbps` is 50,000,000 bits per second.
fn bandwidth_fault(path: &str, bandwidth: &Bandwidth, sheet: &mut Sheet<'_>) -> Option<FaultSpec> {
    let text = bandwidth.limit.as_deref().unwrap_or_default();
    let rate = amount(text).and_then(|(number, unit)| {
        let units = [("bps", 1), ("kbps", 1000), ("mbps", 1_000_000), ("gbps", 1_000_000_000)];
        let (_, factor) = units.iter().find(|(known, _)| *known == unit)?;
        ByteRate::from_bytes_per_second(u64::checked_mul(number, *factor)? / 8).map(Scalar::from)
    });
    let Some(rate) = rate else {
        sheet.lost(
            format!("{path}.limit"),
            format!("{text:?} is no limit such as 50Mbps; no rule was made"),
            "write one",
        );
        return None;
    };
    let throttle = ThrottleSpec { rate: Some(rate), direction: Some("response".to_owned()) };
    Some(FaultSpec { throttle: Some(Written::Full(throttle)), ..FaultSpec::default() })
}
