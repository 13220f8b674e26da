"""Strict JSON schemas of custom resources, from their definitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.kubernetes.kit import LOADER


def crd_schemas(files: Iterable[Path]) -> dict[tuple[str, str], Any]:
    """The schemas of `spec` by `apiVersion` and kind.

    Args:
        files: Files of CustomResourceDefinitions.
    """
    found = {}
    for file in files:
        for crd in yaml.load_all(file.read_text(), LOADER):
            spec = crd["spec"]
            for version in spec["versions"]:
                key = f"{spec['group']}/{version['name']}", spec["names"]["kind"]
                found[key] = strict(version["schema"]["openAPIV3Schema"]["properties"]["spec"])
    return found


def strict(schema: Any) -> Any:
    """A schema that refuses properties which it does not name, as the API server prunes them silently.

    Branches of `oneOf`, `anyOf` and `not` stay as they are: they only say which properties exclude each other.
    """
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    made = {
        key: value if key in {"oneOf", "anyOf", "not"} else strict(value) for key, value in schema.items()
    }
    if isinstance(schema.get("properties"), Mapping):
        made.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        made["additionalProperties"] = True
    if schema.get("x-kubernetes-int-or-string"):
        made["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if schema.get("nullable") and isinstance(schema.get("type"), str):
        made["type"] = [schema["type"], "null"]
    return made
