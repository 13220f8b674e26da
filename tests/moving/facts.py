"""What a page says about the spans before and after, from the recordings of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

Recording = dict[str, Any]
NOTHING = "no span"


def code(text: str) -> str:
    """A text as code."""
    return f"`{text}`"


def listed(names: list[str]) -> str:
    """Names as code, or none."""
    return ", ".join(map(code, names)) or "none"


def top(recording: Recording, request: str) -> dict[str, Any] | None:
    """The first span of a request: the server's."""
    spans = recording["requests"][request]
    return spans[0] if spans else None


def spans_of(request: str) -> Callable[[Recording], str]:
    """The names and kinds of a request's spans."""

    def fact(recording: Recording) -> str:
        spans = recording["requests"][request]
        found = Counter(f"{code(span['name'])} {span['kind']}" for span in spans)
        return ", ".join(text + f" ({times} times)" * (times > 1) for text, times in found.items()) or NOTHING

    return fact


def failure(request: str) -> Callable[[Recording], str]:
    """Whether a request's server span failed, and its events."""

    def fact(recording: Recording) -> str:
        span = top(recording, request)
        if span is None:
            return NOTHING
        state = "an error" if span["failed"] else "no error"
        return f"{state}, events: {listed(span['events'])}"

    return fact


def continued(request: str) -> Callable[[Recording], str]:
    """Whether a caller's trace was continued."""

    def fact(recording: Recording) -> str:
        return (
            "continued"
            if any(span["continued"] for span in recording["requests"][request])
            else "a new trace"
        )

    return fact


def sent(recording: Recording) -> str:
    """The trace headers of a call."""
    return listed(recording["sent"])


FACTS: dict[str, Callable[[Recording], str]] = {
    "spans of a request": spans_of("item"),
    "spans of a request that calls by httpx": spans_of("call"),
    "trace headers of that call": sent,
    "spans of an unknown path": spans_of("missing"),
    "a handler that raises": failure("broken"),
    "`GET /health`": spans_of("health"),
    "`GET /health-records`": spans_of("health records"),
    "a caller's `X-B3-*`": continued("b3"),
    "a caller's `traceparent`": continued("w3c"),
    "an unsampled caller's `X-B3-*`": spans_of("unsampled b3"),
    "an unsampled caller's `traceparent`": spans_of("unsampled w3c"),
}


def facts(before: Recording, after: Recording) -> list[list[str]]:
    """Rows: what, before, after."""
    return [[name, fact(before), fact(after)] for name, fact in FACTS.items()]


def attributes(recording: Recording) -> dict[str, str]:
    """Attributes of the server span of a request, with their values."""
    span = top(recording, "item")
    assert span is not None
    return dict(span["attributes"])


def pairs(before: Recording, after: Recording) -> list[list[str]]:
    """Rows: an attribute before, the one with the same name or else the same value after."""
    old, new = attributes(before), attributes(after)
    rows = []
    for name, value in old.items():
        same = (
            name if name in new else next((key for key in new if new[key] == value and key not in old), None)
        )
        if same is not None:
            del new[same]
        rows.append([code(name), code(same) if same else "none"])
    return rows + [["none", code(name)] for name in new]
