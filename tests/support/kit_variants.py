"""The kit's overlays with the other tracing provider, and for the second service."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.kit import KIT, rendered

Document = dict[str, Any]
PROVIDERS = ("zipkin", "otel")


@cache
def documents(provider: str, environment: str) -> tuple[tuple[Document, ...], tuple[Document, ...]]:
    """The mesh's and the service's objects of an overlay.

    Args:
        provider: The name of the components that the overlays take.
        environment: The name of the overlays.
    """
    with tempfile.TemporaryDirectory(prefix="eco2-kit-") as name:
        folder = Path(name) / "kubernetes"
        shutil.copytree(KIT, folder)
        made = []
        for part in ("mesh", "service"):
            overlay = folder / part / "overlays" / environment
            file = overlay / "kustomization.yaml"
            text = file.read_text()
            assert any(f"{one}]" in text for one in ("zipkin", provider)), (
                f"{file} does not name the component"
            )
            file.write_text(text.replace("zipkin]", f"{provider}]"))
            made.append(rendered(overlay))
        return made[0], made[1]


def character_api(service: Sequence[Document]) -> tuple[Document, ...]:
    """The same objects for character-api, which auth-api calls: the kit has the folder of one service."""
    text = json.dumps(service).replace("auth-api", "character-api").replace("auth_api", "character_api")
    made = json.loads(text.replace('"namespace": "auth"', '"namespace": "character"'))
    caller = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "auth"}},
        "podSelector": {"matchLabels": {"app": "auth-api"}},
    }
    for one in made:
        if one["kind"] == "NetworkPolicy" and "ingress" in one["spec"]:
            one["spec"]["ingress"][0]["from"] = [caller]
    return tuple(made)
