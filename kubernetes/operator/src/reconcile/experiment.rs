//! Experiment: once in each pod that is selected when it starts, for each generation of its spec.

mod status;

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;
use squall_config::Problems;

use super::checked::Verdict;
use super::watch::Kind;
use super::{COUNTS_EVERY, Context, Error, rank};
use crate::crds::check::{CheckedExperiment, check_experiment};
use crate::crds::{Experiment, ExperimentStatus};
use crate::fleet::{ExperimentState, OrderedExperiment};

use status::Seen;

impl Kind for Experiment {
    const RESOURCE: &'static str = "experiments";

    /// One that ran when the controller was started goes on.
    fn seen(&self, context: &Context, is_listed: bool) {
        let (Some(uid), true) = (self.uid(), is_listed) else { return };
        let Some(status) = self.status.as_ref().filter(|status| is_of(status, self)) else { return };
        if status.phase != status::RUNNING {
            return;
        }
        let Ok(checked) = checked(self, context) else { return };
        if let Ok(checked) = checked.as_ref() {
            let order = order(self, &uid, checked, Some(status::unfinished(status)));
            context.dispatch.change(|fleet| fleet.order_experiment(order));
        }
    }

    async fn reconcile(object: Arc<Self>, context: Arc<Context>) -> Result<Action, Error> {
        let Some(uid) = object.uid().filter(|uid| context.there.has(uid)) else { return Ok(Action::await_change()) };
        let checked = checked(&object, &context)?;
        let before = context.told_experiments.last(&uid, object.status.as_ref());
        let current = before.clone().filter(|status| is_of(status, &object));
        let next = match checked.as_ref() {
            Err(problems) => refused(&uid, problems, &context),
            Ok(_) if object.metadata.deletion_timestamp.is_some() => {
                context.dispatch.change(|fleet| fleet.end(&uid));
                return Ok(Action::await_change());
            }
            Ok(checked) => next(&object, &uid, checked, current.unwrap_or_default(), &context),
        };
        let conditions = before.as_ref().map(|before| before.conditions.clone()).unwrap_or_default();
        let status = next.told(conditions, object.metadata.generation, Timestamp::now());
        let is_another = before.as_ref() != Some(&status);
        if is_another {
            context.write_status(&context.namespaced(&*object), &*object, &status).await?;
            if !context.there.has(&uid) {
                return Ok(Action::await_change());
            }
            context.told_experiments.set(&uid, status.clone());
        }
        let is_running = status.phase == status::RUNNING;
        if let Some(checked) = checked.as_ref().as_ref().ok().filter(|_| is_running) {
            let order = order(&object, &uid, checked, Some(status::unfinished(&status)));
            context.dispatch.change(|fleet| fleet.order_experiment(order));
        }
        if is_another {
            say(&object, before.as_ref(), &status, &context).await;
        }
        let is_over = [status::FINISHED, status::REFUSED].contains(&status.phase.as_str());
        // One that waits is looked at when sidecars come; and it waits for the controller to be sure of itself, too.
        Ok(if is_over { Action::await_change() } else { Action::requeue(Duration::from_secs(1).min(COUNTS_EVERY)) })
    }
}

fn refused(uid: &str, problems: &Problems, context: &Context) -> status::Next {
    context.dispatch.change(|fleet| fleet.end(uid));
    status::Next::refused(problems.to_string())
}

/// What becomes of a valid one.
fn next(
    object: &Experiment,
    uid: &str,
    checked: &CheckedExperiment,
    current: ExperimentStatus,
    context: &Context,
) -> status::Next {
    match current.phase.as_str() {
        status::FINISHED => {
            context.dispatch.change(|fleet| fleet.end(uid));
            status::Next::finished(current)
        }
        status::RUNNING => {
            let mut next = status::Next::running(current);
            next.look(&seen(object, uid, &next.status, checked, context), Timestamp::now());
            if next.status.phase == status::FINISHED {
                context.dispatch.change(|fleet| fleet.end(uid));
            }
            next
        }
        // Pods are reserved first, so that no rule takes them from it.
        _ => {
            let order = order(object, uid, checked, None);
            context.dispatch.change(|fleet| fleet.order_experiment(order));
            let plan = context.dispatch.plan();
            let share = plan.shares.get(uid).cloned().unwrap_or_default();
            let mut next = status::Next::pending(share);
            if context.footing.check(Instant::now()).is_ok() {
                let fleet = context.dispatch.fleet();
                let name = |uid: &str| fleet.pod_name(uid).unwrap_or_default().to_owned();
                next.start(name, Timestamp::now());
            }
            next
        }
    }
}

/// What sidecars say, as far as the controller can be sure of it.
fn seen(
    object: &Experiment,
    uid: &str,
    status: &ExperimentStatus,
    checked: &CheckedExperiment,
    context: &Context,
) -> Seen {
    let pods = status::unfinished(status);
    let plan = context.dispatch.plan();
    let state = context.dispatch.fleet().experiment_state(uid, &object.name_any(), &pods, &plan);
    let is_planned = plan.shares.contains_key(uid);
    let ExperimentState { share, reports, settled } = state;
    let lease = context.dispatch.settings.lease;
    // A sidecar that was there before the controller was started has a lease to come back in.
    let are_back = context.footing.settled().is_some_and(|settled| Instant::now() > settled + lease);
    Seen {
        reports,
        follow: settled,
        halted: share.halted,
        // Where not all have come back, the bound of the fleet is that of the few that have.
        hit: (are_back && is_planned).then_some(share.hit),
        are_back,
        longest: checked.duration + 2 * lease,
    }
}

fn is_of(status: &ExperimentStatus, object: &Experiment) -> bool {
    status.observed_generation == object.metadata.generation
}

fn checked(object: &Experiment, context: &Context) -> Result<Verdict<CheckedExperiment>, Error> {
    context.experiments.of(object, check_experiment)
}

fn order(
    object: &Experiment,
    uid: &str,
    checked: &CheckedExperiment,
    participants: Option<Vec<String>>,
) -> OrderedExperiment {
    OrderedExperiment {
        rank: rank(object, uid),
        namespace: object.namespace().unwrap_or_default(),
        pods: checked.pods.clone(),
        document: Arc::new(checked.document.clone()),
        run: format!("{uid}.{}", object.metadata.generation.unwrap_or_default()),
        participants,
    }
}

async fn say(object: &Experiment, before: Option<&ExperimentStatus>, status: &ExperimentStatus, context: &Context) {
    if before.is_some_and(|before| before.phase == status.phase) || status.phase == status::PENDING {
        return;
    }
    let phase = status.phase.as_str();
    let (type_, note) = match phase {
        status::REFUSED => (EventType::Warning, "it is not valid; its condition Accepted says why".to_owned()),
        status::RUNNING => (EventType::Normal, format!("in {} pods", status.pods_total)),
        _ => (EventType::Normal, status.verdict.clone()),
    };
    tracing::info!(object = super::title(object), phase, verdict = status.verdict, "an experiment changed its phase");
    context.say(object, phase, note, type_).await;
}
