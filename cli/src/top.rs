//! `squall top`: traffic and rules as they go.
//!
//! Two readings of the API, one after the other, become an overview of rates. A terminal shows it, with keys to act on it;
//! anything else gets it line by line.

mod format;
mod keys;
mod lines;
mod overview;
mod reader;
mod reading;
mod screen;
mod terminal;

use std::time::Duration;

use clap::Args;
use squall_config::units::parse_duration;

use crate::exit::{Exit, Outcome};
use crate::output::{self, Format};
use crate::verb::{ClientArgs, EPILOGUE};

/// Arguments of `squall top`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "\
Examples:
  squall top                      a live table; q leaves, h halts, r resumes, space switches a rule
  squall top --every 5s -n 3      three of them; off a terminal they are printed one below the other
  squall top -o json | jq .rules  one JSON object a second",
    after_long_help = EPILOGUE
)]
pub(crate) struct TopArgs {
    /// How often it looks, 100ms to 1h; rates are over this time
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    every: Duration,
    /// Ends after so many looks
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    number: Option<u64>,
    #[command(flatten)]
    client: ClientArgs,
}

fn interval(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text).map_err(|error| error.to_string())?;
    let range = Duration::from_millis(100)..=Duration::from_secs(3600);
    if range.contains(&time) { Ok(time) } else { Err("write 100ms to 1h".to_owned()) }
}

/// Shows until it has enough, the reader has, or `q` is pressed.
pub(crate) fn execute(args: &TopArgs) -> Outcome {
    let client = &args.client;
    if client.api.curl {
        let lines = reading::calls().map(|call| call.curl(&client.api.control, &client.api.credentials));
        output::data(&lines.join("\n"))?;
        return Ok(Exit::Ok);
    }
    let reader = reader::start(client, args.every)?;
    let number = args.number.unwrap_or(u64::MAX);
    if client.output == Format::Table && output::stdout_is_live() {
        terminal::show(&reader, number)
    } else {
        lines::show(&reader, number, client.output)
    }
}
