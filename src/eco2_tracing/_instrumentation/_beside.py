"""Somebody else made the span of the request already, outside of the application that is instrumented."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanKind

from eco2_tracing._guard import logger
from eco2_tracing._instrumentation._server_span import ServerSpan
from eco2_tracing.propagation._inbound import SPAN_KEY

if TYPE_CHECKING:
    from opentelemetry.context import Context

_NATIVE = "fastapi.telemetry"


class Beside:
    """Tells whether a request has a server span already, and says so once."""

    __slots__ = ("_has_told",)

    def __init__(self) -> None:
        self._has_told = False

    def __call__(self, scope: dict[str, Any], base: Context) -> bool:
        """Look for the span of FastAPI's own telemetry, or of an instrumentation of the outer application.

        Args:
            scope: The ASGI scope.
            base: The context around the request; not empty.
        """
        native = scope.get(_NATIVE)
        span: Any = base.get(SPAN_KEY)
        if native is not None and getattr(native, "span", None) is not None:
            who = "FastAPI's own telemetry"
        elif getattr(span, "kind", None) is SpanKind.SERVER and type(span) is not ServerSpan:
            # A call of this process to itself has a client span around it, and our own requests are marked.
            who = "another instrumentation"
        else:
            return False
        if not self._has_told:
            self._has_told = True
            logger.info(
                "%s traces the application that this one is mounted in: it stays in charge of server spans",
                who,
            )
        return True
