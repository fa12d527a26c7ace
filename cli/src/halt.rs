//! `squall halt` and `squall resume`: the kill switch.

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use crate::client::Call;
use crate::exit::Outcome;
use crate::verb::{ClientArgs, EPILOGUE};

/// Arguments of both.
#[derive(Debug, Args)]
#[command(
    before_long_help = "\
Examples:
  squall halt --reason 'checkout is down'   all faults end now, requests that are being held go on
  squall resume                             rules inject again
  squall halt --curl                        the same by hand",
    after_long_help = EPILOGUE
)]
pub(crate) struct HaltArgs {
    /// Why; kept with the event
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

/// Turns the switch; `verb` is `halt` or `resume`.
pub(crate) fn execute(args: &HaltArgs, verb: &str) -> Outcome {
    let mut call = Call::new(Method::POST, format!("/v1/{verb}"));
    if let Some(reason) = &args.reason {
        call = call.with_body(json!({ "reason": reason }));
    }
    args.client.call(&call, said)
}

fn said(answer: &Value) -> String {
    let what = match answer["halted"].as_bool() {
        Some(true) => "halted: no faults until `squall resume`",
        Some(false) => "not halted: rules inject",
        None => "done",
    };
    match answer["generation"].as_u64() {
        Some(generation) => format!("{what} (generation {generation})"),
        None => what.to_owned(),
    }
}
