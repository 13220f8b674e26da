"""Trace headers of outgoing calls: attempts of httpx, messages, and the metadata of gRPC calls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from opentelemetry import propagate
from opentelemetry.context import get_current
from opentelemetry.trace import get_current_span

from eco2_tracing._compat.httpx import header_items
from eco2_tracing.propagation import Propagation
from eco2_tracing.propagation._calls import note_external, without

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanContext

    from eco2_tracing._compat.httpx import HeaderItem
    from eco2_tracing._instrumentation.common.http_attributes import Request
    from eco2_tracing._instrumentation.common.state import InstrumentationState

    Pairs = list[tuple[bytes, bytes]]

_SENT = "_eco2_sent"


def inject_headers(
    state: InstrumentationState, request: Request, injected: SpanContext, context: Context
) -> None:
    """Inject trace headers into an attempt, in place of all known trace headers.

    The list inside of ``httpx.Headers`` is changed directly if there is one. The public methods of ``httpx.Headers``
    are slower than all other work of this function, by a factor of ten.
    """
    propagation = state.propagation
    host = request.url.host
    is_internal = propagation.is_internal_host(host)
    items = header_items(request.headers)
    if items is None:
        _inject_publicly(state, request, injected, context, is_internal)
    elif _has_no_trace_headers(items, propagation.replaced_headers):
        added = propagation.injector.inject(injected, context, is_internal)
        for pair in added:
            items.append((pair[0], *pair))  # no comprehension, which would be another call
        setattr(request, _SENT, (added, []))
    else:
        pairs = _reinjected(
            state, request, [(item[0], item[2]) for item in items], injected, context, is_internal
        )
        items[:] = [(name, name.lower(), value) for name, value in pairs]
    if not is_internal and injected.is_valid and propagation.sends_externally:
        note_external(state.external_hosts, host)


def _has_no_trace_headers(items: list[HeaderItem], replaced: frozenset[bytes] | None) -> bool:
    """Return whether no header has a name that may have to be removed."""
    if replaced is None:
        return False
    for item in items:
        if item[1] in replaced:
            return False
    return True


def _reinjected(
    state: InstrumentationState,
    request: Request,
    given: Pairs,
    injected: SpanContext,
    context: Context,
    is_internal: bool,
) -> Pairs:
    """Return all headers of an attempt.

    An auth flow or a loop of the application may send a request again. The headers that were injected last time are
    removed first: they may belong to another inbound request.
    """
    sent = getattr(request, _SENT, None)
    if sent is not None:
        given = without(given, *sent)
    pairs = state.propagation.reinject_headers(given, injected, context, internal=is_internal)
    added = [pair for pair in pairs if pair not in given]
    setattr(request, _SENT, (added, state.propagation.injector.explicit_baggage(given, context)))
    return pairs


def _inject_publicly(
    state: InstrumentationState, request: Request, injected: SpanContext, context: Context, is_internal: bool
) -> None:
    """Inject through the public interface, for versions of httpx whose headers have another structure."""
    headers = request.headers
    request.headers = type(headers)(
        _reinjected(state, request, list(headers.raw), injected, context, is_internal)
    )


def response_header_items(headers: Any) -> list[HeaderItem]:
    """Return the headers of a response as triples: the name as received, the name in lower case, the value."""
    items = header_items(headers)
    if items is not None:
        return items
    return [(name, name.lower(), value) for name, value in headers.raw]


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
    pairs = propagator.rewrite(replaced, span_context, context, own=is_internal)
    return kept + [(name.decode(errors="replace"), value.decode(errors="replace")) for name, value in pairs]
