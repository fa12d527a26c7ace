//! `squall completions`: the completion script of a shell.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::exit::{Exit, Outcome};
use crate::output;
use crate::verb::EPILOGUE;

/// Arguments of `squall completions`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "\
Examples:
  squall completions bash > /etc/bash_completion.d/squall
  squall completions zsh > ~/.zfunc/_squall",
    after_long_help = EPILOGUE
)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script for all of `squall`.
pub(crate) fn execute(args: &CompletionsArgs, squall: &mut Command) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, squall, "squall", &mut script);
    output::data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}
