"""Masks secrets in lists, mappings and bytes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from eco2_tracing._redaction.commands import mask_arguments
from eco2_tracing._redaction.keys import MASK
from eco2_tracing._redaction.kinds import OPAQUE, SECRET, TEXT
from eco2_tracing._redaction.limits import OMITTED, Budget
from eco2_tracing._redaction.messages import is_validation_error

_MOST_ITEMS = 1024  # of a sequence or a mapping
_DEEPEST = 16
_ITEM = 8  # cost of an item in addition to its text, in characters: it limits nested lists
_NAMES = frozenset(("name", "key", "header", "field", "param", "parameter", "property", "variable", "k"))
_VALUES = frozenset(("value", "val", "v", "default", "data", "stringvalue", "content"))
_LONGEST_NAME = 256
_MOST_FIELDS = 16  # a mapping with more fields is not a pair


def is_secret_pair(items: Sequence[object], is_secret: Callable[[str], bool]) -> bool:
    """Return True if two items, as of an ASGI scope's `headers`, are a secret's name and its value."""
    name = items[0]
    if isinstance(name, bytes):
        name = name[:_LONGEST_NAME].decode("latin-1")
    # Items such as `["--token", "-v"]` are arguments of a command.
    return isinstance(name, str) and len(name) <= _LONGEST_NAME and name[:1] != "-" and is_secret(name)


def secret_fields(fields: Mapping[object, object], is_secret: Callable[[str], bool]) -> list[object]:
    """Return the keys of the values to mask in a mapping that has a name and a value as separate fields.

    It is a mapping such as ``{"name": "DB_PASSWORD", "value": "…"}``.
    """
    if not 2 <= len(fields) <= _MOST_FIELDS:
        return []
    found: list[object] = []
    named = False
    for key, value in islice(fields.items(), _MOST_FIELDS):  # an application's mapping may be endless
        low = key.lower() if isinstance(key, str) else ""
        if low in _VALUES:
            found.append(key)
        elif low in _NAMES and isinstance(value, str | bytes):
            named = named or is_secret_pair((value,), is_secret)
    return found if named else []


@dataclass(slots=True)
class Values:
    """Masks one value and all nested values."""

    _is_secret: Callable[[str], bool]
    _kind_of: Callable[[object], int]  # by the name of a value
    _name: Callable[[object], str]  # masks and truncates a name
    _text: Callable[[int, str, Budget], str]  # masks one text of a kind
    _budget: Budget
    texts: int = 0
    """The number of searched texts."""

    def masked(self, kind: int, value: object, depth: int = 0) -> object:
        """Return a masked value of a kind; the same object if nothing was masked."""
        if isinstance(value, str):
            self.texts += 1
            return self._text(kind, value if type(value) is str else str.__str__(value), self._budget)
        if isinstance(value, list | tuple):
            return MASK if depth == _DEEPEST else self._sequence(kind, value, depth + 1)
        if kind == SECRET and value is not None and not isinstance(value, bool):
            return MASK
        if isinstance(value, Mapping):
            return MASK if depth == _DEEPEST else self._mapping(kind, value, depth + 1)
        if isinstance(value, bytes | bytearray):
            return self._bytes(kind, value)
        return value

    def _sequence(self, kind: int, value: Sequence[object], depth: int) -> object:
        items: list[object] = []
        budget = self._budget
        # Pairs and command arguments are checked once for the whole sequence.
        given: Sequence[object] = value
        if kind == TEXT and len(value) > 1:
            if len(value) == 2 and is_secret_pair(value, self._is_secret):
                given = (value[0], MASK if value[1] else value[1])
            elif len(value) <= _MOST_ITEMS:
                given = mask_arguments(value, self._is_secret) or value
        for item in islice(given, _MOST_ITEMS):
            if budget.left <= 0:
                if isinstance(item, str):
                    items.append(OMITTED)
                break
            budget.left -= _ITEM
            items.append(self.masked(kind, item, depth))
        same = len(items) == len(value) and all(map(operator.is_, items, value))
        if same:
            return value
        return tuple(items) if type(value) is tuple else items

    def _mapping(self, kind: int, value: Mapping[object, object], depth: int) -> object:
        items: dict[object, object] = {}
        budget = self._budget
        same = len(value) <= _MOST_ITEMS
        secret = secret_fields(value, self._is_secret)
        for key, item in islice(value.items(), _MOST_ITEMS):
            if budget.left <= 0:
                same = False
                items[OMITTED] = OMITTED
                break
            budget.left -= _ITEM
            name = self._name(key) if isinstance(key, str) else key
            item_kind = SECRET if key in secret else self._kind_of(key)
            if item_kind == TEXT and kind == OPAQUE:
                item_kind = OPAQUE
            masked = items[name] = self.masked(item_kind, item, depth)
            same = same and masked is item and name == key
        if is_validation_error(items):
            items["input"] = MASK
            return items
        return value if same else items

    def _bytes(self, kind: int, value: bytes | bytearray) -> object:
        """Return bytes as masked text; the same bytes if their text holds no secret."""
        text = bytes(value[: self._budget.left]).decode("utf-8", "backslashreplace")
        masked = self._text(kind, text, self._budget)
        return value if masked == text and len(value) <= len(text) else masked
