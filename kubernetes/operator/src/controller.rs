//! The controller: watches, plans and the answers to sidecars, put together.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use clap::Args;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use kube::client::ClientBuilder;
use squall_config::units::{Percentage, format_duration, parse_duration};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::crds::check::Lives;
use crate::crds::{ClusterHalt, Experiment, FaultRule};
use crate::dispatch::Dispatch;
use crate::fleet::Settings;
use crate::footing::Footing;
use crate::reconcile::{self, Context};
use crate::serve::health::Health;
use crate::serve::metrics::{Answers, FleetGauges, Metrics};
use crate::sidecars::{self, Desk, Tokens};

const LEASE_MIN: Duration = Duration::from_secs(5);
const LEASE_MAX: Duration = Duration::from_secs(300);
/// No rule of a cluster lives longer than this, whatever is asked for.
const TTL_CEILING: Duration = Duration::from_secs(365 * 24 * 3600);
/// The part of the health that has to do with the API server. Sidecars are let in when all has been listed; what becomes of the
/// API server later they are told themselves, and webhooks need none of it.
const PART: &str = "controller";
/// How often gauges are brought up to date.
const GAUGES_EVERY: Duration = Duration::from_secs(1);

/// The controlling part of `squall-kubernetes run`.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Rules and experiments")]
pub(crate) struct ControllerArgs {
    /// So long sidecars follow their orders without hearing from here; 5s to 5m
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = lease)]
    lease: Duration,
    /// The most of all connected sidecars, over the whole cluster, that may have rules or experiments at once: rounded down, but
    /// one at least
    #[arg(long, value_name = "PERCENT", default_value = "50", value_parser = share)]
    max_pods_hit: Percentage,
    /// How long a FaultRule that does not say lives
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = ttl)]
    default_ttl: Duration,
    /// The longest that a FaultRule may live
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = ttl)]
    ttl_max: Duration,
}

fn lease(text: &str) -> Result<Duration, String> {
    let lease = parse_duration(text).map_err(|error| error.to_string())?;
    if (LEASE_MIN..=LEASE_MAX).contains(&lease) { Ok(lease) } else { Err("write 5s to 5m".to_owned()) }
}

fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = parse_duration(text).map_err(|error| error.to_string())?;
    let is_possible = !ttl.is_zero() && ttl <= TTL_CEILING;
    if is_possible { Ok(ttl) } else { Err("write more than 0s, and at most 365 days".to_owned()) }
}

fn share(text: &str) -> Result<Percentage, String> {
    let share: Percentage = text.parse().map_err(|error: squall_config::units::UnitError| error.to_string())?;
    if share == Percentage::NEVER { Err("write a share above 0".to_owned()) } else { Ok(share) }
}

impl ControllerArgs {
    /// How long rules live.
    ///
    /// # Errors
    /// A default that is longer than the longest.
    pub(crate) fn lives(&self) -> anyhow::Result<Lives> {
        let (default, longest) = (self.default_ttl, self.ttl_max);
        anyhow::ensure!(
            default <= longest,
            "--default-ttl {} is longer than --ttl-max {}",
            format_duration(default),
            format_duration(longest)
        );
        Ok(Lives { default, longest })
    }
}

/// Starts the controller in `tasks`; they end when `stopped` says so. What comes back is the route of sidecars.
///
/// # Errors
/// No way to the API server, or metrics whose names are taken.
pub(crate) async fn start(
    args: &ControllerArgs,
    (metrics, health): (&Metrics, &Health),
    stopped: &watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<Router> {
    let lives = args.lives()?;
    let settings = Settings { lease: args.lease, pods_hit_max: args.max_pods_hit };
    let footing = Footing::new(settings.lease);
    let client = client(&settings, &footing).await?;
    let dispatch = Arc::new(Dispatch::new(settings));
    let context = Arc::new(Context::new(client.clone(), Arc::clone(&dispatch), footing.clone(), lives));
    let mut spawn = |work: BoxFuture<'static, ()>| {
        tasks.spawn(until_end(stopped.clone(), work));
    };
    spawn(reconcile::run::<ClusterHalt>(Arc::clone(&context)).boxed());
    spawn(reconcile::run::<FaultRule>(Arc::clone(&context)).boxed());
    spawn(reconcile::run::<Experiment>(context).boxed());
    let gauges = FleetGauges::new(metrics)?;
    let (planned, shown, seen) = (Arc::clone(&dispatch), Arc::clone(&dispatch), footing.clone());
    spawn(async move { planned.run().await }.boxed());
    spawn(async move { show(gauges, &shown, &seen).await }.boxed());
    health.waits(PART, "not all rules have been listed");
    let (listing, well) = (footing.clone(), health.clone());
    spawn(
        async move {
            listing.wait_listed().await;
            well.is_well(PART);
        }
        .boxed(),
    );
    let counts = Answers::new(metrics)?;
    let desk = Desk { dispatch, footing, tokens: Tokens::new(client), counts, stopped: stopped.clone() };
    Ok(sidecars::router(desk))
}

/// A client whose answers are heard, and which does not wait for one for longer than a lease allows.
async fn client(settings: &Settings, footing: &Footing) -> anyhow::Result<kube::Client> {
    let mut config = kube::Config::infer()
        .await
        .context("there is no way to the API server: run in a pod, or name a file in KUBECONFIG")?;
    config.connect_timeout = Some(settings.wait_max());
    // Longer than any watch is quiet.
    config.read_timeout = Some(settings.lease);
    config.write_timeout = Some(settings.lease);
    config.reset_reader_on_write = true;
    Ok(ClientBuilder::try_from(config)?.with_layer(&footing.ears()).build())
}

async fn until_end(mut stopped: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        _ended = stopped.wait_for(|stopped| *stopped) => {}
    }
}

/// Shows how the fleet is, for as long as it is polled.
async fn show(gauges: FleetGauges, dispatch: &Dispatch, footing: &Footing) {
    loop {
        let (plan, n_sidecars) = (dispatch.plan(), dispatch.fleet().n_sidecars());
        let is_sure = footing.check(std::time::Instant::now()).is_ok();
        gauges.show(n_sidecars, &plan, is_sure);
        tokio::time::sleep(GAUGES_EVERY).await;
    }
}
