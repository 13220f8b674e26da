"""Trace headers of a client, and words for the contexts that services continue."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from eco2_tracing.testing import ReceivedSpan, b3_headers, traceparent_headers

NOTHING, W3C, B3_MULTI, B3_SINGLE, DENY = CLIENTS = ("nothing", "traceparent", "X-B3-*", "b3", "b3: 0")

# What the page calls the trace of a request.
ONE = "one trace"
JOINED = "the client's trace"
TORN = "torn"
NEW = "a new trace"
MISSING = "parent missing"
UNRECORDED = "not recorded"


@dataclass(frozen=True)
class Client:
    """A client with trace headers of its own.

    Attributes:
        kind: One of `CLIENTS`.
        number: Of the request; its ids are made of it.
        sampled: The client's decision.
    """

    kind: str
    number: int
    sampled: bool = True

    @property
    def trace_id(self) -> str:
        """Its trace id."""
        return f"c{self.number:031x}"

    @property
    def span_id(self) -> str:
        """Its span id."""
        return f"c{self.number:015x}"

    @property
    def headers(self) -> dict[str, str]:
        """What it sends."""
        ids = self.trace_id, self.span_id
        return {
            NOTHING: {},
            W3C: traceparent_headers(*ids, sampled=self.sampled),
            B3_MULTI: b3_headers(*ids, sampled=self.sampled),
            B3_SINGLE: {"b3": f"{'-'.join(ids)}-{int(self.sampled)}"},
            DENY: {"b3": "0"},
        }[self.kind]


@dataclass(frozen=True)
class Seen:
    """The context that the service continued.

    Attributes:
        trace: Its trace id.
        span: Its span id.
        parent: The span id of its parent.
        sampled: Its decision.
        request_id: The `x-request-id` that it received.
        received: The names of the trace headers that it received.
    """

    trace: str
    span: str
    parent: str | None
    sampled: bool
    request_id: str | None = None
    received: Collection[str] = ()


def outcome(client: Client, seen: Seen, spans: Collection[ReceivedSpan] = ()) -> str:
    """What became of a request.

    Args:
        client: What it sent.
        seen: The context in the service.
        spans: The spans that the proxy exported for the request.
    """
    if not seen.sampled:
        return UNRECORDED
    if any(span.span_id == seen.parent for span in spans):
        assert {span.trace_id for span in spans} == {seen.trace}
        return JOINED if seen.trace == client.trace_id else ONE
    if seen.parent is None:
        return NEW
    if seen.parent == client.span_id:
        assert seen.trace == client.trace_id
        return TORN if spans else JOINED
    return MISSING
