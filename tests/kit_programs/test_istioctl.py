"""istioctl's findings for the kit, and the mistakes that it finds and does not find."""

from __future__ import annotations

import json

from tests.support.kit import program, run

ISTIOCTL = "istioctl of Istio 1.32"


def analyze(folder, documents):
    """Findings by their codes, without a cluster."""
    path = folder / "documents.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))
    options = ("--all-namespaces", "--use-kube=false", "--output=json")
    done = run(program("istioctl", ISTIOCTL), "analyze", *options, str(path))
    assert done.stdout, done.stderr
    return [(one["code"], one["level"], one.get("origin")) for one in json.loads(done.stdout)]
