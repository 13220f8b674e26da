"""Fast path for the fields of `extra=`: a log call has the same few names each time, and short plain values."""

from __future__ import annotations

import logging
from collections.abc import Collection
from math import isfinite
from typing import NamedTuple

import orjson

from eco2_tracing._redaction import SMALL, Budget, Redactor, has_special_form
from eco2_tracing.logs._fields import ECS_NAMES, NOT_IN_LABELS, is_free
from eco2_tracing.logs._json import LONGEST_LINE, LONGEST_NAME, escape_surrogates

_MOST_SHAPES = 512
_MOST_FIELDS = 32
_FEW = 8  # so many short fields need no budget
_MOST_ATTRIBUTES = 128
_NOT_SIMPLE = frozenset({"extra", "labels", "trace_id", "span_id", "code"})


class _Field(NamedTuple):
    attribute: str
    name: str
    is_label: bool


class ExtraFields:
    """Formats the fields of records that differ in nothing but the values.

    The place of a field depends on the names of the record's attributes alone. It is determined once for each set.

    Args:
        not_fields: Names of attributes that are no fields.
        not_simple: Names of attributes whose records are not formatted here.
    """

    __slots__ = ("_not_fields", "_not_simple", "_shapes")

    def __init__(self, not_fields: Collection[str], not_simple: Collection[str]) -> None:
        self._not_fields = not_fields
        self._not_simple = _NOT_SIMPLE.union(not_simple)
        self._shapes: tuple[Redactor | None, dict[tuple[str, ...], tuple[_Field, ...]]] = (None, {})

    def formatted(self, record: logging.LogRecord, redactor: Redactor) -> str | None:
        """Return the fields as the continuation of a JSON object.

        Args:
            record: A record without exception.
            redactor: Masks secrets.

        Returns:
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

    def _learn(
        self, names: tuple[str, ...], redactor: Redactor, shapes: dict[tuple[str, ...], tuple[_Field, ...]]
    ) -> tuple[_Field, ...]:
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
