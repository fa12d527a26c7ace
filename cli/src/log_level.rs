//! `squall log-level`: how much a running squall says in its log.

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use crate::client::Call;
use crate::exit::Outcome;
use crate::verb::{ClientArgs, EPILOGUE};

/// Arguments of `squall log-level`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "\
Examples:
  squall log-level                           what is in force
  squall log-level debug                     more, from now on
  squall log-level info,squall_proxy=debug   more of the data plane alone",
    after_long_help = EPILOGUE
)]
pub(crate) struct LogLevelArgs {
    /// A level (error, warn, info, debug), or target=level pairs with commas between them
    #[arg(value_name = "LEVEL")]
    level: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

/// Asks, or changes.
pub(crate) fn execute(args: &LogLevelArgs) -> Outcome {
    let call = match &args.level {
        None => Call::new(Method::GET, "/v1/log-level"),
        Some(level) => Call::new(Method::PUT, "/v1/log-level").with_body(json!({ "level": level })),
    };
    args.client.call(&call, |answer: &Value| answer["level"].as_str().unwrap_or_default().to_owned())
}
