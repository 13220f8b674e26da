"""The server span: one object a request, whose attributes are collected when they are read."""

from __future__ import annotations

from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode

from eco2_tracing._guard import internal_failure
from eco2_tracing._instrumentation.common.captured_headers import is_event_stream, make_readable
from eco2_tracing._instrumentation.common.http_attributes import request_attributes, span_method
from eco2_tracing._instrumentation.common.isolation import send_last
from eco2_tracing._instrumentation.common.route import route_of
from eco2_tracing._instrumentation.server.failure import SERVER_ERROR, exception_left, server_error
from eco2_tracing._instrumentation.server.request_ids import Lazily, own_context
from eco2_tracing._spans.peer import Peer
from eco2_tracing._spans.span import Span
from eco2_tracing.logs._request import RequestState
from eco2_tracing.propagation import format_server_timing
from eco2_tracing.sampling._head.base import UNKNOWN
from eco2_tracing.sampling._tail.local_trace import HEAD, KEPT, UNDECIDED, LocalTrace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from eco2_tracing._instrumentation.common.state import InstrumentationState, Recording
    from eco2_tracing._spans.read_side import SpanSource
    from eco2_tracing.propagation import Inbound

    Message = dict[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

_ERROR = Status(StatusCode.ERROR)


class ServerSpan(Span, RequestState):
    """The span of one request or WebSocket connection, its ``send``, and what its log lines share.

    What the caller did not choose has neither a context nor a local trace of its own before
    something asks for them: a log line, a call, a child span, an error.

    Args:
        engine: The configuration in force.
        recording: How spans are made.
        inbound: What the request's headers said; ``None`` when nothing.
        scope: The ASGI scope.
        send: The server's ``send``.
        app: The instrumented application, for its routes.
    """

    _kind = SpanKind.SERVER

    # What most requests never set.
    _trailers = False
    _status_code: int | None = None
    _response_headers: Any = None
    _error_type: str | None = None
    _final_time: int | None = None
    _peer: Peer | None = None
    _closed = False

    def __init__(
        self,
        engine: InstrumentationState,
        recording: Recording,
        inbound: Inbound | None,
        scope: dict[str, Any],
        send: Send,
        app: Any,
    ) -> None:
        self._engine = engine
        self._recording = recording
        self._buffer = recording.tail_sampler.buffer
        self._inbound = inbound
        # As the request arrived: middleware may change the scope and its headers in place.
        arrived = {**scope}
        arrived["headers"] = tuple(scope["headers"])
        self.scope: Any = arrived
        self.routed: Any = scope
        self._send = send
        self._app = app
        self._start_time: int = time_ns()
        self.started = perf_counter_ns()

    _context: Any = Lazily(own_context)

    def _undecided(self) -> LocalTrace:
        """Begin the local trace, which the caller did not choose."""
        scope = self.scope
        if scope is None:  # another thread asked at the same time, and all is over
            return self.__dict__["_eco2_local"]  # type: ignore[no-any-return]
        trace_id = self._context.trace_id
        local = LocalTrace(
            self._buffer, UNDECIDED, trace_id, span_method(scope), UNKNOWN, self._start_time, False
        )
        local.monotonic = self.started
        self._lead(local, scope)
        belongs_to: LocalTrace = self.__dict__.setdefault("_eco2_local", local)
        if self._closed:
            belongs_to.finish()  # whatever asks now comes after a good end
        return belongs_to

    _eco2_local: Any = Lazily(_undecided)

    def belong(self, local: LocalTrace, context: SpanContext) -> None:
        """Be the root of a local trace that was begun already.

        Args:
            local: The local trace.
            context: The span's own context.
        """
        self._context = context  # no longer to be made
        self._eco2_local = local
        self._start_time, self.started = local.wall, local.monotonic
        self._lead(local, self.scope)

    def _lead(self, local: LocalTrace, scope: dict[str, Any]) -> None:
        local.root = self
        local.stream = scope["type"] == "websocket"

    @property
    def _source(self) -> SpanSource:  # type: ignore[override] # shared, not the span's own
        return self._recording.server

    def _now(self) -> int:
        return self._start_time + perf_counter_ns() - self.started

    @property
    def _parent(self) -> SpanContext | None:  # type: ignore[override]  # derived where the SDK stores
        inbound = self._inbound
        return inbound.span_context() if inbound is not None else None

    def watch(self, receive: Receive) -> Receive:
        """Note what the peer does; returns the ``receive`` to use."""
        self._peer = Peer(receive)
        return self._peer.receive

    # The response ------------------------------------------------------------------------------

    def forward(self, message: Message) -> Awaitable[None]:
        """Send a message on, and learn from it."""
        kind = message["type"]
        if kind == "http.response.start":
            try:
                message = self._started(message)
            except Exception:  # noqa: BLE001 - the request goes on
                internal_failure("reading a response's beginning")
                if not isinstance(self._status_code, int):
                    self._status_code = None  # the server will refuse it, too
        elif kind != "http.response.body":
            return self._other(kind, message)
        elif not message.get("more_body") and not self._trailers:
            if "_eco2_local" in self.__dict__:
                return self._last(message)
            self._final_time = self._now()
            return send_last(self._send, self, message)
        return self._send(message)

    async def _last(self, message: Message) -> None:
        await send_last(self._send, self, message)
        # The work of the request ends here; background tasks come after. Where an error was sent,
        # the exception behind it is still on its way, so the status waits for it.
        self._final_time = self._now()

    async def _other(self, kind: str, message: Message) -> None:
        if kind == "http.response.pathsend" or (
            kind == "http.response.trailers" and not message.get("more_trailers")
        ):
            await self._last(message)
            return
        try:
            await self._send(message)
        except OSError:
            if self._peer is not None:
                self._peer.has_left = True
            raise
        if kind == "websocket.send":
            self._status_code = 200  # contrib's reading: something was sent

    def _started(self, message: Message) -> Message:
        status = self._status_code = message["status"]
        engine = self._engine
        if "trailers" in message:
            self._trailers = bool(message["trailers"])
        if status < SERVER_ERROR and not engine.reads_responses:
            local = self.__dict__.get("_eco2_local")
            if local is None:
                return message  # nothing has happened
            headers = message.get("headers")
            if local.state == HEAD and type(headers) is list:
                # Its children do not wait for its end, and it is never slow.
                local.stream = is_event_stream(headers)
                return message
        return self._answered(engine, status, message)

    def _answered(self, engine: InstrumentationState, status: int, message: Message) -> Message:
        make_readable(message)
        if engine.server_response_headers is not None:
            self._response_headers = message.get("headers")
        local = self._eco2_local
        if status >= SERVER_ERROR:
            server_error(self, local)
        if local.sampled or local.buffer.slow:
            # Its children do not wait for its end, and it is never slow.
            local.stream = is_event_stream(message.get("headers"))
        added: list[tuple[bytes, bytes]] = []
        context = self._context
        inbound = self._inbound
        if local.state == KEPT and inbound is not None and inbound.trace_id and engine.trust_inbound:
            added.append((b"server-timing", format_server_timing(context.trace_id, context.span_id)))
        if engine.response_header is not None:
            added.append((engine.response_header, b"%032x" % context.trace_id))
        return {**message, "headers": [*message.get("headers", ()), *added]} if added else message

    # The end -----------------------------------------------------------------------------------

    def raised(self, exception: BaseException) -> None:
        """The application raised; called before the exception goes on to the server."""
        try:
            exception_left(self, exception)
        except BaseException:  # noqa: BLE001 - the exception that is raised is the application's
            internal_failure("the exception of a request")

    def close(self) -> None:
        """The application has returned or raised: end the span and let its local trace decide."""
        try:
            self._closed = True
            if "_eco2_local" not in self.__dict__:
                # Nothing happened. Whoever asks for the local trace from now on finds it closed.
                self._end_time = self._final_time or self._now()
            else:
                self._finish()
        except Exception:  # noqa: BLE001  # pragma: no cover - nothing known raises; the request would go on
            internal_failure("ending a server span")

    def _finish(self) -> None:
        if self._end_time is None:
            status = self._status_code
            if self._status.status_code is StatusCode.UNSET and status is not None and status >= SERVER_ERROR:
                self._status = _ERROR
            self._end_time = self._final_time or self._now()
        self._eco2_local.finish()
        if self._own is not None:
            self._let_go()

    def _let_go(self) -> None:
        """Keep nothing of the request while the span waits for its export: all is derived by now."""
        self.scope = self.routed = self._app = self._response_headers = self._peer = None
        self._send = _gone

    # What is derived ---------------------------------------------------------------------------

    def _route(self) -> str | None:
        return route_of(self.routed, self.scope, self._app)

    def _derive_name(self) -> str:
        method = span_method(self.scope)
        route = self._route()
        return f"{method} {route}" if route else method

    def _derive_attributes(self) -> dict[str, Any]:
        engine = self._engine
        attributes = request_attributes(self.scope, engine.redactor)
        route = self._route()
        if route:
            attributes["http.route"] = route
            if self._end_time is not None and self._final_name is None:
                self._final_name = f"{span_method(self.scope)} {route}"  # found once for both
        status = self._status_code
        if status is not None:
            attributes["http.response.status_code"] = status
        if self._error_type is not None:
            attributes["error.type"] = self._error_type
        elif status is not None and status >= SERVER_ERROR:
            attributes["error.type"] = str(status)
        if engine.server_request_headers is not None:
            attributes.update(engine.server_request_headers.attributes(self.scope["headers"]))
        if engine.server_response_headers is not None and self._response_headers is not None:
            attributes.update(engine.server_response_headers.attributes(self._response_headers))
        return attributes


async def _gone(message: Message) -> None:
    """Stand for the ``send`` of a request that is over: servers refuse such messages, too."""
    raise RuntimeError(
        f"Unexpected ASGI message {message['type']!r} sent, after the application has returned."
    )
