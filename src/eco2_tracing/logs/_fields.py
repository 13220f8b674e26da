"""The place of an application's field in an ECS document."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from math import isfinite
from typing import NamedTuple

import orjson

from eco2_tracing._guard import attempt_silently
from eco2_tracing._redaction import SMALL, Budget, Redactor, has_special_form
from eco2_tracing.logs._json import LONGEST_LINE, LONGEST_NAME, JsonConverter, escape_surrogates

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
    """Add the application's masked fields to a document without the fields of the formatter.

    A field that exists is not replaced. ``None`` is left out: ECS has no field without a value.
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


_MOST_SHAPES = 512
_MOST_FIELDS = 32
_FEW = 8  # so many short fields need no budget
_MOST_ATTRIBUTES = 128
_NOT_SIMPLE = frozenset({"extra", "labels", "trace_id", "span_id", "code"})


class _Field(NamedTuple):
    attribute: str
    name: str
    is_label: bool


_Shapes = dict[tuple[str, ...], tuple[_Field, ...]]


class ExtraFields:
    """Fast path for the fields of `extra=`: a log call has the same few names each time, and short plain values.

    The place of a field depends on the names of the record's attributes alone. It is determined once for each set.
    """

    __slots__ = ("_not_fields", "_not_simple", "_shapes")

    def __init__(self, not_fields: Collection[str], not_simple: Collection[str]) -> None:
        self._not_fields = not_fields
        self._not_simple = _NOT_SIMPLE.union(
            not_simple
        )  # records with these attributes are not formatted here
        self._shapes: tuple[Redactor | None, _Shapes] = (None, {})

    def formatted(self, record: logging.LogRecord, redactor: Redactor) -> str | None:
        """Return the fields of a record without exception as the continuation of a JSON object.

        ``None`` if a name or value is not simple, or if there are too many.
        """
        attributes = record.__dict__
        shapes = self._shapes
        if shapes[0] is not redactor:
            shapes = self._shapes = (redactor, {})
        if len(attributes) > _MOST_ATTRIBUTES:
            return None
        names = tuple(attributes)
        shape = shapes[1].get(names)
        if shape is None:
            shape = self._learn(names, redactor, shapes[1])
        if not shape:
            return None
        fields: dict[str, object] = {}
        labels: dict[str, object] = {}
        budget = Budget(LONGEST_LINE) if len(shape) > _FEW else None
        # Flat: this runs for every line with fields.
        for attribute, name, is_label in shape:
            value: object = attributes[attribute]
            kind = type(value)
            if kind is str:
                if len(value) > SMALL:  # type: ignore[arg-type]
                    return None
                value = redactor.text(value, budget)  # type: ignore[arg-type]
            elif kind is not int and kind is not bool and not (kind is float and isfinite(value)):  # type: ignore[arg-type]
                return None
            if is_label:
                labels[name] = value
            else:
                fields[name] = value
        if labels:
            fields["labels"] = labels
        try:
            return f",{orjson.dumps(fields).decode()[1:-1]}"
        except TypeError:  # a lone surrogate, or a number of more than 64 bits
            return None

    def _learn(self, names: tuple[str, ...], redactor: Redactor, shapes: _Shapes) -> tuple[_Field, ...]:
        shape = self._shape(names, redactor)
        if len(shapes) >= _MOST_SHAPES:  # attribute names that contain data
            shapes.clear()
        if all(type(name) is str and len(name) <= LONGEST_NAME for name in names):
            shapes[names] = shape
        return shape

    def _shape(self, names: tuple[str, ...], redactor: Redactor) -> tuple[_Field, ...]:
        """Return the place of each field, as `add_fields` chooses it; nothing if one of them is not simple."""
        shape: list[_Field] = []
        fields: dict[str, object] = {}
        above: set[str] = set()
        for attribute in names:
            if attribute in self._not_simple:
                return ()
            if attribute in self._not_fields:
                continue
            if not _is_simple(attribute, redactor):
                return ()
            name = ECS_NAMES.get(attribute, attribute)
            if is_free(name, fields, above):
                fields[name] = None
                shape.append(_Field(attribute, name, is_label=False))
            else:
                shape.append(_Field(attribute, NOT_IN_LABELS.sub("_", name), is_label=True))
        return tuple(shape) if len(shape) <= _MOST_FIELDS else ()


def _is_simple(name: str, redactor: Redactor) -> bool:
    """Return True if a name is written without changes, and its values are free text and no secrets."""
    return (
        type(name) is str
        and len(name) <= LONGEST_NAME
        and not name.startswith("labels.")
        and not has_special_form(name)
        and not redactor.is_secret(name)
        and escape_surrogates(redactor.name(name)) == name
    )
