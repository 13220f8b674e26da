"""The server span: one object a request, whose attributes are collected when they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanKind, Status, StatusCode

from eco2_tracing._guard import internal_failure
from eco2_tracing._instrumentation._route import route_of
from eco2_tracing._instrumentation._server_attributes import request_attributes, span_method
from eco2_tracing._spans._exceptions import message
from eco2_tracing._spans._lean import LeanSpan
from eco2_tracing.propagation import format_server_timing
from eco2_tracing.sampling._local_trace import KEPT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from opentelemetry.trace import SpanContext

    from eco2_tracing._instrumentation._engine import Engine
    from eco2_tracing._spans._lean import SpanSource
    from eco2_tracing.propagation import Inbound
    from eco2_tracing.sampling._local_trace import LocalTrace

    Message = dict[str, Any]
    Send = Callable[[Message], Awaitable[None]]

_ERROR = Status(StatusCode.ERROR)
_SERVER_ERROR = 500


class ServerSpan(LeanSpan):
    """The span of one request or WebSocket connection, and its ``send``.

    Args:
        engine: The configuration in force.
        source: What all server spans share.
        context: The span's own context.
        inbound: What the request's headers said; ``None`` when nothing.
        local: The local trace that this span is the root of.
        scope: The ASGI scope.
        send: The server's ``send``.
        app: The instrumented application, for its routes.
    """

    _kind = SpanKind.SERVER

    # What most requests never set.
    _complete = False
    _trailers = False
    _status_code: int | None = None
    _response_headers: Any = None
    _exception: BaseException | None = None
    _final_time: int | None = None

    def __init__(
        self,
        engine: Engine,
        source: SpanSource,
        context: SpanContext,
        inbound: Inbound | None,
        local: LocalTrace,
        scope: dict[str, Any],
        send: Send,
        app: Any,
    ) -> None:
        self._engine = engine
        self._source = source
        self._context = context
        self._inbound = inbound
        self._eco2_local = local
        self._scope: Any = scope
        self._send = send
        self._app = app
        self._root_path = scope.get("root_path", "")
        self._start_time = local.now()

    @property
    def _parent(self) -> SpanContext | None:  # type: ignore[override]  # derived where the SDK stores
        inbound = self._inbound
        return inbound.span_context() if inbound is not None else None

    @property
    def parent(self) -> SpanContext | None:
        """The caller's context."""
        return self._parent

    # The response ------------------------------------------------------------------------------

    async def forward(self, message: Message) -> None:
        """Send a message on, and learn from it."""
        kind = message["type"]
        if kind == "http.response.start":
            try:
                message = self._started(message)
            except Exception:  # noqa: BLE001 - the request goes on
                internal_failure("reading a response's beginning")
            await self._send(message)
        elif kind == "http.response.body":
            await self._send(message)
            if not message.get("more_body") and not self._trailers:
                self._completed()
        else:
            await self._send(message)
            self._other(kind, message)

    def _started(self, message: Message) -> Message:
        status = self._status_code = message["status"]
        local = self._eco2_local
        if status >= _SERVER_ERROR:
            local.keep("error")
        engine = self._engine
        self._trailers = bool(message.get("trailers"))
        if engine.server_response_headers is not None:
            self._response_headers = message.get("headers")
        if local.sampled or local.keeper.slow:
            # Its children do not wait for its end, and it is never slow.
            local.stream = _is_event_stream(message.get("headers"))
        added: list[tuple[bytes, bytes]] = []
        context = self.get_span_context()
        inbound = self._inbound
        if local.state == KEPT and inbound is not None and inbound.trace_id and engine.trust_inbound:
            added.append((b"server-timing", format_server_timing(context.trace_id, context.span_id)))
        if engine.response_header is not None:
            added.append((engine.response_header, b"%032x" % context.trace_id))
        return {**message, "headers": [*message.get("headers", ()), *added]} if added else message

    def _other(self, kind: str, message: Message) -> None:
        if kind == "http.response.trailers":
            if not message.get("more_trailers"):
                self._completed()
        elif kind == "http.response.pathsend":
            self._completed()
        elif kind == "websocket.send":
            self._status_code = 200  # contrib's reading: something was sent

    def _completed(self) -> None:
        # The work of the request ends here; background tasks come after. Where an error was sent,
        # the exception behind it is still on its way, so the status waits for it.
        self._complete = True
        if self._end_time is None:
            self._final_time = self._eco2_local.now()

    # The end -----------------------------------------------------------------------------------

    def raised(self, exception: BaseException) -> None:
        """The application raised; called before the exception goes on to the server."""
        # Task groups wrap what one task raised; today's Starlette unwraps it like this, that of FastAPI 0.115 does not.
        while isinstance(exception, BaseExceptionGroup) and len(exception.exceptions) == 1:
            exception = exception.exceptions[0]
        if not isinstance(exception, Exception) or self._is_normal_close(exception):
            return
        status = self._status_code
        if self._complete and (status is None or status < _SERVER_ERROR):
            # After a good response: a background task's error, which has a span of its own.
            self._eco2_local.keep("error")
            return
        if not self._eco2_local.keep("error") or self._end_time is not None:
            return
        self._exception = exception
        self.record_exception(exception, timestamp=self._final_time or self._eco2_local.now())
        if not self._complete:
            self._status = Status(StatusCode.ERROR, f"{type(exception).__name__}: {message(exception)}")

    def _is_normal_close(self, exception: BaseException) -> bool:
        return self._scope["type"] == "websocket" and getattr(exception, "code", None) in (1000, 1001)

    def close(self) -> None:
        """The application has returned or raised: end the span and let its local trace decide."""
        try:
            if self._end_time is None:
                status = self._status_code
                if (
                    self._status.status_code is StatusCode.UNSET
                    and status is not None
                    and status >= _SERVER_ERROR
                ):
                    self._status = _ERROR
                self._end_time = self._final_time or self._eco2_local.now()
            self._eco2_local.finish()
            if self._own is not None:
                self._let_go()
        except Exception:  # noqa: BLE001 - the request goes on
            internal_failure("ending a server span")

    def _let_go(self) -> None:
        """Keep nothing of the request while the span waits for its export: all is derived by now."""
        self._scope = self._app = self._response_headers = None
        self._send = _gone

    # What is derived ---------------------------------------------------------------------------

    def _route(self) -> str | None:
        return route_of(self._scope, self._root_path, self._app)

    def _derive_name(self) -> str:
        method = span_method(self._scope)
        route = self._route()
        return f"{method} {route}" if route else method

    def _derive_attributes(self) -> dict[str, Any]:
        engine = self._engine
        attributes = request_attributes(self._scope, engine.redactor)
        route = self._route()
        if route:
            attributes["http.route"] = route
        status = self._status_code
        if status is not None:
            attributes["http.response.status_code"] = status
        if self._exception is not None:
            attributes["error.type"] = type(self._exception).__qualname__
        elif status is not None and status >= _SERVER_ERROR:
            attributes["error.type"] = str(status)
        if engine.server_request_headers is not None:
            attributes.update(engine.server_request_headers.attributes(self._scope["headers"]))
        if engine.server_response_headers is not None and self._response_headers is not None:
            attributes.update(engine.server_response_headers.attributes(self._response_headers))
        return attributes


async def _gone(message: Message) -> None:
    """Stand for the ``send`` of a request that is over: servers refuse such messages, too."""
    raise RuntimeError(
        f"Unexpected ASGI message {message['type']!r} sent, after the application has returned."
    )


def _is_event_stream(headers: Any) -> bool:
    for name, value in headers or ():
        if name == b"content-type":
            return bool(value.startswith(b"text/event-stream"))
    return False
