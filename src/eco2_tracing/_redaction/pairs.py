"""Finds secrets whose name and value are separate items: header lists, `{"name": …, "value": …}`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice

_NAMES = frozenset(("name", "key", "header", "field", "param", "parameter", "property", "variable", "k"))
_VALUES = frozenset(("value", "val", "v", "default", "data", "stringvalue", "content"))
_LONGEST_NAME = 256
_MOST_FIELDS = 16  # a mapping with more fields is not a pair


def is_secret_pair(items: Sequence[object], is_secret: Callable[[str], bool]) -> bool:
    """Return True if a sequence is a pair of a secret's name and its value.

    Args:
        items: A sequence of two items, as in an ASGI scope's `headers`.
        is_secret: Returns True if values under a name are masked.
    """
    name = items[0]
    if isinstance(name, bytes):
        name = name[:_LONGEST_NAME].decode("latin-1")
    # Items such as `["--token", "-v"]` are arguments of a command.
    return isinstance(name, str) and len(name) <= _LONGEST_NAME and name[:1] != "-" and is_secret(name)


def secret_fields(fields: Mapping[object, object], is_secret: Callable[[str], bool]) -> list[object]:
    """Return the keys of the values to mask in a mapping that has a name and a value as separate fields.

    Args:
        fields: A mapping such as ``{"name": "DB_PASSWORD", "value": "…"}``.
        is_secret: Returns True if values under a name are masked.
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
