"""Ensures one server span a request if other instrumentations are outside or inside of the application."""

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
"""The scope key of FastAPI's own telemetry, which begins no span if the key is present."""
STARLETTE = "starlette.opentelemetry"
"""The scope key of Starlette's middleware, which begins no span if the value is true."""

# Instrumentations whose middleware begins an internal span if a span is current.
_MIDDLEWARES = frozenset(f"opentelemetry.instrumentation.{name}" for name in ("asgi", "fastapi", "starlette"))
# contrib's middleware begins a server span unless a span is current that is not the API's INVALID_SPAN.
_NO_SPAN = NonRecordingSpan(INVALID_SPAN_CONTEXT)


def disable_inner_spans(scope: Scope) -> None:
    """Prevent FastAPI's and Starlette's own instrumentations from creating a second server span.

    The scopes of mounted applications are copies with both keys.

    Args:
        scope: The ASGI scope of a request.
    """
    scope.setdefault(NATIVE, None)
    scope[STARLETTE] = True


def as_unsampled(inbound: Inbound | None) -> Inbound:
    """Return the extracted context of an excluded request, marked as not sampled.

    Args:
        inbound: The extracted context; ``None`` if there are no trace headers.
    """
    return Inbound(denied=True, sampled=False) if inbound is None else inbound.unsampled()


def excluded_context(denied: Inbound, base: Context) -> Context:
    """Return the context of an excluded request, in which no instrumentation begins a server span.

    Args:
        denied: The extracted context, marked as not sampled.
        base: The context around the request.
    """
    return context_of(denied, base if SPAN_KEY in base else {**base, SPAN_KEY: _NO_SPAN})  # type: ignore[arg-type]


OUTER = "eco2_tracing.outer"
"""The scope key of the span around an application that contrib traces."""


def discard(span: object, inbound: Inbound | None) -> None:
    """Drop the server span that an outer instrumentation created for an excluded request, and its children.

    Works with our provider only. An external provider exports the span.

    Args:
        span: The span that is current around the application.
        inbound: The extracted context; ``None`` if there are no trace headers.
    """
    kind = getattr(span, "kind", None)
    if kind is not SpanKind.SERVER and not (kind is SpanKind.INTERNAL and _is_below(span, inbound)):
        return
    local: Any = getattr(span, "local_trace", None)
    if local is not None and getattr(local.root, "kind", None) is SpanKind.SERVER:
        local.discard()


class OuterInstrumentation:
    """Finds the server span that an outer instrumentation created for a request. Logs the first one."""

    __slots__ = ("_has_reported",)

    def __init__(self) -> None:
        self._has_reported = False

    def __call__(self, scope: Scope, base: Context, inbound: Inbound | None, send: Send) -> object:
        """Return the current span if the request has a server span; ``None`` otherwise.

        The server span may be that of FastAPI's own telemetry, or of an instrumentation of the outer application.

        Args:
            scope: The ASGI scope.
            base: The context around the request; not empty.
            inbound: The extracted context; ``None`` if there are no trace headers.
            send: The ``send`` of the request.
        """
        native = scope.get(NATIVE)
        span = base.get(SPAN_KEY)
        kind = getattr(span, "kind", None)
        if native is not None and getattr(native, "span", None) is not None:
            instrumentation = "FastAPI's own telemetry"
        elif kind is SpanKind.SERVER and not _is_ours(span):
            # In a call of this process to itself, the current span is a client span or a server span of ours.
            instrumentation = "another instrumentation"
        elif kind is SpanKind.INTERNAL and _is_below(span, inbound, known=scope.get(STARLETTE)):
            instrumentation = "another instrumentation"
        elif span is not None and is_served_by_contrib(send):
            instrumentation = (
                "another instrumentation"  # the spans of external providers do not expose their ancestors
            )
        else:
            return None
        if not self._has_reported:
            self._has_reported = True
            logger.info(
                "%s traces the application that this one is mounted in: it stays in charge of server spans",
                instrumentation,
            )
        return span


def _is_below(span: object, inbound: Inbound | None, *, known: object = False) -> bool:
    """Return whether an internal span is below a server span of the same request.

    Args:
        span: The span.
        inbound: The extracted context; ``None`` if there are no trace headers.
        known: True if the scope shows that there is a server span.
    """
    parent = getattr(span, "parent", None)
    if inbound is not None and parent is not None and parent.span_id == inbound.span_id:
        return False  # a call of this process to itself: the parent is the client span of the call
    if known or _scope_name(span) in _MIDDLEWARES:
        return True
    root = getattr(getattr(span, "local_trace", None), "root", None)
    return getattr(root, "kind", None) is SpanKind.SERVER and not _is_ours(root)


def _is_ours(span: object) -> bool:
    return _scope_name(span) == SERVER_SCOPE


def _scope_name(span: object) -> object:
    return getattr(getattr(span, "instrumentation_scope", None), "name", None)
