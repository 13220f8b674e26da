"""What can be taken of attributes that fight back."""

from __future__ import annotations

from typing import Any

from opentelemetry.attributes import BoundedAttributes

from eco2_tracing._guard import internal_failure


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
