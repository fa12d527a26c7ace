//! `squall config`: checks, shows, begins and imports configuration files; needs no running squall.

mod import;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::args::EPILOGUE;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, Format};
use crate::source;

/// What `squall config init` writes: complete, commented, and it runs as it is.
const TEMPLATE: &str = include_str!("config/template.yaml");

/// Arguments of `squall config`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "\
Examples:
  squall config init squall.yaml         writes a commented file to begin with
  squall config validate squall.yaml     every problem, with line and column
  squall config schema > schema.json     for editors
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
    Schema,
    /// Turns documents of Istio, Chaos Mesh, Kuma and Toxiproxy into rules
    Import(import::ImportArgs),
    /// Writes a commented file to begin with; never overwrites one
    Init {
        /// The new file; `-` is stdout
        #[arg(value_name = "FILE", default_value = "squall.yaml")]
        file: PathBuf,
    },
}

/// Does it.
pub(crate) fn execute(args: &ConfigArgs) -> Outcome {
    match &args.verb {
        ConfigVerb::Validate { file } => validate(file),
        ConfigVerb::Show { file, output } => show(file, *output),
        ConfigVerb::Schema => {
            output::data(&output::json(&squall_config::schema()))?;
            Ok(Exit::Ok)
        }
        ConfigVerb::Import(args) => import::execute(args),
        ConfigVerb::Init { file } => init(file),
    }
}

fn validate(file: &Path) -> Outcome {
    let (_, config) = source::load_usable_config(file)?;
    let (listeners, clusters, rules) = (config.listeners.len(), config.clusters.len(), config.rules.len());
    output::say(&format!("{}: valid ({listeners} listeners, {clusters} clusters, {rules} rules)", file.display()));
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

fn init(file: &Path) -> Outcome {
    if file == Path::new("-") {
        output::data(TEMPLATE)?;
        return Ok(Exit::Ok);
    }
    let created = std::fs::OpenOptions::new().write(true).create_new(true).open(file);
    created.and_then(|mut new| new.write_all(TEMPLATE.as_bytes())).map_err(|e| {
        let fix = "name another file, or - for stdout";
        Failure::new(Exit::Failure, format_args!("cannot create {}: {e}; {fix}", file.display()))
    })?;
    output::say(&format!("wrote {0}; try: squall run -c {0}", file.display()));
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_template_is_valid() {
        let (_, config) = squall_config::load_text(TEMPLATE).unwrap();
        assert_eq!((config.listeners.len(), config.clusters.len(), config.rules.len()), (1, 1, 1));
        assert!(!config.rules[0].enabled, "nothing is injected before somebody wants it");
    }
}
