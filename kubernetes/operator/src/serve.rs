//! The two doors: HTTPS for the API server and the sidecars, plain HTTP for health checks and metrics.

pub(crate) mod health;
mod listener;
pub(crate) mod metrics;
pub(crate) mod rest;
mod telemetry;

use std::net::SocketAddr;

use clap::Args;

pub(crate) use listener::{Limits, Listener};
pub(crate) use telemetry::router as telemetry;

/// The listening part of `squall-kubernetes run`.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Listening")]
pub(crate) struct ServeArgs {
    /// Where HTTPS is served: webhooks, and orders for sidecars
    #[arg(long, value_name = "ADDR", default_value = "[::]:9443")]
    pub(crate) listen: SocketAddr,
    /// Where /livez, /readyz and /metrics are served, without TLS
    #[arg(long, value_name = "ADDR", default_value = "[::]:9472")]
    pub(crate) telemetry: SocketAddr,
    /// Connections over HTTPS at once; each sidecar has one
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) connections_max: u32,
}
