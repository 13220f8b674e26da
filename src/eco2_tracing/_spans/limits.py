"""Applies the limits of a span: https://opentelemetry.io/docs/specs/otel/common/#attribute-limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanLimits

_T = TypeVar("_T")
_USUAL_COUNT = 128


def are_narrow(limits: SpanLimits) -> bool:
    """Return True if derived attributes must be checked against these limits."""
    count = limits.max_span_attributes
    return limits.max_span_attribute_length is not None or (count is not None and count < _USUAL_COUNT)


def limit_attributes(attributes: Mapping[str, Any], limits: SpanLimits, others: int) -> dict[str, Any]:
    """Return derived attributes within the limits: the first ones are kept, and texts are truncated.

    Args:
        attributes: The derived attributes.
        limits: The provider's limits.
        others: The number of attributes that the application has set.
    """
    count = limits.max_span_attributes
    left = None if count is None else max(0, count - others)
    length = limits.max_span_attribute_length
    kept = islice(attributes.items(), left)
    return dict(kept) if length is None else {key: truncate(value, length) for key, value in kept}


def truncate(value: Any, length: int) -> Any:
    """Return a value with its text, or each text of a sequence or mapping, truncated.

    Args:
        value: A sanitized attribute value.
        length: Maximum length of each text in characters.
    """
    if isinstance(value, str):
        return value[:length]
    if isinstance(value, tuple | list):
        return type(value)(truncate(item, length) for item in value)
    if isinstance(value, dict):
        return {key: truncate(item, length) for key, item in value.items()}
    return value


def append(items: Sequence[_T], item: _T, most: int | None) -> tuple[Sequence[_T], int]:
    """Append an item to a list of limited length. The oldest items are dropped, as in the SDK.

    Args:
        items: The list. An empty tuple is replaced by a list.
        item: The new item.
        most: The maximum number of items; ``None`` for no limit.

    Returns:
        The list, and the number of dropped items.
    """
    kept = items if isinstance(items, list) else list(items)
    kept.append(item)
    surplus = 0 if most is None else max(len(kept) - most, 0)
    del kept[:surplus]
    return kept, surplus
