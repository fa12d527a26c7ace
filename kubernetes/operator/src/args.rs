//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::controller::ControllerArgs;
use crate::serve::ServeArgs;
use crate::tls::TlsArgs;
use crate::webhook::WebhookArgs;

/// What Squall is in a cluster besides its sidecars.
#[derive(Debug, Parser)]
#[command(name = "squall-kubernetes", version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Serves webhooks and sidecars until it is stopped
    Run(Box<RunArgs>),
    /// Prints the definitions of the custom resources
    Crds,
}

/// A part of it that can run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// The webhooks; with --tls-cert nothing of the API server is needed
    Webhook,
}

/// Shape of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The namespace that it is in; pods there get no sidecar
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME", default_value = "squall-system")]
    pub(crate) namespace: String,
    /// The Service that leads here
    #[arg(long, value_name = "NAME", default_value = "squall")]
    pub(crate) service: String,
    /// Run this part alone [default: all]
    #[arg(long, value_name = "PART")]
    pub(crate) only: Option<Part>,
    /// How much is logged: a level, or pairs target=level
    #[arg(long, value_name = "FILTER", default_value = "info,kube_client=error,kube_runtime=warn")]
    pub(crate) log: String,
    /// Shape of the log
    #[arg(long, value_name = "SHAPE", default_value = "text")]
    pub(crate) log_format: LogFormat,
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    #[command(flatten)]
    pub(crate) webhook: WebhookArgs,
    #[command(flatten)]
    pub(crate) controller: ControllerArgs,
}
