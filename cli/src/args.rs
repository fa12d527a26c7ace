//! The command line as a whole; each verb describes its own arguments in its own file.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};

use crate::exit::Outcome;
use crate::verb::EPILOGUE;
use crate::{
    audit, certs, completions, config, demo, experiment, explain, gameday, halt, healthcheck, inject, lease, log_level,
    net_init, rule, run, status, tap, top,
};

/// The version, and the machine that the binary was built for.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("SQUALL_TARGET"), ")");

/// A fault-injecting sidecar proxy: it stands beside a service and adds latency, errors and resets to a chosen share
/// of its traffic, while the traffic flows.
#[derive(Debug, Parser)]
#[command(
    name = "squall",
    version = VERSION,
    arg_required_else_help = true,
    subcommand_required = true,
    before_long_help = "\
Examples:
  squall demo                                            the whole story, nothing else needed
  squall run --upstream http://127.0.0.1:9000            a proxy before it, on 127.0.0.1:8080
  squall run -c squall.yaml                              a sidecar from a file
  squall rule set slow --percentage 5 --fault delay=2s   5 % of the requests take 2 s longer
  squall halt                                            no fault at all any more, at once
  squall status                                          what is going on",
    after_long_help = EPILOGUE
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the proxy and its control API
    Run(Box<run::RunArgs>),
    /// Shows the whole story on one machine: baseline, fault, measurement, rollback, verdict
    Demo(demo::DemoArgs),
    /// Lists, shows, makes and removes rules of a running squall
    Rule(rule::RuleArgs),
    /// Runs experiments: a steady state, a hypothesis, faults for a while, a verdict
    Experiment(experiment::ExperimentArgs),
    /// Runs several experiments with people in between, and writes one report
    #[command(name = "gameday")]
    GameDay(gameday::GameDayArgs),
    /// Stops all faults at once and keeps new ones from starting, until `resume`
    Halt(halt::HaltArgs),
    /// Lets rules inject again after `halt`
    Resume(halt::HaltArgs),
    /// Shows, takes, renews and gives back the lease of whoever watches over the faults
    Lease(lease::LeaseArgs),
    /// Shows version, generation, listeners and clusters of a running squall
    Status(status::StatusArgs),
    /// Shows who changed what, and who was refused
    Audit(audit::AuditArgs),
    /// Shows requests as they end, one line each
    Tap(tap::TapArgs),
    /// Shows traffic and rules as they go, once a second
    Top(top::TopArgs),
    /// Shows or changes how much a running squall says in its log
    LogLevel(log_level::LogLevelArgs),
    /// Checks, shows and begins configuration files
    Config(config::ConfigArgs),
    /// Makes an authority and certificates for development and tests
    Certs(certs::CertsArgs),
    /// Says which rules would match a request, and why the others would not
    Explain(explain::ExplainArgs),
    /// Has the kernel redirect the connections of an application to squall, and takes that back
    NetInit(net_init::NetInitArgs),
    /// Adds Squall as a sidecar to the pods of Kubernetes manifests
    Inject(inject::InjectArgs),
    /// Takes out of Kubernetes manifests what `inject` added
    Uninject(inject::UninjectArgs),
    /// Asks a running squall whether it is ready; for container health checks
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Prints the completion script of a shell
    Completions(completions::CompletionsArgs),
}

impl Command {
    /// Does it.
    pub(crate) fn execute(self) -> Outcome {
        match self {
            Self::Run(args) => run::execute(&args),
            Self::Demo(args) => demo::execute(&args),
            Self::Rule(args) => rule::execute(&args),
            Self::Experiment(args) => experiment::execute(&args),
            Self::GameDay(args) => gameday::execute(&args),
            Self::Halt(args) => halt::execute(&args, "halt"),
            Self::Resume(args) => halt::execute(&args, "resume"),
            Self::Lease(args) => lease::execute(&args),
            Self::Status(args) => status::execute(&args),
            Self::Audit(args) => audit::execute(&args),
            Self::Tap(args) => tap::execute(&args),
            Self::Top(args) => top::execute(&args),
            Self::LogLevel(args) => log_level::execute(&args),
            Self::Config(args) => config::execute(&args),
            Self::Certs(args) => certs::execute(&args),
            Self::Explain(args) => explain::execute(&args),
            Self::NetInit(args) => net_init::execute(&args),
            Self::Inject(args) => inject::inject(&args),
            Self::Uninject(args) => inject::uninject(&args),
            Self::Healthcheck(args) => healthcheck::execute(&args),
            Self::Completions(args) => completions::execute(&args, &mut Cli::command()),
        }
    }
}

/// Says how it is written, where something that is often written stands in another way.
pub(crate) fn with_tip(mut error: clap::Error) -> clap::Error {
    if let Some(tip) = tip(&error) {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

fn tip(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return None };
    if error.kind() != ErrorKind::UnknownArgument || error.get(ContextKind::SuggestedArg).is_some() {
        return None;
    }
    if argument.starts_with("--") {
        let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
        let is_of_rule = usage.contains("squall rule set");
        let name = argument.trim_start_matches('-');
        return is_of_rule
            .then(|| format!("a fault is written as '--fault {name}=VALUE', a condition as '--match {name}=VALUE'"));
    }
    let is_file = [".yaml", ".yml", ".json"].iter().any(|end| argument.ends_with(end));
    is_file
        .then(|| format!("a file is named with an option: '-c {argument}' of run, '-f {argument}' of the other verbs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_long_help_of_every_verb_has_examples_and_exit_codes() {
        for verb in Cli::command().get_subcommands_mut() {
            let help = verb.render_long_help().to_string();
            assert!(help.contains("Examples:\n"), "{}", verb.get_name());
            assert!(help.contains("Exit codes:\n"), "{}", verb.get_name());
        }
    }

    #[test]
    fn a_file_without_its_option_is_told_the_option() {
        for (line, tip) in [("squall run a.yaml", true), ("squall inject a.yml", true), ("squall halt now", false)] {
            let error = with_tip(Cli::try_parse_from(line.split(' ')).unwrap_err()).to_string();
            assert_eq!(error.contains("tip: a file is named with an option: '-c a.y"), tip, "{error}");
        }
    }

    #[test]
    fn a_fault_without_its_option_is_told_the_option() {
        let tip = |line: &str| with_tip(Cli::try_parse_from(line.split(' ')).unwrap_err()).to_string();
        let told = tip("squall rule set slow --delay 2s");
        assert!(
            told.contains("tip: a fault is written as '--fault delay=VALUE'") && !told.contains("as a value"),
            "{told}"
        );
        assert!(tip("squall rule set slow --percentag 5").contains("'--percentage'"));
        assert!(!tip("squall rule get slow --delay").contains("--fault"));
        assert!(Cli::try_parse_from(["squall", "rule", "add", "slow"]).is_ok(), "as set");
    }

    #[test]
    fn client_options_may_stand_anywhere() {
        for line in ["squall rule --control h:1 ls", "squall rule ls --control http://h:1"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            let Command::Rule(rule) = cli.command else { panic!("a rule verb") };
            assert_eq!(rule.client.api.control.to_string(), "http://h:1");
        }
    }
}
