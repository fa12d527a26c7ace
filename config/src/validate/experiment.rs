//! Experiments: a document of their own, checked against the configuration that it is for.

mod expect;
mod method;
mod steady_state;
mod times;
mod words;

use std::ops::RangeInclusive;

use crate::defaults;
use crate::model::{Experiment, Guard, Name};
use crate::problem::Problems;
use crate::report::Report;
use crate::spec::{ConfigSpec, ExperimentDocument, ExperimentSpec, MetadataSpec};

use super::context::Context;
use super::{Ground, guards, pods};
use method::Surroundings;

const API_VERSION: &str = "squall.dev/v1alpha1";
const KIND: &str = "Experiment";

/// More requests than this in a phase nobody waits for.
const MINIMUM_REQUESTS_MAX: usize = 1_000_000_000;

/// Of fewer exchanges nothing could be concluded in time; as many as the most no machine carries, so that all are joined.
const JOINED_PER_SECOND: RangeInclusive<usize> = 100..=1_000_000_000;

/// Checks an experiment as part of the configuration that it is for: its rules, step by step, as if they stood behind those of
/// the configuration, but for rules that are there because of this very experiment.
///
/// # Errors
/// Every problem of the experiment, without positions; those of the configuration are left to [`validate`](super::validate()).
pub fn validate_experiment(document: &ExperimentDocument, against: &ConfigSpec) -> Result<Experiment, Problems> {
    let mut report = Report::default();
    let ground = Ground::of(against, &mut Report::default());
    let experiment = experiment(document, against, &ground.context(against), &mut report);
    report.into_result()?;
    Ok(experiment.expect("invariant: what is missing has been reported"))
}

/// `None` only when there is a problem.
pub(super) fn experiment(
    document: &ExperimentDocument,
    against: &ConfigSpec,
    context: &Context<'_>,
    report: &mut Report,
) -> Option<Experiment> {
    kind(&document.api_version, (&document.kind, KIND), report);
    let name = name(document.metadata.as_ref(), report);
    let hint = "write what the experiment does: hypothesis, steady_state and method";
    let spec = report.required("spec", document.spec.as_ref(), hint)?;
    let hypothesis = words::words(spec, report);
    let minimum_requests = report.count_or(
        "spec.minimum_requests",
        spec.minimum_requests,
        1..=MINIMUM_REQUESTS_MAX,
        defaults::MINIMUM_REQUESTS,
    );
    let steady_state = steady_state::steady_state(&spec.steady_state, minimum_requests, context, report);
    let written_name = document.metadata.as_ref().map_or("", |metadata| &metadata.name);
    let mut surroundings = Surroundings::new(against, written_name, context);
    let method = method::method(&spec.method, &mut surroundings, report);
    let guards = own_guards(spec, against, context, report);
    let expect = spec.expect.as_ref().and_then(|spec| expect::expect(spec, report));
    let fallback = spec.fallback.as_ref().and_then(|spec| expect::fallback(spec, report));
    let is_whole = method.len() == spec.method.len();
    let times = times::times(spec, is_whole.then_some(&method[..]), report);
    if is_whole {
        method::ends_in_time(&method, times.rollback, context, report);
    }
    let joined_per_second = report.count_or(
        "spec.joined_per_second",
        spec.joined_per_second,
        JOINED_PER_SECOND,
        defaults::JOINED_PER_SECOND,
    );
    let pods = spec.pods.as_ref().map(|spec| pods::pods("spec.pods", spec, report));
    let name = name?;
    Some(Experiment {
        title: spec.title.clone().unwrap_or_else(|| name.to_string()),
        name,
        hypothesis: hypothesis?,
        steady_state,
        baseline: times.baseline,
        method,
        recovery: times.recovery,
        rollback: times.rollback,
        expect: expect.unwrap_or(expect::NOTHING_HARMED),
        fallback,
        guards,
        duration: times.duration,
        schedule: times.schedule,
        minimum_requests: minimum_requests as u64,
        add_ids: spec.add_ids.unwrap_or(true),
        joined_per_second: joined_per_second as u64,
        pods: pods.unwrap_or_default(),
    })
}

/// Checks what kind of document it is.
pub(super) fn kind(api_version: &str, (kind, expected): (&str, &str), report: &mut Report) {
    for (field, value, expected) in [("apiVersion", api_version, API_VERSION), ("kind", kind, expected)] {
        match value {
            "" => report.add(field, "missing", format!("write {field}: {expected}")),
            value if value == expected => {}
            other => report.add(field, format!("{other:?} is not known"), format!("write {field}: {expected}")),
        }
    }
}

pub(super) fn name(metadata: Option<&MetadataSpec>, report: &mut Report) -> Option<Name> {
    let metadata =
        report.required("metadata", metadata, "write what it is called, such as metadata: {name: slow-b}")?;
    report.name("metadata.name", &metadata.name)
}

/// They stand beside those of the configuration while the experiment runs.
fn own_guards(spec: &ExperimentSpec, against: &ConfigSpec, context: &Context<'_>, report: &mut Report) -> Vec<Guard> {
    const PATH: &str = "spec.guards";
    for (index, guard) in spec.guards.iter().enumerate().filter(|(_, guard)| !guard.name.is_empty()) {
        if against.guards.iter().any(|other| other.name == guard.name) {
            let detail = format!("the name {:?} is taken by a guard of the configuration", guard.name);
            report.add(format!("{PATH}[{index}].name"), detail, "rename it");
        }
    }
    guards::guards(PATH, &spec.guards, context, report)
}

#[cfg(test)]
mod tests;
