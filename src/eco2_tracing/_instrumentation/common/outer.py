"""One server span a request, where other instrumentations wrap the application or are inside of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, SpanKind

from eco2_tracing._compat.contrib import is_served_by_contrib
from eco2_tracing._guard import logger
from eco2_tracing._instrumentation.common.state import SERVER_SCOPE
from eco2_tracing.propagation._inbound import SPAN_KEY, Inbound, context_of

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from eco2_tracing._instrumentation.common.asgi import Scope, Send

NATIVE = "fastapi.telemetry"
"""The scope key of FastAPI's own telemetry, which steps aside where the key is present."""
STARLETTE = "starlette.opentelemetry"
"""The scope key of Starlette's middleware, which steps aside where the value is true."""

# Their middleware makes an internal span where a span is current already.
_MIDDLEWARES = frozenset(f"opentelemetry.instrumentation.{name}" for name in ("asgi", "fastapi", "starlette"))
# contrib's middleware begins a server span unless a span is current that is not the API's INVALID_SPAN.
_NO_SPAN = NonRecordingSpan(INVALID_SPAN_CONTEXT)


def step_aside(scope: Scope) -> None:
    """Keep FastAPI's and Starlette's own instrumentations inside from making a second server span.

    Mounted applications get a copy of the scope, with both keys.

    Args:
        scope: The ASGI scope of a request.
    """
    scope.setdefault(NATIVE, None)
    scope[STARLETTE] = True


def without_decision(inbound: Inbound | None) -> Inbound:
    """Return what the headers of an excluded request say, as not sampled.

    Args:
        inbound: What they say; ``None`` when nothing.
    """
    return Inbound(denied=True, sampled=False) if inbound is None else inbound.unsampled()


def excluded_context(denied: Inbound, base: Context) -> Context:
    """Return the context of an excluded request, in which no instrumentation begins a server span.

    Args:
        denied: What the headers say, as not sampled.
        base: The context around the request.
    """
    return context_of(denied, base if SPAN_KEY in base else {**base, SPAN_KEY: _NO_SPAN})  # type: ignore[arg-type]


OUTER = "eco2_tracing.outer"
"""The scope key of the span that is current outside of an application that contrib traces."""


def discard(span: object, inbound: Inbound | None) -> None:
    """Drop the server span that an outer instrumentation made for an excluded request, and what is below it.

    Only our own provider can: another one exports the span.

    Args:
        span: The span that is current outside of the application.
        inbound: What the headers of the request say.
    """
    kind = getattr(span, "kind", None)
    if kind is not SpanKind.SERVER and not (kind is SpanKind.INTERNAL and _is_below(span, inbound)):
        return
    local: Any = getattr(span, "local_trace", None)
    if local is not None and getattr(local.root, "kind", None) is SpanKind.SERVER:
        local.discard()


class OuterInstrumentation:
    """Finds the server span that an outer instrumentation has made for a request, and says so once."""

    __slots__ = ("_has_reported",)

    def __init__(self) -> None:
        self._has_reported = False

    def __call__(self, scope: Scope, base: Context, inbound: Inbound | None, send: Send) -> object:
        """Look for the span of FastAPI's own telemetry, or of an instrumentation of the outer application.

        Args:
            scope: The ASGI scope.
            base: The context around the request; not empty.
            inbound: What the headers say.
            send: The ``send`` of the request.

        Returns:
            The span that is current, or ``None`` where the request has no server span yet.
        """
        native = scope.get(NATIVE)
        span = base.get(SPAN_KEY)
        kind = getattr(span, "kind", None)
        if native is not None and getattr(native, "span", None) is not None:
            who = "FastAPI's own telemetry"
        elif kind is SpanKind.SERVER and not _is_ours(span):
            # A call of this process to itself has a client span around it, and our own requests are marked.
            who = "another instrumentation"
        elif kind is SpanKind.INTERNAL and _is_below(span, inbound, known=scope.get(STARLETTE)):
            who = "another instrumentation"
        elif span is not None and is_served_by_contrib(send):
            who = "another instrumentation"  # under another provider a span does not show what it is below
        else:
            return None
        if not self._has_reported:
            self._has_reported = True
            logger.info(
                "%s traces the application that this one is mounted in: it stays in charge of server spans",
                who,
            )
        return span


def _is_below(span: object, inbound: Inbound | None, *, known: object = False) -> bool:
    """Return whether an internal span lies below the server span of the same request.

    Args:
        span: The span.
        inbound: What the headers of the request say.
        known: Whether the scope says that there is a server span.
    """
    parent = getattr(span, "parent", None)
    if inbound is not None and parent is not None and parent.span_id == inbound.span_id:
        return False  # a call of this process to itself, whose client span contrib's middleware has found
    if known or _scope_name(span) in _MIDDLEWARES:
        return True
    root = getattr(getattr(span, "local_trace", None), "root", None)
    return getattr(root, "kind", None) is SpanKind.SERVER and not _is_ours(root)


def _is_ours(span: object) -> bool:
    return _scope_name(span) == SERVER_SCOPE


def _scope_name(span: object) -> object:
    return getattr(getattr(span, "instrumentation_scope", None), "name", None)
