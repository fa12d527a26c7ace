//! `squall config`: checks, shows, begins and imports configuration files; needs no running squall.

mod import;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, Format};
use crate::source;
use crate::verb::EPILOGUE;

/// What `squall config init` writes: complete, commented, and it runs as it is.
const TEMPLATE: &str = include_str!("config/template.yaml");

/// Where `squall config init` writes unless it is told where.
const CONFIG_FILE: &str = "squall.yaml";
const EXPERIMENT_FILE: &str = "experiment.yaml";

/// Arguments of `squall config`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "\
Examples:
  squall config init squall.yaml         writes a commented file to begin with
  squall config validate squall.yaml     every problem, with line and column
  squall config schema > schema.json     for editors
  squall config init --experiment        the same for an experiment, experiment.yaml
  squall config import virtual-service.yaml   rules of what another tool has",
    after_long_help = EPILOGUE
)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    verb: ConfigVerb,
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
    /// Checks a file and prints every problem (exit 3 when there is one)
    Validate {
        /// The file; `-` is stdin
        #[arg(value_name = "FILE", env = "SQUALL_CONFIG")]
        file: PathBuf,
    },
    /// Prints the configuration that `squall run -c FILE` would have
    Show {
        /// The file; `-` is stdin
        #[arg(value_name = "FILE", env = "SQUALL_CONFIG")]
        file: PathBuf,
        /// How it is written
        #[arg(short, long, value_enum, default_value = "yaml")]
        output: Format,
    },
    /// Prints the JSON Schema of the file
    Schema {
        /// That of an experiment
        #[arg(long)]
        experiment: bool,
    },
    /// Turns documents of Istio, Chaos Mesh, Kuma and Toxiproxy into rules
    Import(import::ImportArgs),
    /// Writes a commented file to begin with; never overwrites one
    Init {
        /// The new file; `-` is stdout [default: squall.yaml, or experiment.yaml]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Writes an experiment, which fits what is written without this
        #[arg(long)]
        experiment: bool,
    },
}

/// Does it.
pub(crate) fn execute(args: &ConfigArgs) -> Outcome {
    match &args.verb {
        ConfigVerb::Validate { file } => validate(file),
        ConfigVerb::Show { file, output } => show(file, *output),
        ConfigVerb::Schema { experiment } => {
            let schema = if *experiment { squall_config::experiment_schema() } else { squall_config::schema() };
            output::data(&output::json(&schema))?;
            Ok(Exit::Ok)
        }
        ConfigVerb::Import(args) => import::execute(args),
        ConfigVerb::Init { file, experiment: true } => {
            let file = file.as_deref().unwrap_or(Path::new(EXPERIMENT_FILE));
            init(file, squall_config::example_experiment(), "see every field with: squall config schema --experiment")
        }
        ConfigVerb::Init { file, experiment: false } => {
            let file = file.as_deref().unwrap_or(Path::new(CONFIG_FILE));
            init(file, TEMPLATE, &format!("try: squall run -c {}", file.display()))
        }
    }
}

fn validate(file: &Path) -> Outcome {
    let (_, config) = source::load_usable_config(file)?;
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let listeners = count(config.listeners.len(), "listener");
    let (clusters, rules) = (count(config.clusters.len(), "cluster"), count(config.rules.len(), "rule"));
    output::say(&format!("{}: valid ({listeners}, {clusters}, {rules})", file.display()));
    Ok(Exit::Ok)
}

fn show(file: &Path, format: Format) -> Outcome {
    let (spec, _) = source::load_config(file)?;
    let value = serde_json::to_value(&spec).map_err(anyhow::Error::from)?;
    // A configuration is a tree, which no table shows; YAML is what people write it in.
    let yaml = output::yaml(&spec)?;
    output::value(format, &value, || yaml)?;
    Ok(Exit::Ok)
}

/// Writes a new file and says what to do with it.
fn init(file: &Path, text: &str, next: &str) -> Outcome {
    if file == Path::new("-") {
        output::data(text)?;
        return Ok(Exit::Ok);
    }
    let created = std::fs::OpenOptions::new().write(true).create_new(true).open(file);
    created.and_then(|mut new| new.write_all(text.as_bytes())).map_err(|e| {
        let fix = "name another file, or - for stdout";
        Failure::new(Exit::Failure, format!("cannot create {}: {e}; {fix}", file.display()))
    })?;
    output::say(&format!("wrote {}; {next}", file.display()));
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_valid() {
        let (_, config) = squall_config::load_text(TEMPLATE).unwrap();
        assert_eq!((config.listeners.len(), config.clusters.len(), config.rules.len()), (2, 2, 1));
        assert!(!config.rules[0].enabled, "nothing is injected before somebody wants it");
    }

    #[test]
    fn the_experiment_is_valid_in_the_template() {
        let (against, _) = squall_config::load_text(TEMPLATE).unwrap();
        let (_, experiment) =
            squall_config::load_experiment_text(squall_config::example_experiment(), &against).unwrap();
        assert_eq!(experiment.name.as_str(), "slow-b");
    }
}
