"""Injects headers into one attempt of a call of httpx, and begins and ends its span."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.context import Context, create_key
from opentelemetry.trace import INVALID_SPAN

from eco2_tracing._context import otel_context
from eco2_tracing._guard import internal_failure
from eco2_tracing._instrumentation.client.begin import begin_call
from eco2_tracing._instrumentation.client.measured import (
    MeasuredCall,
    begin_measuring,
    record_call,
    record_failed_call,
)
from eco2_tracing._instrumentation.client.sized import SizedCall
from eco2_tracing._instrumentation.client.transports import delegating
from eco2_tracing._instrumentation.common.http_attributes import Request
from eco2_tracing._instrumentation.common.outgoing_headers import inject_headers, response_header_items
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing._untraced import is_suppressed
from eco2_tracing.propagation import read_server_timing, read_trace_response
from eco2_tracing.propagation._inbound import INBOUND_KEY, SPAN_KEY
from eco2_tracing.sampling._tail.local_trace import UNDECIDED, LocalTrace

if TYPE_CHECKING:
    from contextvars import Token

    from eco2_tracing._instrumentation.client.call import ClientCall
    from eco2_tracing._instrumentation.common.state import ExternalAttempt, InstrumentationState

    Attempt = ClientCall | ExternalAttempt | MeasuredCall
    Begun = tuple[Attempt, Token[Context], "OuterCall | None"]


class Stream(Protocol):
    """The body of a response."""

    def __iter__(self) -> Iterator[bytes]: ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def close(self) -> None: ...

    def aclose(self) -> Awaitable[None]: ...


class Response(Protocol):
    """A response."""

    headers: object
    status_code: int
    extensions: dict[str, bytes]
    is_closed: bool
    stream: Stream


Send = Callable[[object, Request], Response]
"""A method of a client or transport that sends a request."""
AsyncSend = Callable[[object, Request], Awaitable[Response]]
Watch = Callable[["Response", "Attempt", bool], None]
"""Replaces the body of a response. The last argument is true if the body is encoded."""


_SWITCHING_PROTOCOLS = 101
_ENCODING = b"content-encoding"
_SERVER_TIMING = b"server-timing"
_LOOKED_FOR = frozenset({_ENCODING, _SERVER_TIMING, b"traceresponse"})
_OUTER_KEY = create_key("eco2-outer-call")


class OuterCall:
    """An attempt at an outer transport, which sends the request itself or passes it to an inner transport.

    Args:
        request: The request of httpx.
        kind: The transport's class.
        attempt: The attempt with its span, which the first inner transport takes over; ``None`` if the call must not
            be traced.
        context: The context around the call.
    """

    __slots__ = ("_host", "_method", "_path", "_untaken", "context", "kind", "span")

    def __init__(self, request: Request, kind: type, attempt: Attempt | None, context: Context) -> None:
        # No reference to the request: contexts may live long, and would keep its body in memory.
        self._method, self._host, self._path = request.method, request.url.host, request.url.path
        self._untaken: list[Attempt] = [] if attempt is None else [attempt]
        self.kind = kind
        self.span = None if attempt is None else attempt.span
        self.context = context

    def is_of(self, request: Request, context: Context) -> bool:
        """Return whether a request of an inner transport belongs to this call.

        A transport may send requests of its own, such as one for a token.
        """
        if request.method != self._method or (
            self.span is not None and context.get(SPAN_KEY) is not self.span
        ):
            return False
        return bool(request.url.host == self._host or request.url.path == self._path)

    def take(self) -> Attempt | None:
        """Return the attempt if no inner transport has taken it; ``None`` otherwise."""
        try:
            return self._untaken.pop()  # atomic: attempts may run in parallel
        except IndexError:
            return None


def begin(request: Request, in_process: bool, outer_kind: type | None = None) -> Begun | None:
    """Inject the headers of an attempt, and begin its span if it can be kept.

    Args:
        request: The request of httpx; its headers are changed.
        in_process: True if the transport calls an application of this process. Outside of a traced request such a
            call is a test of the application, and its headers are not changed.
        outer_kind: The transport's class if it may pass the request to an inner transport; ``None`` otherwise.

    Returns:
        The attempt, the token of its context, and the outer call if ``outer_kind`` is given; ``None`` if the attempt
        has no span.
    """
    state = current.state
    if state is None or not current.calls:
        return None
    context = otel_context.get()
    try:
        if context:
            if is_suppressed(context):
                return None
            outer: Any = context.get(_OUTER_KEY)
            if outer is not None and outer.is_of(request, context):
                return _begin_below(state, outer, request)
        if in_process and SPAN_KEY not in context and INBOUND_KEY not in context:
            return None
        attempt = _begin(state, request, context)
        if attempt is None:
            return None
        if state.metrics is not None:
            begin_measuring(attempt)
        inside = Context(context)  # one copy, which is changed before it is attached
        dict.__setitem__(inside, SPAN_KEY, attempt.span)
        outer = None
        if outer_kind is not None:
            outer = OuterCall(request, outer_kind, attempt, context)
            dict.__setitem__(inside, _OUTER_KEY, outer)
        return attempt, otel_context.set(inside), outer
    except Exception:  # noqa: BLE001 - the call is sent without a span
        internal_failure("an outgoing call")
    return None


def _begin(state: InstrumentationState, request: Request, context: Context) -> Attempt | None:
    attempt: Attempt | None = None
    try:
        parent_span: Any = context.get(SPAN_KEY, INVALID_SPAN)
        injected = parent_span.get_span_context()
        instrumenter = state.instrumenter
        if state.excluded_calls is None or not state.excluded_calls(str(request.url)):
            if instrumenter is not None:
                attempt, injected = begin_call(state, instrumenter, context, parent_span, injected, request)
            elif state.call_external is not None:
                attempt = state.call_external(state, context, request)
                injected = attempt.span.get_span_context()
            if attempt is None and state.metrics is not None:
                attempt = MeasuredCall(state, request, parent_span)
        inject_headers(state, request, injected, context)
    except Exception:  # noqa: BLE001 - the call is sent; the attempt is returned if it has begun
        internal_failure("an outgoing call")
    return attempt


def _begin_below(state: InstrumentationState, outer: OuterCall, request: Request) -> Begun | None:
    """Begin the attempt of an inner transport that got the request of an outer one."""
    if outer.span is None:
        return None
    delegating.add(outer.kind)
    context = outer.context
    attempt = outer.take()
    span = None if attempt is None else attempt.span
    if attempt is None or span is None:
        attempt = _begin(state, request, context)
        if attempt is None:
            return None
        if state.metrics is not None:
            begin_measuring(attempt)
    else:
        if state.metrics is not None:
            begin_measuring(attempt)
        attempt.restart(request)
        inject_headers(state, request, span.get_span_context(), context)
    return attempt, otel_context.set(Context({**context, SPAN_KEY: attempt.span})), None


def suppress_inner_spans(request: Request, kind: type) -> Token[Context]:
    """Attach a context in which inner transports do not trace a call; return its token.

    Another package traces the call.
    """
    context = otel_context.get()
    return otel_context.set(Context({**context, _OUTER_KEY: OuterCall(request, kind, None, context)}))


def answered(attempt: Attempt, response: Response, watch: Watch) -> None:
    """Record that a response has begun. The span ends with the body.

    Args:
        attempt: The attempt that ``begin`` returned.
        response: The response of httpx; its stream is replaced.
        watch: Replaces the stream. Its last argument is true if the body is encoded.
    """
    try:
        state = attempt.state
        items = response_header_items(response.headers)
        encoded, kept, local = False, None, attempt.local
        for item in items:
            if item[1] in _LOOKED_FOR:
                if item[1] == _ENCODING:
                    encoded = True
                elif local is not None and local.state == UNDECIDED:
                    is_timing = item[1] == _SERVER_TIMING
                    kept = kept or (
                        read_server_timing([item[2]]) if is_timing else read_trace_response(item[2])
                    )
        if kept is not None and local is not None:
            _keep_as_callee(attempt.state, local, attempt.url.host, kept)
        captured = None
        if state.client_response_headers is not None or current.sizes:
            captured = [(item[1], item[2]) for item in items]
        status = response.status_code
        attempt.answered(status, response.extensions, captured)
        if state.metrics is not None:
            record_call(state.metrics, attempt, status, response.extensions.get("http_version"))
        if response.is_closed or status == _SWITCHING_PROTOCOLS:
            finished(attempt)  # the body has been read, or there is none
        else:
            if current.sizes and isinstance(attempt, SizedCall):
                attempt.count(response)
            watch(response, attempt, encoded)
    except Exception:  # noqa: BLE001 - the application must get the response
        internal_failure("reading a response")
        finished(attempt)


def _keep_as_callee(
    state: InstrumentationState, local: LocalTrace, host: str, kept: tuple[int, int, bool]
) -> None:
    """Keep the local trace if an internal host reports that it kept its part of the trace."""
    if kept[0] == local.trace_id and kept[2] and state.propagation.is_internal_host(host):
        local.keep("upstream")


def finished(attempt: Attempt) -> None:
    """End the span of an attempt whose response has been read or closed."""
    try:
        attempt.finished()
    except Exception:  # noqa: BLE001 - the application must get the response
        internal_failure("reading a response")


def raised(attempt: Attempt, exception: BaseException) -> None:
    """End the span of an attempt that got no response or an incomplete body."""
    try:
        attempt.raised(exception)
        if attempt.state.metrics is not None and isinstance(exception, Exception):
            record_failed_call(attempt.state.metrics, attempt, exception)
    except Exception:  # noqa: BLE001 - the application must get the original exception
        internal_failure("reading a failed call")
