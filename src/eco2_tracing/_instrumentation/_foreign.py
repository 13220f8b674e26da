"""Requests under a tracer provider that somebody else installed: through the API alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

from eco2_tracing import logs
from eco2_tracing._guard import internal_failure
from eco2_tracing._instrumentation._route import route_of
from eco2_tracing._instrumentation._server_attributes import request_attributes, span_method
from eco2_tracing._spans._exceptions import exception_attributes

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

    from eco2_tracing._instrumentation._engine import Engine
    from eco2_tracing.propagation import Inbound

_SERVER_ERROR = 500


async def foreign_request(
    engine: Engine,
    tracer: Tracer,
    middleware: Any,
    scope: dict[str, Any],
    receive: Any,
    send: Any,
    inbound: Inbound | None,
) -> None:
    """Serve one connection with a span of the provider that is in charge.

    Args:
        engine: The configuration in force.
        tracer: The other provider's tracer.
        middleware: The calling middleware.
        scope: The ASGI scope.
        receive: The server's ``receive``.
        send: The server's ``send``.
        inbound: What the headers said.
    """
    base: Context = get_current()
    parent = base if inbound is None else engine.propagation.context(inbound, base)
    attributes = request_attributes(scope, engine.redactor)
    root_path = scope.get("root_path", "")
    span = tracer.start_span(span_method(scope), parent, SpanKind.SERVER, attributes)
    status: list[int] = []

    async def forward(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])
        await send(message)

    bound = logs.begin_request()
    token = attach(set_span_in_context(span, parent))
    try:
        await middleware.app(scope, receive, forward)
    except Exception as exception:
        _record(span, exception)
        raise
    finally:
        detach(token)
        logs.end_request(bound)
        try:
            _end(span, scope, route_of(scope, root_path, scope.get("app")), status)
        except Exception:  # noqa: BLE001 - the request is the application's
            internal_failure("ending a server span")


def _record(span: Span, exception: Exception) -> None:
    span.add_event("exception", exception_attributes(exception))
    span.set_attribute("error.type", type(exception).__qualname__)
    span.set_status(Status(StatusCode.ERROR))


def _end(span: Span, scope: dict[str, Any], route: str | None, status: list[int]) -> None:
    if route:
        span.set_attribute("http.route", route)
        span.update_name(f"{span_method(scope)} {route}")
    if status:
        span.set_attribute("http.response.status_code", status[0])
        if status[0] >= _SERVER_ERROR:
            span.set_status(Status(StatusCode.ERROR))
    span.end()
