"""Spans of any tracer as plain data."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from eco2_tracing.testing import TRACE_ID

Span = dict[str, Any]


def plain(
    name: str, kind: str, trace_id: str, *, failed: bool, attributes: Mapping[str, Any], events: list[str]
) -> Span:
    """A span of any tracer; the lower half of a trace id is what every tracer keeps."""
    return {
        "name": name,
        "kind": kind,
        "continued": trace_id[-16:] == TRACE_ID[-16:],
        "failed": failed,
        "attributes": {key: str(value) for key, value in sorted(attributes.items())},
        "events": events,
    }


def until(condition: Callable[[], bool], limit_s: float = 5.0) -> None:
    """Wait for a condition."""
    end = time.monotonic() + limit_s
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)


def flat(value: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """A nested mapping with dotted keys."""
    found: dict[str, Any] = {}
    for key, item in value.items():
        name = f"{prefix}.{key}"
        found |= flat(item, name) if isinstance(item, dict) else {name: item}
    return found
