//! `squall config import`: documents of other fault tools become rules. What is lost is told on stderr, one line each.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use squall_config::import::{Effect, Finding, Import, Options, Source};
use squall_config::spec::ConfigSpec;
use squall_config::units::Percentage;

use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, Format};
use crate::source;

/// Arguments of `squall config import`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "\
Examples:
  squall config import virtual-service.yaml > squall.yaml
  kubectl get virtualservices -o yaml | squall config import -
  squall config import --percentage 5 --cluster service-b http-chaos.yaml
  curl -s http://localhost:8474/proxies | squall config import --from toxiproxy - > squall.yaml

Reads VirtualService (Istio), HTTPChaos and NetworkChaos (Chaos Mesh), MeshFaultInjection and
FaultInjection (Kuma) and the proxies of Toxiproxy, each told by its kind or shape, and writes the
rules on stdout. Everything that is not the same afterwards is said on stderr:
  not carried over  nothing was written for it
  not enabled       the rule would hit more than its source says; it is written with enabled: false
  differs           the rule does not do quite the same
  note              the same, and good to know

A percentage is never made up: where a document has none, --percentage says it, or there is no rule.",
    after_long_help = crate::verb::EPILOGUE
)]
pub(crate) struct ImportArgs {
    /// The documents, YAML or JSON, several in one file or not; `-` is stdin
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Takes documents of this source only [default: each is told by its kind or shape]
    #[arg(long, value_name = "SOURCE", value_enum)]
    from: Option<Origin>,
    /// The share for documents that name none, such as 5 or 0.5
    #[arg(long, value_name = "P")]
    percentage: Option<Percentage>,
    /// The cluster that stands for the hosts, ports and targets of the documents
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Writes nothing and ends with 6 when anything is not the same afterwards
    #[arg(long)]
    strict: bool,
    /// How the rules are written
    #[arg(short, long, value_enum, default_value = "yaml")]
    output: Style,
}

/// How a configuration is written; no table shows one.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Style {
    /// YAML.
    Yaml,
    /// JSON, indented.
    Json,
}

/// Whose documents are taken.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Origin {
    /// VirtualService
    Istio,
    /// HTTPChaos and NetworkChaos
    ChaosMesh,
    /// MeshFaultInjection and FaultInjection
    Kuma,
    /// Proxies and toxics
    Toxiproxy,
}

/// Imports.
pub(super) fn execute(args: &ImportArgs) -> Outcome {
    let options = Options {
        source: args.from.map(|origin| match origin {
            Origin::Istio => Source::Istio,
            Origin::ChaosMesh => Source::ChaosMesh,
            Origin::Kuma => Source::Kuma,
            Origin::Toxiproxy => Source::Toxiproxy,
        }),
        percentage: args.percentage,
        cluster: args.cluster.clone(),
    };
    let mut import = Import::new();
    for file in &args.files {
        let before = import.findings.len();
        let added = import.add(&source::read(file)?, &options);
        tell(file, &mut import.findings[before..]);
        added.map_err(|problems| source::invalid(file, &problems))?;
    }
    if import.n_documents == 0 {
        return Err(Failure::new(
            Exit::InvalidConfig,
            "there is nothing to import: no document is one that is known here",
        ));
    }
    output::say(&summary(&import));
    let n_losses = import.n_losses();
    if args.strict && n_losses > 0 {
        let message = format!("--strict: {n_losses} are not the same afterwards; nothing was written");
        return Err(Failure::new(Exit::CheckFailed, message));
    }
    write(&import.spec, args)?;
    check(&import)?;
    let is_empty = import.spec.rules.is_empty() && import.spec.listeners.is_empty();
    if is_empty && n_losses > 0 {
        return Err(Failure::new(Exit::CheckFailed, "no rule is left"));
    }
    Ok(Exit::Ok)
}

fn write(spec: &ConfigSpec, args: &ImportArgs) -> Result<(), Failure> {
    let value = serde_json::to_value(spec).map_err(anyhow::Error::from)?;
    let format = match args.output {
        Style::Yaml => return Ok(output::data(&output::yaml(spec)?)?),
        Style::Json => Format::Json,
    };
    output::value(format, &value, String::new)
}

/// What was written is what `squall config validate` accepts; but for the cluster that another file has to have.
fn check(import: &Import) -> Result<(), Failure> {
    for cluster in import.clusters_elsewhere() {
        output::say(&format!("the rules belong into a file that has the cluster {cluster:?}"));
    }
    import.validate().map_err(|problems| source::invalid(Path::new("stdout"), &problems))
}

/// The worst last, where it is seen.
fn tell(file: &Path, findings: &mut [Finding]) {
    findings.sort_by_key(|finding| finding.effect);
    findings.iter().for_each(|finding| output::say(&line(file, finding)));
}

/// A finding in the form that editors jump to.
fn line(file: &Path, finding: &Finding) -> String {
    let mut text = if file == Path::new("-") { "<stdin>".to_owned() } else { file.display().to_string() };
    for position in [finding.line, finding.column].into_iter().flatten() {
        text.push_str(&format!(":{position}"));
    }
    text.push_str(&format!(": {}: {}", finding.effect.word(), finding.document));
    for part in [&finding.path, &finding.detail] {
        if !part.is_empty() {
            text.push_str(&format!(": {part}"));
        }
    }
    if !finding.hint.is_empty() {
        text.push_str(&format!("; {}", finding.hint));
    }
    text
}

fn summary(import: &Import) -> String {
    let n = |effect: Effect| import.findings.iter().filter(|finding| finding.effect == effect).count();
    let spec = &import.spec;
    let mut text = counted(spec.rules.len(), "rule");
    let n_disabled = spec.rules.iter().filter(|rule| rule.enabled == Some(false)).count();
    if n_disabled > 0 {
        text.push_str(&format!(" ({n_disabled} not enabled)"));
    }
    if !spec.listeners.is_empty() {
        let (listeners, clusters) = (spec.listeners.len(), spec.clusters.len());
        text.push_str(&format!(", {}, {}", counted(listeners, "listener"), counted(clusters, "cluster")));
    }
    let documents = counted(import.n_documents, "document");
    let (lost, differs, notes) = (n(Effect::Lost), n(Effect::Differs), counted(n(Effect::Note), "note"));
    format!("{text} from {documents}: {lost} not carried over, {differs} different, {notes}")
}

fn counted(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}
