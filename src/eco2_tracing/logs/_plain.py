"""Makes any object fit for JSON: bounded, without cycles, with secrets masked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from math import isfinite

from eco2_tracing._redaction import MASK, Redactor, cut, is_refusal, printable

LONGEST_VALUE = 8 * 1024
"""Characters of one field's text that are kept."""

_LONGEST_NAME = 256
_DEEPEST = 6
_MOST_NODES = 500
_INTEGERS = range(-(2**63), 2**64)  # what 64 bits hold; Elasticsearch and orjson take no more


class Plain:
    """Turns the objects of one line into JSON values.

    Args:
        redactor: Masks secrets by name and in texts.
    """

    __slots__ = ("_left", "_redactor")

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._left = _MOST_NODES

    def is_full(self) -> bool:
        """Tell whether the line has as many values as one takes."""
        return self._left <= 0

    def named(self, name: str, value: object, depth: int = 0) -> object:
        """Turn one named value, masked if its name says that it is a secret."""
        if value is None or type(value) is bool or not self._redactor.is_secret(name):
            return self.value(value, depth)
        # A number called `code` is a status or an error; OAuth's is a text.
        harmless = name.lower() == "code" and issubclass(type(value), int)
        if harmless:
            return self.value(value, depth)
        self._left -= 1  # also where nothing is looked at: a mapping may never end
        return MASK

    def value(self, value: object, depth: int = 0) -> object:
        """Turn one value; what JSON has no form for becomes text."""
        self._left -= 1
        if value is None or value is True or value is False:
            return value
        if self._left < 0 or depth > _DEEPEST:
            return "…"
        kind = type(value)
        if kind is str:
            return self.text(value)  # type: ignore[arg-type]
        if kind is int and value in _INTEGERS:
            return value
        if kind is float and isfinite(value):  # type: ignore[arg-type]
            return value
        try:
            return self._composed(value, depth)
        except BaseException:  # noqa: BLE001 - the object is the application's: whatever it raises, the line is written
            return self.text(printable(value))

    def _composed(self, value: object, depth: int) -> object:
        if isinstance(value, Mapping):
            items: dict[str, object] = {}
            for key, item in value.items():
                if self._left <= 0:
                    break
                name = self.name(key)
                items[name] = self.named(name, item, depth + 1)
            if is_refusal(items):
                items["input"] = MASK
            return items
        if isinstance(value, list | tuple | set | frozenset):
            values = []
            for item in value:
                if self._left <= 0:
                    break
                values.append(self.value(item, depth + 1))
            return values
        if isinstance(value, bytes | bytearray):
            return self.text(value[:LONGEST_VALUE].decode("utf-8", "backslashreplace"))
        if isinstance(value, datetime | date | time):
            return value.isoformat()
        return self.text(printable(value))

    def text(self, text: str) -> str:
        """Cut, mask, and repair what is no Unicode text."""
        return repaired(self._redactor.text(text if len(text) <= LONGEST_VALUE else cut(text, LONGEST_VALUE)))

    def name(self, key: object) -> str:
        """Turn a mapping's key into a bounded name, clean itself."""
        return repaired(cut(self._redactor.name(key), _LONGEST_NAME))


def repaired(text: str) -> str:
    """Spell out lone surrogates, which UTF-8 has no form for."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()
