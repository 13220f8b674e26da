"""Requests under a tracer provider that somebody else installed: through the API alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Link, SpanKind, Status, StatusCode, set_span_in_context

from eco2_tracing._context import otel_context, reset
from eco2_tracing._guard import internal_failure
from eco2_tracing._instrumentation.applications import call_hook
from eco2_tracing._instrumentation.common.captured_headers import make_readable
from eco2_tracing._instrumentation.common.http_attributes import request_attributes, span_method
from eco2_tracing._instrumentation.common.isolation import isolated
from eco2_tracing._instrumentation.common.route import route_of
from eco2_tracing._spans.exceptions import exception_attributes, message
from eco2_tracing._spans.peer import Peer, is_for_nobody, is_peer_end
from eco2_tracing.logs._request import begin_request, current_request, end_request

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

    from eco2_tracing._instrumentation.common.state import InstrumentationState
    from eco2_tracing.propagation import Inbound

_SERVER_ERROR = 500


async def external_request(
    engine: InstrumentationState,
    tracer: Tracer,
    middleware: Any,
    scope: dict[str, Any],
    receive: Any,
    send: Any,
    base: Context,
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
        base: The context around the request.
        inbound: What the headers said.
    """
    parent = base if inbound is None else engine.propagation.context(inbound, base)
    arrived = {**scope}
    span = _start(engine, tracer, scope, parent, inbound)
    if middleware._hook is not None and span.is_recording():
        call_hook(middleware._hook, span, scope)
    status: list[int] = []

    async def forward(answer: dict[str, Any]) -> None:
        if answer["type"] == "http.response.start":
            try:
                if answer["status"] < _SERVER_ERROR or not is_for_nobody(server_send, peer):
                    status.append(answer["status"])
                answer = _answered(engine, span, answer)
            except Exception:  # noqa: BLE001 - the request goes on
                internal_failure("reading a response's beginning")
        await send(answer)

    bound = begin_request(scope)
    request = current_request.get()
    token = otel_context.set(set_span_in_context(span, parent))
    server_send = send
    receive, send = isolated(receive, send, base, bound)
    peer = Peer(receive)
    try:
        await middleware.app(scope, peer.receive, forward)
    except Exception as exception:
        if not is_peer_end(exception, server_send, peer):
            _record(engine, span, exception)
        raise
    finally:
        routed = (request and request.routed) or scope
        reset(token)
        end_request(bound)
        try:
            _end(span, arrived, route_of(routed, arrived, routed.get("app")), status)
        except Exception:  # noqa: BLE001 - the answer has been sent
            internal_failure("ending a server span")


def _start(
    engine: InstrumentationState,
    tracer: Tracer,
    scope: dict[str, Any],
    parent: Context,
    inbound: Inbound | None,
) -> Span:
    attributes: dict[str, Any] = request_attributes(scope, engine.redactor)
    if engine.server_request_headers is not None:
        attributes.update(engine.server_request_headers.attributes(scope["headers"]))
    links = [Link(inbound.link)] if inbound is not None and inbound.link is not None else None
    return tracer.start_span(span_method(scope), parent, SpanKind.SERVER, attributes, links)


def _answered(engine: InstrumentationState, span: Span, answer: dict[str, Any]) -> dict[str, Any]:
    make_readable(answer)
    if engine.server_response_headers is not None:
        span.set_attributes(engine.server_response_headers.attributes(answer.get("headers", ())))
    if engine.response_header is None:
        return answer
    trace_id = b"%032x" % span.get_span_context().trace_id
    return {**answer, "headers": [*answer.get("headers", ()), (engine.response_header, trace_id)]}


def _record(engine: InstrumentationState, span: Span, exception: Exception) -> None:
    context = span.get_span_context()
    try:
        # The server logs its traceback when the context is gone.
        exception.__eco2_trace_ids__ = (context.trace_id, context.span_id)  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001, S110 - an exception class without room for attributes
        pass
    attributes = exception_attributes(exception)
    masked: Any = engine.redactor.attributes(attributes)
    span.add_event("exception", masked or attributes)
    span.set_attribute("error.type", type(exception).__qualname__)
    description = engine.redactor.text(f"{type(exception).__name__}: {message(exception)}")
    span.set_status(Status(StatusCode.ERROR, description))


def _end(span: Span, scope: dict[str, Any], route: str | None, status: list[int]) -> None:
    if route:
        span.set_attribute("http.route", route)
        span.update_name(f"{span_method(scope)} {route}")
    if status:
        span.set_attribute("http.response.status_code", status[0])
        if status[0] >= _SERVER_ERROR:
            _failed(span, status[0])
    span.end()


def _failed(span: Span, status: int) -> None:
    # An exception has said more already.
    recorded: Any = getattr(span, "status", None)
    if recorded is None or recorded.status_code is StatusCode.UNSET:
        span.set_attribute("error.type", str(status))
        span.set_status(Status(StatusCode.ERROR))
