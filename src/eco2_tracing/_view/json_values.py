"""Attributes as JSON that JavaScript reads without a loss."""

from __future__ import annotations

import math
from collections.abc import Mapping

Json = dict[str, object]

# The integers that JavaScript has exactly.
_LARGEST = 2**53 - 1


def plain(attributes: Mapping[str, object]) -> Json:
    """Return attributes as JSON. Bytes are hex; numbers that JavaScript has not are texts."""
    return {key: value if type(value) is str else _value(value) for key, value in attributes.items()}


def _value(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_value(each) for each in value]
    if isinstance(value, dict):
        return plain(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST:
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
