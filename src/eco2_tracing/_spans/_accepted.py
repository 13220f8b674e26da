"""What can be taken of attributes that fight back."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes

from eco2_tracing._guard import internal_failure

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanLimits


def items_of(attributes: Any) -> list[tuple[str, Any]]:
    """The items of what should be a mapping; none where it is something else.

    Args:
        attributes: What an application handed over.
    """
    try:
        return list(attributes.items()) if attributes else []
    except Exception:  # noqa: BLE001 - values and exceptions are the application's
        internal_failure("reading attributes")
        return []


def acceptable(attributes: Any) -> dict[str, Any]:
    """Those of some attributes that can be had without an exception.

    Args:
        attributes: What an application handed over.
    """
    accepted: dict[str, Any] = {}
    for key, value in items_of(attributes):
        try:
            accepted.update(BoundedAttributes(None, {key: value}))
        except Exception:  # noqa: BLE001, S112 - reported by the caller
            continue
    return accepted


def within(attributes: Mapping[str, Any], limits: SpanLimits, others: int) -> dict[str, Any]:
    """Keep derived attributes to the limits of a span: the first ones stay, texts are cut.

    https://opentelemetry.io/docs/specs/otel/common/#attribute-limits

    Args:
        attributes: What was derived.
        limits: The provider's.
        others: How many attributes the application has set beside them.
    """
    count = limits.max_span_attributes
    left = None if count is None else max(0, count - others)
    length = limits.max_span_attribute_length
    kept = islice(attributes.items(), left)
    return dict(kept) if length is None else {key: _cut(value, length) for key, value in kept}


def _cut(value: Any, length: int) -> Any:
    if isinstance(value, str):
        return value[:length]
    if isinstance(value, list | tuple):
        return [_cut(item, length) for item in value]
    return value
