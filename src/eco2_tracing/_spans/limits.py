"""The limits of a span: https://opentelemetry.io/docs/specs/otel/common/#attribute-limits."""

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
    """Limit derived attributes: the first ones stay, and texts are truncated.

    Args:
        attributes: The derived attributes.
        limits: The provider's limits.
        others: How many attributes the application has set beside them.
    """
    count = limits.max_span_attributes
    left = None if count is None else max(0, count - others)
    length = limits.max_span_attribute_length
    kept = islice(attributes.items(), left)
    return dict(kept) if length is None else {key: truncate(value, length) for key, value in kept}


def truncate(value: Any, length: int) -> Any:
    """Truncate a text, or each text of a sequence or mapping.

    Args:
        value: A sanitized attribute value.
        length: Characters that are kept of each text.
    """
    if isinstance(value, str):
        return value[:length]
    if isinstance(value, tuple | list):
        return type(value)(truncate(item, length) for item in value)
    if isinstance(value, dict):
        return {key: truncate(item, length) for key, item in value.items()}
    return value


def append(items: Sequence[_T], item: _T, most: int | None) -> tuple[Sequence[_T], int]:
    """Append to a list of limited length; the oldest items are dropped, as in the SDK.

    Args:
        items: The list, or an empty tuple in its place.
        item: What is appended.
        most: The limit; ``None`` for none.

    Returns:
        The list, and how many items were dropped.
    """
    kept = items if isinstance(items, list) else list(items)
    kept.append(item)
    surplus = 0 if most is None else max(len(kept) - most, 0)
    del kept[:surplus]
    return kept, surplus
