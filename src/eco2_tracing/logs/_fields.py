"""The place of an application's field in an ECS document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import orjson

from eco2_tracing._guard import attempt_silently
from eco2_tracing.logs._json import JsonConverter

if TYPE_CHECKING:
    from eco2_tracing._redaction import Budget, Redactor

ECS_VERSION = "8.11.0"

RESERVED = frozenset(
    {
        "@timestamp", "log.level", "message", "ecs.version", "log.logger", "process.pid",
        "process.thread.name", "service.name", "service.version", "service.environment",
        "service.node.name", "trace.id", "span.id",
    }
)  # fmt: skip
"""Fields of the formatter. A field of the application with such a name becomes a label."""

_RESERVED_OBJECTS = frozenset(
    name[:at] for name in RESERVED for at, character in enumerate(name) if character == "."
)

ECS_NAMES = {"user_id": "user.id"}
"""Names of the application's fields that have an ECS name."""

# The ecs-logging specification, `labels`, has these characters of a key replaced.
NOT_IN_LABELS = re.compile(r"[.*\\]")


def add_fields(
    fields: dict[str, object], given: Mapping[str, object], redactor: Redactor, budget: Budget | None = None
) -> None:
    """Add the application's fields to a document. A field that exists is not replaced.

    Args:
        fields: The document, without the fields of the formatter.
        given: The application's fields. ``None`` is left out: ECS has no field without a value.
        redactor: Masks secrets.
        budget: The number of characters left for the line.
    """
    json = JsonConverter(redactor, budget)
    labels: dict[str, object] = {}
    above = {head for name in fields for head in _heads(name)}
    for key, value in given.items():
        if json.is_full():
            break
        if value is None:
            continue
        name = json.name(key)
        name = ECS_NAMES.get(name, name)
        if name == "labels" and issubclass(type(value), Mapping):
            # A mapping that raises keeps the labels that were read.
            attempt_silently(_add_labels, labels, value, json, default=None)
        elif name.startswith("labels."):
            _add_label(labels, name[7:], value, json)
        elif is_free(name, fields, above):
            fields[name] = json.named(name, value)
        else:
            _add_label(labels, name, value, json)
    if labels:
        fields["labels"] = labels


def is_free(name: str, fields: Mapping[str, object], above: set[str]) -> bool:
    """Return True for a dotted name that clashes with no field, neither as a part of it nor as a whole.

    The objects that contain it are then added to ``above``, the objects that contain ``fields``.
    """
    heads = _heads(name)
    if not heads or name in fields or name in above:
        return False
    for head in heads:
        if head in fields:
            return False
    above.update(heads)
    return True


@lru_cache(1024)
def _heads(name: str) -> tuple[str, ...]:
    """Return the objects that contain a dotted name; none if the name cannot stand at the top level."""
    parts = name.split(".")
    heads = tuple(".".join(parts[:length]) for length in range(1, len(parts)))
    # Elasticsearch rejects a document with an empty or blank part, or with a field that is an object elsewhere.
    clashes = name in RESERVED or name in _RESERVED_OBJECTS or any(head in RESERVED for head in heads)
    return () if clashes or not all(part.strip() for part in parts) else heads


def _add_labels(labels: dict[str, object], given: Mapping[object, object], json: JsonConverter) -> None:
    for label, item in given.items():
        if json.is_full():
            break
        _add_label(labels, json.name(label), item, json)


def _add_label(labels: dict[str, object], name: str, value: object, json: JsonConverter) -> None:
    item = json.named(name, value)
    if isinstance(item, dict) or (isinstance(item, list) and any(isinstance(x, dict | list) for x in item)):
        # ECS: labels "should not contain nested objects". Elasticsearch maps them as keywords.
        item = orjson.dumps(item).decode()
    labels[NOT_IN_LABELS.sub("_", name if name.strip() else "_")] = item
