//! `squall-kubernetes run`: the parts put together, and their end.

use std::io;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::{LogFormat, Part, RunArgs};
use crate::controller;
use crate::crds::check;
use crate::serve::health::Health;
use crate::serve::metrics::{Admissions, Connections, Metrics, TlsMetrics};
use crate::serve::{self, Limits, Listener};
use crate::tls::{CertificateSource, Certificates, Given, Keeper};
use crate::webhook::{self, Webhook};

/// Connections to the plain listener: scrapers and the kubelet.
const TELEMETRY_CONNECTIONS_MAX: usize = 64;
/// The part of the health that has to do with the end.
const END: &str = "end";

/// Runs until a signal ends it.
///
/// # Errors
/// What keeps it from starting.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<()> {
    start_log(&args.log, args.log_format)?;
    // For the client of Kubernetes, which asks for the one of the process.
    let _once = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no event loop")?;
    runtime.block_on(live(args))
}

async fn live(args: &RunArgs) -> anyhow::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (health, metrics) = (Health::default(), Metrics::new()?);
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();

    let certificates = Certificates::new(TlsMetrics::new(&metrics)?, health.clone());
    let controller = args.webhook.controller_url(&args.service, &args.namespace);
    keep(&mut tasks, args, &controller, (&certificates, &stopped)).await?;

    let mut router = webhook(args, &controller, &certificates, &metrics)?;
    if args.only != Some(Part::Webhook) {
        let sidecars = controller::start(&args.controller, (&metrics, &health), &stopped, &mut tasks).await?;
        router = router.merge(sidecars);
    }
    let connections = Connections::new(&metrics)?;
    let https = Listener::bind(args.serve.listen).await.context("--listen")?;
    let plain = Listener::bind(args.serve.telemetry).await.context("--telemetry")?;
    tracing::info!(https = %https.address(), telemetry = %plain.address(), "listening");
    let limits = Limits { connections_max: usize::try_from(args.serve.connections_max)? };
    let tls = certificates.server().context("TLS cannot be set up")?;
    tasks.spawn(https.serve(router, Some(tls), (limits, connections.clone()), stopped.clone()));
    let limits = Limits { connections_max: TELEMETRY_CONNECTIONS_MAX };
    tasks.spawn(plain.serve(serve::telemetry(health.clone(), metrics), None, (limits, connections), stopped));

    let name = tokio::select! {
        _signal = term.recv() => "SIGTERM",
        _signal = int.recv() => "SIGINT",
    };
    tracing::info!(signal = name, "ending");
    health.waits(END, "it is ending");
    stop.send_replace(true);
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// Has certificates loaded, and followed for as long as it runs.
async fn keep(
    tasks: &mut JoinSet<()>,
    args: &RunArgs,
    controller: &str,
    (certificates, stopped): (&Arc<Certificates>, &watch::Receiver<bool>),
) -> anyhow::Result<()> {
    match args.tls.source() {
        CertificateSource::Given { cert, key, ca } => {
            let mut given = Given::new(cert, key, ca);
            given.load(certificates).context("the certificate cannot be used")?;
            tasks.spawn(given.follow(Arc::clone(certificates), stopped.clone()));
        }
        CertificateSource::Made { secret, webhook_configuration } => {
            let client = kube::Client::try_default().await.context(
                "there is no way to the API server: run in a pod, name a file in KUBECONFIG, or give --tls-cert with --only webhook",
            )?;
            let names = names(args, controller);
            let keeper = Keeper { client, namespace: args.namespace.clone(), secret, names, webhook_configuration };
            tasks.spawn(keeper.run(Arc::clone(certificates), stopped.clone()));
        }
    }
    Ok(())
}

/// For which names a certificate is: those that the API server and the sidecars call.
fn names(args: &RunArgs, controller: &str) -> Vec<String> {
    let service = format!("{}.{}.svc", args.service, args.namespace);
    let mut names = vec![format!("{service}.cluster.local"), service];
    let host = controller.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
    names.extend(host.map(|host| host.trim_matches(['[', ']']).to_owned()));
    names.sort_unstable();
    names.dedup();
    names
}

/// The webhooks; sidecars are told of a controller only where there is one.
fn webhook(
    args: &RunArgs,
    controller: &str,
    certificates: &Arc<Certificates>,
    metrics: &Metrics,
) -> anyhow::Result<Router> {
    let options = args.webhook.options(&args.namespace, args.only.is_none().then_some(controller))?;
    let certificates = Arc::clone(certificates);
    let options = move || {
        let mut options = options.clone();
        if let Some(controller) = &mut options.controller {
            certificates.authority().as_str().clone_into(&mut controller.ca);
        }
        options
    };
    let lives = args.controller.lives()?;
    Ok(webhook::router(Webhook {
        options: Box::new(options),
        check: Box::new(move |kind, object| check::problems(kind, object, lives)),
        admissions: Admissions::new(metrics)?,
    }))
}

fn start_log(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    let targets: Targets = filter.parse().with_context(|| format!("--log {filter:?}"))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
    let all = tracing_subscriber::registry().with(targets);
    match format {
        LogFormat::Text => all.with(lines.with_target(false)).try_init(),
        LogFormat::Json => all.with(lines.json().flatten_event(true).with_current_span(false)).try_init(),
    }
    .context("the log cannot be started")
}
