//! `squall healthcheck`: for health checks in images that have no curl.

use std::path::PathBuf;

use clap::Args;
use http::Method;

use crate::client::{self, Base, CONTROL_DEFAULT, Call, Credentials};
use crate::exit::{Exit, Failure, Outcome};
use crate::source;
use crate::verb::EPILOGUE;

/// Arguments of `squall healthcheck`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "\
Examples:
  squall healthcheck                             asks http://127.0.0.1:9470/readyz
  squall healthcheck -c /etc/squall.yaml         asks where this file puts telemetry or control
  HEALTHCHECK CMD [\"/squall\", \"healthcheck\"]     in a Dockerfile

Exits 0 when squall is ready, 1 when it is not or does not answer.",
    after_long_help = EPILOGUE
)]
pub(crate) struct HealthcheckArgs {
    /// The telemetry API of the running squall; wins over --control
    #[arg(long, value_name = "URL", env = "SQUALL_TELEMETRY", value_parser = Base::parse)]
    telemetry: Option<Base>,
    /// The control API of the running squall
    #[arg(long, value_name = "URL", env = "SQUALL_CONTROL", value_parser = Base::parse)]
    control: Option<Base>,
    /// The file that the running squall was started with; says where to ask when no URL does
    #[arg(short, long, value_name = "FILE", env = "SQUALL_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    credentials: Credentials,
}

/// Asks `/readyz`. Docker knows 0 and 1 alone, so that "does not answer" is 1 here too.
pub(crate) fn execute(args: &HealthcheckArgs) -> Outcome {
    let base = base(args)?;
    let reply = client::send_blocking(&base, &args.credentials, &Call::new(Method::GET, "/readyz"))
        .map_err(|failure| failure.with_exit(Exit::Failure))?;
    if reply.status.is_success() {
        return Ok(Exit::Ok);
    }
    let why = String::from_utf8_lossy(&reply.body);
    Err(Failure::new(Exit::Failure, format!("not ready: {base} says {}: {}", reply.status.as_u16(), why.trim())))
}

fn base(args: &HealthcheckArgs) -> Result<Base, Failure> {
    if let Some(base) = args.telemetry.as_ref().or(args.control.as_ref()) {
        return Ok(base.clone());
    }
    if let Some(path) = &args.config {
        let (_, config) = source::load_config(path)?;
        let control = || Base::of_control(&config.control.address, config.control.tls.is_some());
        return Ok(config.telemetry.map_or_else(control, Base::of));
    }
    Base::parse(CONTROL_DEFAULT).map_err(|why| Failure::new(Exit::Failure, why))
}
