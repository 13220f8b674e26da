"""Conversion of any object to a JSON value: bounded, without cycles, with masked secrets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from math import isfinite

from eco2_tracing._guard import attempt_silently
from eco2_tracing._redaction import (
    MASK,
    Budget,
    Redactor,
    is_secret_pair,
    is_uncertain,
    is_validation_error,
    mask_arguments,
    masked_opaque,
    printable,
    secret_fields,
    truncate,
)

LONGEST_VALUE = 8 * 1024
"""Limit of one field's text, in characters."""

LONGEST_LINE = 32 * 1024
"""Limit of all values of a line together (message, error and fields), in characters."""

LONGEST_NAME = 256
_DEEPEST = 6
_MOST_NODES = 500
_INTEGERS = range(-(2**63), 2**64)  # the integers that Elasticsearch and orjson accept


class JsonConverter:
    """Converts the objects of one line to JSON values. Its budget is the number of characters left for the line."""

    __slots__ = ("_budget", "_nodes_left", "_redactor")

    def __init__(self, redactor: Redactor, budget: Budget | None = None) -> None:
        self._redactor = redactor
        self._budget = budget or Budget(LONGEST_LINE)
        self._nodes_left = _MOST_NODES

    def is_full(self) -> bool:
        """Return True if the line has reached its limit of values or of characters."""
        return self._nodes_left <= 0 or self._budget.left <= 0

    def named(self, name: str, value: object, depth: int = 0) -> object:
        """Convert the value of a field or key; mask it if the name is that of a secret."""
        if value is None or type(value) is bool or not self._redactor.is_secret(name):
            return self.value(value, depth, name)
        # OAuth's `code` is text. A number of that name is a status or an error.
        if name.lower() == "code" and issubclass(type(value), int):
            return self.value(value, depth)
        self._nodes_left -= 1  # also for masked values: the mapping may be endless
        return MASK

    def value(self, value: object, depth: int = 0, name: str = "") -> object:
        """Convert one value. What has no JSON form becomes text."""
        self._nodes_left -= 1
        if value is None or value is True or value is False:
            return value
        if self._nodes_left < 0 or depth > _DEEPEST:
            return "…"
        kind = type(value)
        if kind is str:
            return self.text(value, name)  # type: ignore[arg-type]  # the type was compared
        if kind is int and value in _INTEGERS:
            return value
        if kind is float and isfinite(value):  # type: ignore[arg-type]  # the type was compared
            return value
        converted = attempt_silently(self._composed, value, depth, name, default=None)
        return self.text(printable(value)) if converted is None else converted

    def _composed(self, value: object, depth: int, name: str) -> object | None:
        if is_uncertain(name):
            value = masked_opaque(value)
        # Concrete types first: `isinstance` with an abstract class takes four times as long.
        if isinstance(value, list | tuple):
            return self._items(self._without_secrets(value), depth + 1)
        if isinstance(value, (dict, Mapping)):
            return self._mapping(value, depth + 1)
        if isinstance(value, set | frozenset):
            return self._items(value, depth + 1)
        if isinstance(value, bytes | bytearray):
            return self.text(value[:LONGEST_VALUE].decode("utf-8", "backslashreplace"), name)
        if isinstance(value, datetime | date | time):
            return value.isoformat()
        return self.text(printable(value))

    def _mapping(self, value: Mapping[object, object], depth: int) -> dict[str, object]:
        items: dict[str, object] = {}
        budget = self._budget
        secret = secret_fields(value, self._redactor.is_secret)
        for key, item in value.items():
            if self._nodes_left <= 0 or budget.left <= 0:  # `is_full` without the call
                break
            name = self.name(key)
            if key in secret and item is not None:
                self._nodes_left -= 1
                items[name] = MASK
            else:
                items[name] = self.named(name, item, depth)
        if is_validation_error(items):
            items["input"] = MASK
        return items

    def _items(self, value: Iterable[object], depth: int) -> list[object]:
        items: list[object] = []
        budget = self._budget
        for item in value:
            if self._nodes_left <= 0 or budget.left <= 0:  # `is_full` without the call
                break
            items.append(self.value(item, depth))
        return items

    def _without_secrets(self, value: Sequence[object]) -> Sequence[object]:
        """Mask the values that follow their names in a list: a pair, or the arguments of a command."""
        is_secret = self._redactor.is_secret
        if len(value) == 2 and is_secret_pair(value, is_secret):
            return (value[0], MASK)
        if 1 < len(value) <= _MOST_NODES:
            return mask_arguments(value, is_secret) or value
        return value

    def text(self, text: str, name: str = "") -> str:
        """Truncate and mask a text. The name tells which form of secrets to expect."""
        budget = self._budget
        if len(text) > LONGEST_VALUE or len(text) > budget.left:
            text = budget.text(text, LONGEST_VALUE)
        else:
            budget.left -= len(text)
        masked = self._redactor.named_text(name, text, budget)
        return masked if masked.isascii() else escape_surrogates(masked)

    def name(self, key: object) -> str:
        """Convert a mapping's key to a bounded name without secrets."""
        name = self._redactor.name(key)
        if len(name) > LONGEST_NAME or not name.isascii():
            name = escape_surrogates(truncate(name, LONGEST_NAME))
        self._budget.left -= len(name)
        return name


def escape_surrogates(text: str) -> str:
    """Escape lone surrogates, which UTF-8 cannot encode."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
