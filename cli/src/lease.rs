//! `squall lease`: who watches over the faults of a running squall.

use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};
use squall_config::units::parse_duration;

use crate::client::{Call, send};
use crate::exit::{Exit, Failure, Outcome};
use crate::output;
use crate::verb::{ClientArgs, EPILOGUE};

/// A squall that is started again is there within a second.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Arguments of `squall lease`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "\
Examples:
  squall lease                              who holds it, and until when
  squall lease hold ci-run-17 --ttl 30s &   renews it until it is killed; 30 s later all faults stop
  squall lease renew ci-run-17 --ttl 30s    takes it or renews it once
  squall lease release ci-run-17            gives it back",
    after_long_help = EPILOGUE
)]
pub(crate) struct LeaseArgs {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Takes the lease or renews it; faults that were halted stay so until `squall resume`
    Renew(Wanted),
    /// Takes the lease, and renews it until this process ends, however it does
    Hold(Wanted),
    /// Gives the lease back
    Release {
        /// Whose it is; without a name it is ended whoever holds it
        #[arg(value_name = "HOLDER")]
        holder: Option<String>,
    },
}

#[derive(Debug, Args)]
struct Wanted {
    /// Who watches over the faults
    #[arg(value_name = "HOLDER")]
    holder: String,
    /// How long without a renewal [default: as the configuration says]
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
}

impl Wanted {
    fn call(&self) -> Call {
        let mut body = json!({ "holder": self.holder });
        if let Some(ttl) = &self.ttl {
            body["ttl"] = json!(ttl);
        }
        Call::new(Method::PUT, "/v1/lease").with_body(body)
    }
}

/// Asks, or changes.
pub(crate) fn execute(args: &LeaseArgs) -> Outcome {
    let call = match &args.verb {
        None => Call::new(Method::GET, "/v1/lease"),
        Some(Verb::Renew(wanted)) => wanted.call(),
        Some(Verb::Hold(wanted)) if args.client.api.curl => wanted.call(),
        Some(Verb::Hold(wanted)) => return hold(&args.client, wanted),
        Some(Verb::Release { holder }) => {
            let call = Call::new(Method::DELETE, "/v1/lease");
            match holder {
                Some(holder) => call.with_body(json!({ "holder": holder })),
                None => call,
            }
        }
    };
    args.client.call(&call, said)
}

fn said(answer: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let lease = &answer["lease"];
    let who = match (lease.is_null(), answer["required"] == true) {
        (false, _) => format!("{} holds the lease until {}", text(&lease["holder"]), text(&lease["expires_at"])),
        (true, true) => "nobody holds the lease, and faults flow only while somebody does".to_owned(),
        (true, false) => "nobody holds the lease, and nobody has to".to_owned(),
    };
    match answer["halted"] == true {
        true => format!("{who}; halted ({}): no faults until `squall resume`", text(&answer["halt"]["reason"])),
        false => who,
    }
}

/// Renews three times as often as needed; ends when somebody else holds the lease, or the call is refused otherwise.
fn hold(client: &ClientArgs, wanted: &Wanted) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut last = String::new();
        loop {
            let pause = match send(&client.api.control, &client.api.credentials, &wanted.call()).await {
                Ok(reply) => {
                    let answer = reply.into_value()?;
                    // The time of the end is another one each time.
                    let now = format!("{} {}", answer["lease"]["since"], answer["halt"]);
                    if now != std::mem::replace(&mut last, now.clone()) {
                        output::say(&said(&answer));
                    }
                    let ttl = answer["lease"]["ttl"].as_str().and_then(|ttl| parse_duration(ttl).ok());
                    ttl.ok_or_else(|| Failure::new(Exit::Failure, "the answer names no lease"))? / 3
                }
                Err(failure) if failure.exit == Exit::Unreachable && !last.is_empty() => {
                    output::say(&failure.text());
                    TRY_AGAIN_AFTER
                }
                Err(failure) => return Err(failure),
            };
            tokio::time::sleep(pause).await;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_who_holds_the_lease_and_whether_faults_flow() {
        let held = json!({"required": true, "halted": false, "lease": {"holder": "ci", "expires_at": "12:00"}});
        assert_eq!(said(&held), "ci holds the lease until 12:00");
        let lost =
            json!({"required": false, "lease": null, "halted": true, "halt": {"reason": "the lease of ci ran out"}});
        let text = "nobody holds the lease, and nobody has to; halted (the lease of ci ran out): no faults until `squall resume`";
        assert_eq!(said(&lost), text);
    }
}
