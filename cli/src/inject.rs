//! `squall inject` and `squall uninject`: manifests in, manifests out. What is added is decided in `squall-inject`.

mod documents;
mod order;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use squall_config::{Problem, Problems};
use squall_inject::{Controller, Decision, Invalid, Options, Setting, Workload};

use crate::exit::{Exit, Failure, Outcome};
use crate::verb::EPILOGUE;
use crate::{output, source};

use documents::Part;

/// Arguments of `squall inject`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "\
Examples:
  squall inject -f deployment.yaml | kubectl apply -f -
  kubectl get deployment service-a -o yaml | squall inject | kubectl apply -f -
  squall inject -f deployment.yaml --mode explicit           without privileges, by HTTP_PROXY
  squall inject -f deployment.yaml --config-map squall-a     its squall.yaml is the configuration
  squall inject -f a.yaml --controller https://squall.squall-system.svc --controller-ca ca.crt
  squall uninject -f injected.yaml | kubectl apply -f -

Reads Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob and
List, YAML or JSON, several in one file or not, and writes them on stdout; everything else passes
through as it is. What was done with each, or why not, is said on stderr. A document that is changed
keeps the order of its fields, and loses its comments.

Modes:
  native    all TCP connections are redirected to the sidecar, by an init container with NET_ADMIN
  explicit  the application uses HTTP_PROXY, or the ports of squall.dev/ports; no privilege

Annotations of the pod, which win over the options:
  squall.dev/inject: disabled                        (or a label) no sidecar
  squall.dev/mode, /image, /init-image, /config, /log-level, /log-format
  squall.dev/skip-outbound-ports, /skip-inbound-ports, /skip-subnets
  squall.dev/ports: \"8081=service-b:80\"      mode explicit: 127.0.0.1:8081 leads to service-b
  squall.dev/cpu-request, /cpu-limit, /memory-request, /memory-limit",
    after_long_help = EPILOGUE
)]
pub(crate) struct InjectArgs {
    /// The manifests; `-` is stdin
    #[arg(short, long = "file", value_name = "FILE", default_value = "-")]
    files: Vec<PathBuf>,
    /// How connections get to the sidecar [default: native]
    #[arg(long, value_name = "MODE", value_parser = ["native", "explicit"])]
    mode: Option<String>,
    /// The image [default: squall, of this version]
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// The image of the init container, which needs nft or iptables [default: squall-net-init, of this version]
    #[arg(long, value_name = "IMAGE", help_heading = "Mode native")]
    init_image: Option<String>,
    /// The ConfigMap whose squall.yaml is the configuration [default: one without rules, in an annotation]
    #[arg(long, value_name = "NAME")]
    config_map: Option<String>,
    /// Ports whose connections are not redirected, such as 25,9000-9010
    #[arg(long, value_name = "PORTS", help_heading = "Mode native")]
    skip_outbound_ports: Option<String>,
    /// Networks that are reached without the sidecar, such as 10.96.0.0/12
    #[arg(long, value_name = "NETWORKS")]
    skip_subnets: Option<String>,
    /// Where the controller is whose orders sidecars follow: `https://` and its host [default: none]
    #[arg(long, value_name = "URL", requires = "controller_ca", help_heading = "In a cluster")]
    controller: Option<String>,
    /// The authorities that vouch for it, PEM; they are put into an annotation
    #[arg(long, value_name = "FILE", requires = "controller", help_heading = "In a cluster")]
    controller_ca: Option<PathBuf>,
    /// Level or filter of the sidecar's log [default: info]
    #[arg(long, value_name = "FILTER", help_heading = "Log")]
    log_level: Option<String>,
    /// Shape of the sidecar's log [default: json]
    #[arg(long, value_name = "SHAPE", value_parser = ["text", "json"], help_heading = "Log")]
    log_format: Option<String>,
}

/// Arguments of `squall uninject`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "\
Examples:
  squall uninject -f injected.yaml | kubectl apply -f -
  kubectl get deployment service-a -o yaml | squall uninject | kubectl apply -f -

Takes out what `squall inject` added, and nothing else: pods that do not say (squall.dev/status)
that they were injected stay as they are.",
    after_long_help = EPILOGUE
)]
pub(crate) struct UninjectArgs {
    /// The manifests; `-` is stdin
    #[arg(short, long = "file", value_name = "FILE", default_value = "-")]
    files: Vec<PathBuf>,
}

