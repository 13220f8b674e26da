"""Where a field of the application goes in an ECS document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from eco2_tracing.logs._plain import Plain

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
"""Written by the formatter alone: an `extra` of that name is a label, it forges nothing."""

_RESERVED_OBJECTS = frozenset(
    name[:at] for name in RESERVED for at, character in enumerate(name) if character == "."
)

USER = {
    "user_id": "user.id",
}
# ecs-logging specification, `labels`: these characters of a key are replaced.
NOT_IN_LABELS = re.compile(r"[.*\\]")


def add_fields(
    fields: dict[str, object], given: Mapping[str, object], redactor: Redactor, budget: Budget | None = None
) -> None:
    """Put the application's fields where ECS has them, never over one that is there.

    Args:
        fields: The document so far, without what the formatter writes itself.
        given: The application's fields. What is ``None`` is left out: ECS has no field without a value.
        redactor: Masks secrets.
        budget: How many characters of the line are left.
    """
    plain = Plain(redactor, budget)
    labels: dict[str, object] = {}
    above = {head for name in fields for head in _heads(name)}
    for key, value in given.items():
        if plain.is_full():
            break
        if value is None:
            continue
        name = plain.name(key)
        name = USER.get(name, name)
        if name == "labels" and issubclass(type(value), Mapping):
            _add_labels(labels, value, plain)
        elif name.startswith("labels."):
            _add_label(labels, name[7:], value, plain)
        elif is_free(name, fields, above):
            fields[name] = plain.named(name, value)
        else:
            _add_label(labels, name, value, plain)
    if labels:
        fields["labels"] = labels


def is_free(name: str, fields: Mapping[str, object], above: set[str]) -> bool:
    """Tell whether a name is a dotted one that clashes with no field, as part of it or as a whole.

    Args:
        name: Any name.
        fields: The fields so far.
        above: The objects that they lie in; those of a free name are added.
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
    """Return the objects that a dotted name lies in; none if the name cannot stand at top level."""
    parts = name.split(".")
    heads = tuple(".".join(parts[:length]) for length in range(1, len(parts)))
    # Elasticsearch rejects a document with an empty or blank part, or with a field that is an object elsewhere.
    clashes = name in RESERVED or name in _RESERVED_OBJECTS or any(head in RESERVED for head in heads)
    return () if clashes or not all(part.strip() for part in parts) else heads


def _add_labels(labels: dict[str, object], given: Any, plain: Plain) -> None:
    try:
        for label, item in given.items():
            if plain.is_full():
                break
            _add_label(labels, plain.name(label), item, plain)
    except BaseException:  # noqa: BLE001 - the mapping is the application's: what was read stays
        return


def _add_label(labels: dict[str, object], name: str, value: object, plain: Plain) -> None:
    item = plain.named(name, value)
    if isinstance(item, dict) or (isinstance(item, list) and any(isinstance(x, dict | list) for x in item)):
        # ECS: labels "should not contain nested objects"; Elasticsearch maps them as keywords.
        item = orjson.dumps(item).decode()
    labels[NOT_IN_LABELS.sub("_", name if name.strip() else "_")] = item
