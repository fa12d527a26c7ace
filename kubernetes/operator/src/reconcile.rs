//! From objects to orders, and from what sidecars say to statuses.
//!
//! Nothing is ordered before it stands in a status: when a rule began and when it ends does not change when the controller is
//! started again. What ends ends at once, whether the API server takes a status or not. Deletions come with the watch, and need
//! no finalizer: what nobody orders any more ends in the sidecars.
//!
//! One controller at a time (a Deployment with the strategy Recreate). Two would do no harm but to counts: both order the same.

mod checked;
mod cluster_halt;
mod error;
mod experiment;
mod fault_rule;
mod there;
mod told;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use squall_config::Chain;

use crate::crds::check::{CheckedExperiment, CheckedRule, Lives};
use crate::crds::{ExperimentStatus, FaultRuleStatus};
use crate::dispatch::Dispatch;
use crate::fleet::Rank;
use crate::footing::Footing;

use checked::Checked;
pub(crate) use error::Error;
use error::title;
use there::There;
use told::Told;
pub(crate) use watch::run;

/// Who writes statuses, and who says so in events.
const MANAGER: &str = "squall";
/// How often the counts in a status are brought up to date.
const COUNTS_EVERY: Duration = Duration::from_secs(3);
/// A status that was not taken is written again after so long.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// What reconcilers work with.
pub(crate) struct Context {
    client: Client,
    dispatch: Arc<Dispatch>,
    footing: Footing,
    lives: Lives,
    recorder: Recorder,
    rules: Checked<CheckedRule>,
    experiments: Checked<CheckedExperiment>,
    told_rules: Told<FaultRuleStatus>,
    told_experiments: Told<ExperimentStatus>,
    there: There,
}

impl Context {
    /// With nothing known yet.
    pub(crate) fn new(client: Client, dispatch: Arc<Dispatch>, footing: Footing, lives: Lives) -> Self {
        let instance = std::env::var("POD_NAME").ok();
        let recorder = Recorder::new(client.clone(), Reporter { controller: MANAGER.to_owned(), instance });
        let (rules, experiments) = (Checked::default(), Checked::default());
        let (told_rules, told_experiments) = (Told::default(), Told::default());
        let there = There::default();
        Self { client, dispatch, footing, lives, recorder, rules, experiments, told_rules, told_experiments, there }
    }

    /// Writes a status, as its only writer.
    async fn write_status<K, S>(&self, api: &Api<K>, object: &K, status: &S) -> Result<(), Error>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
        S: Serialize + Sync,
    {
        let name = object.name_any();
        // With the uid, so that another object of that name does not get it.
        let patch = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": { "name": name, "uid": object.uid() },
            "status": status,
        });
        let parameters = PatchParams::apply(MANAGER).force();
        let written = api.patch_status(&name, &parameters, &Patch::Apply(&patch)).await;
        written.map(|_| ()).map_err(|error| Error::Status(title(object), error))
    }

    fn namespaced<K>(&self, object: &K) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), object.meta().namespace.as_deref().unwrap_or_default())
    }

    /// Says in an event that an object has come into another phase. Whether it is taken changes nothing.
    async fn say<K: Resource<DynamicType = ()>>(&self, object: &K, phase: &str, note: String, type_: EventType) {
        let event = Event {
            type_,
            reason: phase.to_owned(),
            note: Some(note).filter(|note| !note.is_empty()),
            action: phase.to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, &object.object_ref(&())).await {
            tracing::debug!(object = title(object), phase, error = %Chain(&error), "an event was not taken");
        }
    }
}

fn rank<K: Resource<DynamicType = ()>>(object: &K, uid: &str) -> Rank {
    Rank { created: object.creation_timestamp().map(|at| at.0), uid: uid.to_owned() }
}
