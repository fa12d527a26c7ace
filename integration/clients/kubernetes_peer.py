"""What Kubernetes thinks of manifests, by the schemas of its versions (kubernetes-validate), for tests.

validate VERSION...   reads YAML from stdin with PyYAML, a reader that was not written here; prints the documents as
                      JSON; ends with 1 when one of them has a field that a version does not know, or of a wrong type
"""

import json
import sys

import kubernetes_validate
import yaml

# In C where it is built: a thousand pods take seconds in Python.
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def wrong(documents, version):
    """The problems of all documents, as those of a list of each kind: the schemas are read once, not for each of them."""
    kinds = {}
    for document in documents:
        kinds.setdefault((document["apiVersion"], document["kind"]), []).append(document)
    for (api_version, kind), items in kinds.items():
        whole = {"apiVersion": api_version, "kind": f"{kind}List", "metadata": {}, "items": items}
        try:
            kubernetes_validate.validate(whole, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            where = ".".join(str(step) for step in error.path)
            yield f"{version}: {kind}List.{where}: {error.message}"


def main():
    documents = [document for document in yaml.load_all(sys.stdin.read(), Loader=Loader) if document]
    problems = [problem for version in sys.argv[2:] for problem in wrong(documents, version)]
    print("\n".join(problems), file=sys.stderr)
    json.dump(documents, sys.stdout)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
