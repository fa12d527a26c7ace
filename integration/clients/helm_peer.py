"""The chart, through the engine of Helm itself (helm-python-sdk), for tests and for the plain manifests.

lint                  prints what `helm lint --strict` says, as JSON
render < CASES        CASES is JSON, a list of values; prints for each {"rendered": {template: text}} or {"error": text}
manifest              prints deploy/kubernetes/squall.yaml: the chart with its defaults, for those who have no Helm
"""

import json
import pathlib
import sys

import helm_python

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CHART = ROOT / "deploy" / "chart" / "squall"
NAMESPACE = "squall-system"
# As Helm installs them: what others need comes first.
ORDER = [
    "NetworkPolicy", "PodDisruptionBudget", "ServiceAccount", "ConfigMap", "ClusterRole", "ClusterRoleBinding", "Role",
    "RoleBinding", "Service", "Deployment", "Issuer", "Certificate", "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration", "PodMonitor", "PrometheusRule",
]
HEAD = """\
# Squall in a cluster, for those who have no Helm: the chart in deploy/chart/squall with its defaults. Made by
#   target/python/bin/python integration/clients/helm_peer.py manifest > deploy/kubernetes/squall.yaml
# Applied by: kubectl apply --server-side -f deploy/kubernetes/squall.yaml
apiVersion: v1
kind: Namespace
metadata:
  name: squall-system
  labels:
    pod-security.kubernetes.io/enforce: restricted
"""


def documents(text):
    """The documents of a text, each as it is written."""
    parts = [part.strip("\n") for part in ("\n" + text).split("\n---")]
    return [part for part in parts if any(line and not line.startswith("#") for line in part.splitlines())]


def kind(document):
    return next(line.split()[1] for line in document.splitlines() if line.startswith("kind:"))


def rendered(chart, values):
    return chart.render(values, name="squall", namespace=NAMESPACE)


def manifest(chart):
    templates = rendered(chart, {})
    texts = [text for name, text in sorted(templates.items()) if not name.endswith("NOTES.txt")]
    own = [document for text in texts for document in documents(text)]
    own.sort(key=lambda document: ORDER.index(kind(document)))
    crds = [document for crd in sorted(chart.crds, key=lambda crd: crd["name"]) for document in documents(crd["data"])]
    # Without Helm nothing is managed by it.
    helm = ("    helm.sh/chart:", "        helm.sh/chart:", "app.kubernetes.io/managed-by: Helm")
    lines = (line for document in crds + own for line in ["---", *document.splitlines()])
    return HEAD + "".join(line + "\n" for line in lines if not any(word in line for word in helm))


def main():
    with helm_python.Chart.load(CHART) as chart:
        if sys.argv[1] == "lint":
            json.dump(helm_python.lint(CHART, strict=True, namespace=NAMESPACE), sys.stdout)
        elif sys.argv[1] == "render":
            answers = []
            for values in json.load(sys.stdin):
                try:
                    answers.append({"rendered": rendered(chart, values)})
                except helm_python.HelmError as error:
                    answers.append({"error": str(error)})
            json.dump(answers, sys.stdout)
        else:
            sys.stdout.write(manifest(chart))


if __name__ == "__main__":
    main()
