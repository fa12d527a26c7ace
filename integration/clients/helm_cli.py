"""`helm install` and `helm uninstall` as pages have them, by Helm's own engine (helm-python-sdk)."""

import argparse
import sys

import helm_python


def main():
    parser = argparse.ArgumentParser(prog="helm")
    verbs = parser.add_subparsers(dest="verb", required=True)
    install, uninstall = verbs.add_parser("install"), verbs.add_parser("uninstall")
    install.add_argument("name")
    install.add_argument("chart")
    install.add_argument("--set", action="append", default=[])
    uninstall.add_argument("name")
    for verb in (install, uninstall):
        verb.add_argument("-n", "--namespace", required=True)
    arguments = parser.parse_args()
    with helm_python.Config(namespace=arguments.namespace) as config:
        if arguments.verb == "install":
            values = helm_python.parse_set_string(",".join(arguments.set))
            config.install(arguments.chart, arguments.name, values, namespace=arguments.namespace, wait="watcher", timeout=60)
        else:
            config.uninstall(arguments.name, wait="watcher", timeout=60)


if __name__ == "__main__":
    try:
        main()
    except helm_python.HelmError as error:
        sys.exit(f"Error: {error}")
