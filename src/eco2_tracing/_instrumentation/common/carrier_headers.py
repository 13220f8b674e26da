"""Trace context in the headers of messages and in the metadata of gRPC calls."""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry import propagate
from opentelemetry.context import get_current
from opentelemetry.trace import get_current_span

from eco2_tracing.propagation import Propagation
from eco2_tracing.propagation._calls import note_external

Headers = Iterable[tuple[str, object]]
"""Names and values, in order. Values of AMQP and gRPC may be of any kind."""


def outgoing(headers: Headers, host: str | None) -> list[tuple[str, object]]:
    """Return the headers of a message or call that is sent in the current context.

    Args:
        headers: The headers passed by the application. They are not changed, because applications reuse such lists.
        host: The host they are sent to; ``None`` if unknown. An external host gets trace context only.

    Returns:
        The given headers without trace headers, and the injected headers as text. A forwarded message has trace
        headers of an earlier hop.
    """
    propagator = propagate.get_global_textmap()
    if not isinstance(propagator, Propagation):
        carrier: dict[str, str] = {}
        propagator.inject(carrier)
        return [pair for pair in headers if pair[0] not in carrier] + list(carrier.items())
    context = get_current()
    span_context = get_current_span(context).get_span_context()
    is_internal = host is None or propagator.is_internal_host(host)
    if not is_internal and propagator.sends_externally and span_context.is_valid:
        note_external(propagator.external_hosts, str(host))
    names = propagator.replaced_headers
    kept: list[tuple[str, object]] = []
    replaced: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        raw = name.encode("utf-8", "surrogatepass")
        if isinstance(value, str | bytes) and (names is None or raw.lower() in names):
            replaced.append(
                (raw, value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass"))
            )
        else:
            kept.append((name, value))
    pairs = propagator.reinject_headers(replaced, span_context, context, internal=is_internal)
    return kept + [(name.decode(errors="replace"), value.decode(errors="replace")) for name, value in pairs]
