//! A cluster for the commands of pages: an API server in memory, the operator, and the sidecar of Service A. No machine is in it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use squall_integration::echo::Echo;
use squall_integration::kubernetes::{ApiServer, Operator, Token};
use squall_integration::programs::{find, python, script};
use squall_integration::wait::{PATIENCE, pause};
use squall_integration::{Authority, Settings, Squall};

use crate::page::Block;
use crate::shell::bash;

/// As docs/kubernetes.md and docs/sidecar.md have it installed, by Helm for sections that speak of it, with a pod of the name that
/// pages speak of.
const INSTALLED: &str = r"
if declare -F helm; then
  kubectl create namespace squall-system
  helm install squall deploy/chart/squall -n squall-system
else
  kubectl apply --server-side -f deploy/kubernetes/squall.yaml
fi
kubectl -n squall-system create secret generic squall-tls --from-file=ca.crt
kubectl create namespace shop
squall inject -f deploy/kubernetes/service-a.yaml | kubectl -n shop apply -f -
pod=service-a-7d9f8c6b5d-x7k2p
kubectl -n shop run $pod --image=service-a:1.4.2 --dry-run=client -o yaml | squall inject | kubectl -n shop apply -f -
";

/// A cluster that sections have for themselves.
pub(crate) struct Cluster {
    server: ApiServer,
    /// Of the pod of Service A. Its control API is where `kubectl port-forward` would lead to.
    sidecar: Squall,
    operator: Option<Operator>,
}

impl Cluster {
    /// There is nothing in it yet; the sidecar follows nobody.
    pub(crate) fn empty() -> Self {
        Self { server: ApiServer::start(), sidecar: Squall::start(&Settings::new()), operator: None }
    }

    /// Squall is installed, and Service A is in the namespace `shop`, with a sidecar that follows the controller.
    pub(crate) fn installed(here: &Path, functions: &str, service_b: &Echo) -> Result<Self, String> {
        let (server, authority) = (ApiServer::start(), Arc::new(Authority::new()));
        let write = |name: &str, text: &str| std::fs::write(here.join(name), text).unwrap();
        std::fs::copy(authority.file("ca.crt"), here.join("ca.crt")).unwrap();
        let mut setup = bash(&format!("{functions}{INSTALLED}"), here);
        let done = setup.envs(environment(&server, here)).output().map_err(|e| e.to_string())?;
        if !done.status.success() {
            return Err(format!("the cluster cannot be made:\n{}", String::from_utf8_lossy(&done.stderr)));
        }
        let operator = Operator::start(&server, &authority, &["--lease", "5s"]);
        server.webhooks_at(operator.https, &authority);
        server.know("token-of-a", Token::of_pod("shop", "service-a-7d9f8c6b5d-x7k2p", "uid-of-a"));
        write("token", "token-of-a");
        write("labels", "app=\"service-a\"\n");
        let (controller, file) =
            (format!("https://{}", operator.https), |name: &str| here.join(name).display().to_string());
        let flags = [
            ["--controller", &controller],
            ["--controller-ca", &file("ca.crt")],
            ["--controller-token", &file("token")],
            ["--pod-labels", &file("labels")],
        ];
        let sidecar = Squall::start_with(&Settings::http(service_b.address), flags.as_flattened());
        Ok(Self { server, sidecar, operator: Some(operator) })
    }

    /// Waits until the sidecar does what the custom resources say, as it would be seen a moment later in a real cluster.
    pub(crate) fn settle(&self) -> Result<(), String> {
        let end = Instant::now() + PATIENCE;
        while let Some(open) = self.open() {
            if self.operator.is_none() || open["status"]["phase"] == "Refused" || Instant::now() > end {
                return Err(format!("no sidecar does what this says: {open:#}"));
            }
            pause(Duration::from_millis(20));
        }
        Ok(())
    }

    /// A custom resource that no sidecar does as yet what it says.
    fn open(&self) -> Option<Value> {
        let all = self.server.custom();
        let is_halted = all.iter().any(|object| object["kind"] == "ClusterHalt");
        all.into_iter().find(|object| !is_followed(object, is_halted))
    }

    /// Where commands find it, and the sidecar.
    pub(crate) fn environment(&self, here: &Path) -> Vec<(&'static str, String)> {
        let mut all = environment(&self.server, here);
        all.push(("SQUALL_CONTROL", self.sidecar.api().url()));
        all
    }
}

/// Whether a sidecar does what a custom resource says, or does nothing because another one halts everything.
fn is_followed(object: &Value, is_halted: bool) -> bool {
    let status = &object["status"];
    match status["phase"].as_str() {
        Some("Halted") => is_halted,
        Some(phase) => ["Injecting", "Running", "Finished"].contains(&phase),
        None => status["podsHalted"] == 1,
    }
}

/// kubectl and Helm keep what they learn of a cluster in the home.
fn environment(server: &ApiServer, here: &Path) -> Vec<(&'static str, String)> {
    vec![("KUBECONFIG", server.kubeconfig().display().to_string()), ("HOME", here.display().to_string())]
}

/// A watch has no end; people end it when they have seen enough.
const FUNCTIONS: &str = r#"
kubectl() {
  case " $* " in
    *" -w "*) timeout --signal=INT 3 kubectl "$@" || [ $? = 124 ] ;;
    *) command kubectl "$@" ;;
  esac
}
"#;

/// Whether a block is for a cluster.
pub(crate) fn is_for_one(block: &Block) -> bool {
    ["cluster", "empty cluster"].contains(&block.marker.as_str())
}

/// What stands before commands for a cluster; nothing, with a line that says so, where a program is missing that these need.
pub(crate) fn functions(blocks: &[Block], test: &str) -> Option<String> {
    find("kubectl", test)?;
    let mut functions = FUNCTIONS.to_owned();
    if blocks.iter().any(|block| is_for_one(block) && block.text.contains("helm ")) {
        let (python, script) = (std::path::absolute(python(test)?).unwrap(), script("helm_cli.py"));
        functions += &format!("helm() {{ '{}' '{}' \"$@\"; }}\n", python.display(), script.display());
    }
    Some(functions)
}
