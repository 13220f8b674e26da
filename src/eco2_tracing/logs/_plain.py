"""Makes any object fit for JSON: bounded, without cycles, with secrets masked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from math import isfinite
from typing import Any

from eco2_tracing._redaction import (
    MASK,
    Budget,
    Redactor,
    cut,
    is_refusal,
    mask_arguments,
    printable,
    secret_fields,
    secret_pair,
)

LONGEST_VALUE = 8 * 1024
"""Characters of one field's text that are kept."""

LONGEST_LINE = 32 * 1024
"""Characters of all values of a line that are searched and kept: message, error and fields together."""

LONGEST_NAME = 256
_DEEPEST = 6
_MOST_NODES = 500
_INTEGERS = range(-(2**63), 2**64)  # what 64 bits hold; Elasticsearch and orjson take no more


class Plain:
    """Turns the objects of one line into JSON values.

    Args:
        redactor: Masks secrets by name and in texts.
        budget: How many characters of the line are left.
    """

    __slots__ = ("_budget", "_left", "_redactor")

    def __init__(self, redactor: Redactor, budget: Budget | None = None) -> None:
        self._redactor = redactor
        self._budget = budget or Budget(LONGEST_LINE)
        self._left = _MOST_NODES

    def is_full(self) -> bool:
        """Tell whether the line has as many values, or as much text, as one takes."""
        return self._left <= 0 or self._budget.left <= 0

    def named(self, name: str, value: object, depth: int = 0) -> object:
        """Turn one named value, masked if its name says that it is a secret."""
        if value is None or type(value) is bool or not self._redactor.is_secret(name):
            return self.value(value, depth, name)
        # A number called `code` is a status or an error; OAuth's is a text.
        harmless = name.lower() == "code" and issubclass(type(value), int)
        if harmless:
            return self.value(value, depth)
        self._left -= 1  # also where nothing is looked at: a mapping may never end
        return MASK

    def value(self, value: object, depth: int = 0, name: str = "") -> object:
        """Turn one value; what JSON has no form for becomes text."""
        self._left -= 1
        if value is None or value is True or value is False:
            return value
        if self._left < 0 or depth > _DEEPEST:
            return "…"
        kind = type(value)
        if kind is str:
            return self.text(value, name)  # type: ignore[arg-type]
        if kind is int and value in _INTEGERS:
            return value
        if kind is float and isfinite(value):  # type: ignore[arg-type]
            return value
        try:
            return self._composed(value, depth, name)
        except BaseException:  # noqa: BLE001 - the object is the application's: whatever it raises, the line is written
            return self.text(printable(value))

    def _composed(self, value: object, depth: int, name: str) -> object:
        if isinstance(value, Mapping):
            return self._mapping(value, depth + 1)
        if isinstance(value, list | tuple):
            return self._items(self._without_secrets(value), depth + 1)
        if isinstance(value, set | frozenset):
            return self._items(value, depth + 1)
        if isinstance(value, bytes | bytearray):
            return self.text(value[:LONGEST_VALUE].decode("utf-8", "backslashreplace"), name)
        if isinstance(value, datetime | date | time):
            return value.isoformat()
        return self.text(printable(value))

    def _mapping(self, value: Mapping[Any, object], depth: int) -> dict[str, object]:
        items: dict[str, object] = {}
        secret = secret_fields(value, self._redactor.is_secret)
        for key, item in value.items():
            if self.is_full():
                break
            name = self.name(key)
            if key in secret and item is not None:
                self._left -= 1
                items[name] = MASK
            else:
                items[name] = self.named(name, item, depth)
        if is_refusal(items):
            items["input"] = MASK
        return items

    def _items(self, value: Iterable[object], depth: int) -> list[object]:
        items: list[object] = []
        for item in value:
            if self.is_full():
                break
            items.append(self.value(item, depth))
        return items

    def _without_secrets(self, value: Sequence[object]) -> Sequence[object]:
        """Mask what stands behind its name in a list: a pair, or an argument of a command."""
        is_secret = self._redactor.is_secret
        if len(value) == 2 and secret_pair(value, is_secret):
            return (value[0], MASK)
        if 1 < len(value) <= _MOST_NODES:
            return mask_arguments(value, is_secret) or value
        return value

    def text(self, text: str, name: str = "") -> str:
        """Cut, mask by what the name says of the form, and repair what is no Unicode text."""
        budget = self._budget
        if len(text) > LONGEST_VALUE or len(text) > budget.left:
            text = budget.text(text, LONGEST_VALUE)
        else:
            budget.left -= len(text)
        masked = self._redactor.named_text(name, text, budget)
        return masked if masked.isascii() else repaired(masked)

    def name(self, key: object) -> str:
        """Turn a mapping's key into a bounded name, clean itself."""
        name = self._redactor.name(key)
        if len(name) > LONGEST_NAME or not name.isascii():
            name = repaired(cut(name, LONGEST_NAME))
        self._budget.left -= len(name)
        return name


def repaired(text: str) -> str:
    """Spell out lone surrogates, which UTF-8 has no form for."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()
