"""The kit's overlays with the other tracing provider, and for the second service."""

from __future__ import annotations

import json
import shutil
import tempfile
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
            assert "zipkin]" in text, f"{file} does not name the component"
            file.write_text(text.replace("zipkin]", f"{provider}]"))
            made.append(rendered(overlay))
        return made[0], made[1]


def character_api(service: tuple[Document, ...]) -> tuple[Document, ...]:
    """The same objects for character-api: the kit has one service, and a cluster one such folder for each."""
    text = json.dumps(service).replace("auth-api", "character-api").replace("auth_api", "character_api")
    return tuple(json.loads(text.replace('"namespace": "auth"', '"namespace": "character"')))
