//! FaultRule: in force from when its status says so until its ttl is over.

mod status;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;

use super::checked::Verdict;
use super::watch::Kind;
use super::{COUNTS_EVERY, Context, Error, rank};
use crate::crds::check::{CheckedRule, check_fault_rule};
use crate::crds::{FaultRule, FaultRuleStatus};
use crate::fleet::{Counts, OrderedRule};

use status::Life;

impl Kind for FaultRule {
    const RESOURCE: &'static str = "faultrules";

    /// A rule that was in force when the controller was started is so from the first moment on.
    fn seen(&self, context: &Context, is_listed: bool) {
        let Some(uid) = self.uid() else { return };
        let (namespace, name) = (self.namespace().unwrap_or_default(), self.name_any());
        let told = |status: &FaultRuleStatus| Counts { matched: status.matched_total, injected: status.injected_total };
        let told = self.status.as_ref().map(told).unwrap_or_default();
        context.dispatch.fleet().know_rule(&uid, &namespace, &name, told);
        let is_new = self.status.as_ref().and_then(|status| status.observed_generation) != self.metadata.generation;
        if !is_listed || is_new {
            return;
        }
        let Ok(checked) = checked(self, context) else { return };
        let life = Life::of(self.status.as_ref(), self.metadata.generation, &checked, Timestamp::now());
        if let Some(order) = order(self, &uid, &checked, &life) {
            context.dispatch.change(|fleet| fleet.order_rule(order));
        }
    }

    async fn reconcile(object: Arc<Self>, context: Arc<Context>) -> Result<Action, Error> {
        let Some(uid) = object.uid().filter(|uid| context.there.has(uid)) else { return Ok(Action::await_change()) };
        let now = Timestamp::now();
        let checked = checked(&object, &context)?;
        let before = context.told_rules.last(&uid, object.status.as_ref());
        let life = Life::of(before.as_ref(), object.metadata.generation, &checked, now);
        let order = order(&object, &uid, &checked, &life).filter(|_| object.metadata.deletion_timestamp.is_none());
        if order.is_none() {
            context.dispatch.change(|fleet| fleet.end(&uid));
        }
        let plan = context.dispatch.plan();
        let state = context.dispatch.fleet().rule_state(&uid, &plan);
        let status = status::status(before.as_ref(), object.metadata.generation, &life, &state, now);
        let is_another = before.as_ref() != Some(&status);
        if is_another {
            context.write_status(&context.namespaced(&*object), &*object, &status).await?;
            if !context.there.has(&uid) {
                return Ok(Action::await_change());
            }
            context.told_rules.set(&uid, status.clone());
        }
        let is_in_force = order.is_some();
        if let Some(order) = order {
            context.dispatch.change(|fleet| fleet.order_rule(order));
        }
        if is_another {
            say(&object, before.as_ref(), &status, &context).await;
        }
        let until_end = life.expires().filter(|_| is_in_force).map(|end| {
            let left = Duration::try_from(end.duration_since(Timestamp::now())).unwrap_or_default();
            (left + Duration::from_millis(10)).min(COUNTS_EVERY)
        });
        // Counts of one that has ended come in late, and sidecars that still have it are looked at.
        let action = until_end.or((state.still > 0).then_some(COUNTS_EVERY));
        Ok(action.map_or_else(Action::await_change, Action::requeue))
    }
}

fn checked(object: &FaultRule, context: &Context) -> Result<Verdict<CheckedRule>, Error> {
    context.rules.of(object, |value| check_fault_rule(value, context.lives))
}

/// What sidecars are ordered, while it is in force.
fn order(object: &FaultRule, uid: &str, checked: &Verdict<CheckedRule>, life: &Life) -> Option<OrderedRule> {
    let Life::InForce { expires, .. } = life else { return None };
    let checked = checked.as_ref().as_ref().ok()?;
    Some(OrderedRule {
        rank: rank(object, uid),
        namespace: object.namespace().unwrap_or_default(),
        pods: checked.pods.clone(),
        rule: Arc::new(checked.rule.clone()),
        expires_at: *expires,
    })
}

async fn say(object: &FaultRule, before: Option<&FaultRuleStatus>, status: &FaultRuleStatus, context: &Context) {
    if before.is_some_and(|before| before.phase == status.phase) || status.phase == status::PENDING {
        return;
    }
    let type_ = if status.phase == status::REFUSED { EventType::Warning } else { EventType::Normal };
    tracing::info!(
        object = super::title(object),
        phase = status.phase,
        pods = status.hit_pods,
        "a rule changed its phase"
    );
    context.say(object, &status.phase, status::note(status), type_).await;
}