/// Adds the sidecar.
pub(crate) fn inject(args: &InjectArgs) -> Outcome {
    let options = args.options()?;
    options.check().map_err(|Invalid(problems)| {
        let told: Vec<String> = problems.iter().map(|p| format!("--{}: {}", flag(&p.what), p.detail)).collect();
        Failure::new(Exit::Usage, told.join("\n"))
    })?;
    rewrite(&args.files, |workload| {
        let Some(pod) = &mut workload.pod else { return Ok(vec!["passed through: it makes no pods".to_owned()]) };
        match squall_inject::inject(pod, workload.namespace.as_deref(), &options)? {
            Decision::Inject(injection) => {
                **pod = injection.pod;
                let done = format!("injected, mode {}", injection.mode.name());
                let notes = injection.notes.into_iter().map(|note| format!("note: {note}"));
                Ok(std::iter::once(done).chain(notes).collect())
            }
            Decision::Skip(skip) => Ok(vec![format!("not injected: {skip}")]),
        }
    })
}

/// Takes it out.
pub(crate) fn uninject(args: &UninjectArgs) -> Outcome {
    rewrite(&args.files, |workload| {
        let bare = workload.pod.as_deref().and_then(squall_inject::uninject);
        Ok(vec![match (&mut workload.pod, bare) {
            (Some(pod), Some(bare)) => {
                **pod = bare;
                "the sidecar was taken out".to_owned()
            }
            (Some(_), None) => "passed through: it does not say that it was injected (squall.dev/status)".to_owned(),
            (None, _) => "passed through: it makes no pods".to_owned(),
        }])
    })
}

impl InjectArgs {
    fn options(&self) -> Result<Options, Failure> {
        let said = [
            (Setting::Mode, &self.mode),
            (Setting::Image, &self.image),
            (Setting::InitImage, &self.init_image),
            (Setting::Config, &self.config_map),
            (Setting::SkipOutboundPorts, &self.skip_outbound_ports),
            (Setting::SkipSubnets, &self.skip_subnets),
            (Setting::LogLevel, &self.log_level),
            (Setting::LogFormat, &self.log_format),
        ];
        let defaults: BTreeMap<_, _> = said.into_iter().filter_map(|(s, text)| Some((s, text.clone()?))).collect();
        let controller = match (&self.controller, &self.controller_ca) {
            (Some(url), Some(file)) => Some(Controller { url: url.clone(), ca: source::read(file)? }),
            _ => None,
        };
        Ok(Options { defaults, controller, ..Options::default() })
    }
}

/// The flag of a setting.
fn flag(setting: &str) -> &str {
    if setting == Setting::Config.name() { "config-map" } else { setting }
}

/// What becomes of one object: changes it, and says so.
type Change<'a> = dyn FnMut(&mut Workload<'_>) -> Result<Vec<String>, Invalid> + 'a;

/// Writes all files, or nothing when something is wrong with one of them.
fn rewrite(files: &[PathBuf], mut change: impl FnMut(&mut Workload<'_>) -> Result<Vec<String>, Invalid>) -> Outcome {
    let mut written = String::new();
    for file in files {
        let text = source::read(file)?;
        if text.trim().is_empty() {
            say(file, "there is no manifest in it");
        }
        let text = rewritten(file, &text, &mut change)?;
        if !written.is_empty() && !text.starts_with("---") {
            written.push_str("---\n");
        }
        written.push_str(&text);
        if !written.is_empty() && !written.ends_with('\n') {
            written.push('\n');
        }
    }
    output::data(&written)?;
    Ok(Exit::Ok)
}

fn rewritten(file: &Path, text: &str, change: &mut Change<'_>) -> Result<String, Failure> {
    let (mut written, mut problems) = (String::new(), Vec::new());
    for part in documents::parts(text) {
        match part.document() {
            Ok(Some(document)) => {
                let mut value = document.value.clone();
                for mut workload in squall_inject::workloads(&mut value) {
                    match change(&mut workload) {
                        Ok(said) => said.iter().for_each(|line| say(file, &format!("{}: {line}", workload.title))),
                        Err(Invalid(wrong)) => {
                            problems.extend(wrong.iter().map(|problem| located(&part, &workload.title, problem)));
                        }
                    }
                }
                written.push_str(&part.with(&document, &value)?);
            }
            Ok(None) => written.push_str(part.text),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(written) } else { Err(source::invalid(file, &Problems(problems))) }
}

fn say(file: &Path, line: &str) {
    let name = if file == Path::new("-") { "<stdin>".to_owned() } else { file.display().to_string() };
    output::say(&format!("{name}: {line}"));
}

/// A problem of a pod as one of the file: where the annotation stands, else where the document begins.
fn located(part: &Part<'_>, title: &str, problem: &squall_inject::Problem) -> Problem {
    let name = problem.what.rsplit(' ').next().unwrap_or_default();
    let at = part.text.lines().position(|line| line.contains(name)).unwrap_or_default();
    Problem {
        path: title.to_owned(),
        line: u32::try_from(part.line + at).ok(),
        column: None,
        detail: problem.to_string(),
        hint: None,
    }
}
