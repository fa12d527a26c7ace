//! What verbs have in common: how their help ends, and the options of those that call the control API.

use clap::Args;

use crate::client::{Base, CONTROL_DEFAULT, Call, Credentials};
use crate::exit::{Exit, Outcome};
use crate::output::{self, Format};

/// Ends the long help of every verb.
pub(crate) const EPILOGUE: &str = "\
Exit codes:
  0  done
  1  runtime failure (port in use, no such rule, unreadable file)
  2  wrong usage
  3  invalid configuration or rule
  4  the control API does not answer
  5  conflict: the rules changed meanwhile (--if-match), an experiment is running, or is not
  6  a check failed, or a hypothesis did not hold

Environment:
  SQUALL_*     every option above that names a variable; the command line wins over it
  SQUALL_LOG   log filter, as in info or squall_proxy=debug (else RUST_LOG)
  NO_COLOR     no colour when set";

/// Whom the verbs call that call the control API.
#[derive(Clone, Debug, Args)]
pub(crate) struct ApiArgs {
    /// The control API of the running squall: http://host:port, https://host:port or unix:/path
    #[arg(long, value_name = "URL", env = "SQUALL_CONTROL", default_value = CONTROL_DEFAULT, value_parser = Base::parse, global = true)]
    pub(crate) control: Base,
    /// Prints the equivalent curl line and calls nothing
    #[arg(long, global = true)]
    pub(crate) curl: bool,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

impl ApiArgs {
    /// Calls, and writes the answer as asked; with `--curl` writes the line instead.
    pub(crate) fn call(
        &self,
        call: &Call,
        format: Format,
        table: impl FnOnce(&serde_json::Value) -> String,
    ) -> Outcome {
        if self.curl {
            output::data(&call.curl(&self.control, &self.credentials))?;
            return Ok(Exit::Ok);
        }
        let value = crate::client::send_blocking(&self.control, &self.credentials, call)?.into_value()?;
        output::value(format, &value, || table(&value))?;
        Ok(Exit::Ok)
    }
}

/// Options of the verbs that call the control API and write its answer.
#[derive(Clone, Debug, Args)]
pub(crate) struct ClientArgs {
    #[command(flatten)]
    pub(crate) api: ApiArgs,
    /// How the answer is written
    #[arg(short, long, value_enum, default_value = "table", global = true)]
    pub(crate) output: Format,
}

impl ClientArgs {
    /// See [`ApiArgs::call`].
    pub(crate) fn call(&self, call: &Call, table: impl FnOnce(&serde_json::Value) -> String) -> Outcome {
        self.api.call(call, self.output, table)
    }
}
