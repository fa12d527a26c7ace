//! ClusterHalt: in force as soon as it is seen. Its status tells how far it has come.

use std::sync::Arc;

use kube::runtime::controller::Action;
use kube::{Api, ResourceExt as _};

use super::watch::Kind;
use super::{COUNTS_EVERY, Context, Error, rank};
use crate::crds::{ClusterHalt, ClusterHaltStatus};
use crate::fleet::Halt;

impl Kind for ClusterHalt {
    const RESOURCE: &'static str = "clusterhalts";

    fn seen(&self, context: &Context, _is_listed: bool) {
        let Some(uid) = self.uid() else { return };
        let spec = self.spec.read();
        let (rank, name) = (rank(self, &uid), self.name_any());
        let halt = Halt { rank, name, reason: spec.reason, namespaces: spec.namespaces };
        context.dispatch.change(|fleet| fleet.halt(halt));
    }

    async fn reconcile(object: Arc<Self>, context: Arc<Context>) -> Result<Action, Error> {
        let Some(uid) = object.uid() else { return Ok(Action::await_change()) };
        let plan = context.dispatch.plan();
        let (matched, halted) = context.dispatch.fleet().halt_state(&uid, &plan);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let status = ClusterHaltStatus {
            observed_generation: object.metadata.generation,
            pods_matched: count(matched),
            pods_halted: count(halted),
        };
        if object.status.as_ref() != Some(&status) {
            context.write_status(&Api::all(context.client.clone()), &*object, &status).await?;
        }
        Ok(Action::requeue(COUNTS_EVERY))
    }
}
