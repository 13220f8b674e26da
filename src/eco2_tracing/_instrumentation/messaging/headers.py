"""Trace context in the headers of messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opentelemetry import propagate
from opentelemetry.context import Context, get_current
from opentelemetry.trace import get_current_span

from eco2_tracing.propagation import Propagation
from eco2_tracing.propagation._calls import note_external

Headers = Iterable[tuple[Any, Any]]
"""Names and values, in order. AMQP's values may be of any kind."""


def outgoing(headers: Headers, host: str | None) -> list[tuple[str, Any]]:
    """Give the headers of a message that is sent in the current context.

    Args:
        headers: What the service gave; it is left as it is, because services keep such lists.
        host: The broker's, as the client knows it. What a host that is not our own may have, its messages may have.

    Returns:
        All of the message's headers, ours as text. Trace headers that came with it, as those of a message that
        is forwarded do, are off.
    """
    propagator = propagate.get_global_textmap()
    if not isinstance(propagator, Propagation):
        carrier: dict[str, str] = {}
        propagator.inject(carrier)
        return [pair for pair in headers if pair[0] not in carrier] + list(carrier.items())
    context = get_current()
    span_context = get_current_span(context).get_span_context()
    own = host is None or propagator.is_internal_host(host)
    if not own and propagator.sends_externally and span_context.is_valid:
        note_external(propagator.external_hosts, str(host))
    names = propagator.replaced_headers
    kept: list[tuple[str, Any]] = []
    ours: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        raw = name.encode("utf-8", "surrogatepass")
        if isinstance(value, str | bytes) and (names is None or raw.lower() in names):
            ours.append((raw, value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")))
        else:
            kept.append((name, value))
    pairs = propagator.rewrite(ours, span_context, context, own=own)
    return kept + [(name.decode(errors="replace"), value.decode(errors="replace")) for name, value in pairs]


def incoming(headers: Headers | None) -> Context:
    """Read the trace context that a message came with.

    Args:
        headers: The message's; names in any case, values of any kind. The last of a name counts, as for Kafka.

    Returns:
        A context of the message's alone, with its producer's span as the current one where there is one.
    """
    carrier: dict[str, str] = {}
    for name, value in headers or ():
        if isinstance(value, bytes):
            carrier[name.lower()] = value.decode("latin-1")
        elif isinstance(value, str):
            carrier[name.lower()] = value
    return propagate.extract(carrier, Context())
