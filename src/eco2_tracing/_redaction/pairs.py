"""Names and values that are items of their own: header lists, `{"name": …, "value": …}`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice

_NAMES = frozenset(("name", "key", "header", "field", "param", "parameter", "property", "variable", "k"))
_VALUES = frozenset(("value", "val", "v", "default", "data", "stringvalue", "content"))
_LONGEST_NAME = 256
_MOST_FIELDS = 16  # a mapping with more is no pair


def is_secret_pair(items: Sequence[object], is_secret: Callable[[str], bool]) -> bool:
    """Tell whether a sequence is a name and a value that the name makes a secret.

    Args:
        items: A sequence of two, as in an ASGI scope's `headers`.
        is_secret: Tells whether values under a name are masked.
    """
    name = items[0]
    if isinstance(name, bytes):
        name = name[:_LONGEST_NAME].decode("latin-1")
    # `["--token", "-v"]` are arguments of a command.
    return isinstance(name, str) and len(name) <= _LONGEST_NAME and name[:1] != "-" and is_secret(name)


def secret_fields(fields: Mapping[object, object], is_secret: Callable[[str], bool]) -> list[object]:
    """Return the keys of a mapping whose values another of its values makes secret.

    Args:
        fields: A mapping such as ``{"name": "DB_PASSWORD", "value": "…"}``.
        is_secret: Tells whether values under a name are masked.
    """
    if not 2 <= len(fields) <= _MOST_FIELDS:
        return []
    found: list[object] = []
    named = False
    for key, value in islice(fields.items(), _MOST_FIELDS):  # a mapping of the application's may never end
        low = key.lower() if isinstance(key, str) else ""
        if low in _VALUES:
            found.append(key)
        elif low in _NAMES and isinstance(value, str | bytes):
            named = named or is_secret_pair((value,), is_secret)
    return found if named else []
