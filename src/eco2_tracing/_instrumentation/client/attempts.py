"""One attempt of a call of httpx: its headers and its span, from the request to the end of the response's body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context, create_key
from opentelemetry.trace import INVALID_SPAN

from eco2_tracing._context import otel_context, reset
from eco2_tracing._guard import internal_failure
from eco2_tracing._instrumentation.client.begin import begin_call
from eco2_tracing._instrumentation.client.transports import passing
from eco2_tracing._instrumentation.common.outgoing_headers import raw_headers, write_headers
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing._suppression import is_suppressed
from eco2_tracing.propagation import read_server_timing, read_trace_response
from eco2_tracing.propagation._inbound import INBOUND_KEY, SPAN_KEY
from eco2_tracing.sampling._tail.local_trace import UNDECIDED, LocalTrace

if TYPE_CHECKING:
    from contextvars import Token

    from eco2_tracing._instrumentation.client.interfaces import Attempt, Response, Watch
    from eco2_tracing._instrumentation.common.http_attributes import Request
    from eco2_tracing._instrumentation.common.state import InstrumentationState

    Begun = tuple[Attempt, Token[Context], "Outer | None"]

_SWITCHING_PROTOCOLS = 101
_ENCODING = b"content-encoding"
_SERVER_TIMING = b"server-timing"
_LOOKED_FOR = frozenset({_ENCODING, _SERVER_TIMING, b"traceresponse"})
_OUTER_KEY = create_key("eco2-outer-call")


class Outer:
    """A call at a transport of which is not known whether it sends the request or hands it on.

    Args:
        request: httpx's.
        kind: The transport's class.
        attempt: Its span, which the first transport below takes over; ``None`` where the call is left alone.
        context: The context around it.
    """

    __slots__ = ("_free", "_host", "_method", "_path", "context", "kind", "span")

    def __init__(self, request: Request, kind: type, attempt: Attempt | None, context: Context) -> None:
        # No reference to the request: contexts may live longer than its body should.
        self._method, self._host, self._path = request.method, request.url.host, request.url.path
        self._free: list[Attempt] = [] if attempt is None else [attempt]
        self.kind = kind
        self.span = None if attempt is None else attempt.span
        self.context = context

    def is_of(self, request: Request, context: Context) -> bool:
        """Return whether a request below is this call: one that a transport makes for itself is another."""
        if request.method != self._method or (
            self.span is not None and context.get(SPAN_KEY) is not self.span
        ):
            return False
        return bool(request.url.host == self._host or request.url.path == self._path)

    def take(self) -> Attempt | None:
        """Return the span for the first attempt below; ``None`` for the later ones, and where there is none."""
        try:
            return self._free.pop()  # atomic: attempts may run in parallel
        except IndexError:
            return None


def begin(request: Request, in_process: bool, outer_kind: type | None = None) -> Begun | None:
    """Write the headers of an attempt; begin its span where one can be kept.

    Args:
        request: httpx's; its headers are changed.
        in_process: Whether the transport calls an application of this process. Where no request is traced
            such a call stands for one from outside, and its headers are its own.
        outer_kind: The transport's class, where it may hand the request on to another transport.

    Returns:
        The attempt, the token of its context, and what stands for it where it may be handed on.
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
        inside = Context(context)  # one copy; a context is not changed once it is attached
        dict.__setitem__(inside, SPAN_KEY, attempt.span)
        outer = None
        if outer_kind is not None:
            outer = Outer(request, outer_kind, attempt, context)
            dict.__setitem__(inside, _OUTER_KEY, outer)
        return attempt, otel_context.set(inside), outer
    except Exception:  # noqa: BLE001 - the call must go out
        internal_failure("an outgoing call")
    return None


def _begin(state: InstrumentationState, request: Request, context: Context) -> Attempt | None:
    attempt: Attempt | None = None
    try:
        caller: Any = context.get(SPAN_KEY, INVALID_SPAN)
        injected = caller.get_span_context()
        recording = state.recording
        if state.excluded_calls is None or not state.excluded_calls(str(request.url)):
            if recording is not None:
                attempt, injected = begin_call(state, recording, context, caller, injected, request)
            elif state.call_external is not None:
                attempt = state.call_external(state, context, request)
                injected = attempt.span.get_span_context()
        write_headers(state, request, injected, context)
    except Exception:  # noqa: BLE001 - the call goes on: what is known of it is its answer
        internal_failure("an outgoing call")
    return attempt


def _begin_below(state: InstrumentationState, outer: Outer, request: Request) -> Begun | None:
    """Begin the attempt of a transport that was handed the request of an outer one."""
    if outer.span is None:
        return None
    passing.add(outer.kind)
    context = outer.context
    attempt = outer.take()
    span = None if attempt is None else attempt.span
    if attempt is None or span is None:
        attempt = _begin(state, request, context)
        if attempt is None:
            return None
    else:
        attempt.restart(request)
        write_headers(state, request, span.get_span_context(), context)
    return attempt, otel_context.set(Context({**context, SPAN_KEY: attempt.span})), None


def leave_alone(request: Request, kind: type) -> Token[Context]:
    """Keep the transports below from tracing a call that another package traces; return the context's token."""
    context = otel_context.get()
    return otel_context.set(Context({**context, _OUTER_KEY: Outer(request, kind, None, context)}))


def detach(token: Token[Context]) -> None:
    """Take the span out of the context again.

    A coroutine that was abandoned, such as the body of a stream whose client has gone, is closed
    from another context. There is nothing to restore then, and nothing to report.
    """
    reset(token)


def answered(attempt: Attempt, response: Response, watch: Watch) -> None:
    """Note that a response has begun; its span ends with the body.

    Args:
        attempt: What ``begin`` returned.
        response: httpx's; its stream is replaced.
        watch: Replaces it; is passed whether the body is encoded.
    """
    try:
        state = attempt.state
        raw = raw_headers(response.headers)
        encoded, kept, local = False, None, attempt.local
        for item in raw:
            if item[1] in _LOOKED_FOR:
                if item[1] == _ENCODING:
                    encoded = True
                elif local is not None and local.state == UNDECIDED:
                    kept = kept or _kept_trace(item[1], item[2])
        if kept is not None and local is not None:
            _keep_as_callee(attempt.state, local, attempt.url.host, kept)
        captured = None
        if state.client_response_headers is not None:
            captured = [(item[1], item[2]) for item in raw]
        status = response.status_code
        attempt.answered(status, response.extensions, captured)
        if response.is_closed or status == _SWITCHING_PROTOCOLS:
            finished(attempt)  # the body has been read already, or there is none
        else:
            watch(response, attempt, encoded)
    except Exception:  # noqa: BLE001 - the application must get its answer
        internal_failure("reading a response")
        finished(attempt)


def _kept_trace(name: bytes, value: bytes) -> tuple[int, int, bool] | None:
    """Read what a callee says of its part of the trace."""
    return read_server_timing([value]) if name == _SERVER_TIMING else read_trace_response(value)


def _keep_as_callee(
    state: InstrumentationState, local: LocalTrace, host: str, kept: tuple[int, int, bool]
) -> None:
    """Keep our part of a trace of which an internal callee says that it kept its part."""
    if kept[0] == local.trace_id and kept[2] and state.propagation.is_internal_host(host):
        local.keep("upstream")


def finished(attempt: Attempt) -> None:
    """End the span of an attempt whose response has been read or closed."""
    try:
        attempt.finished()
    except Exception:  # noqa: BLE001 - the application must get its answer
        internal_failure("reading a response")


def raised(attempt: Attempt, exception: BaseException) -> None:
    """End the span of an attempt that got no response, or whose body broke off."""
    try:
        attempt.raised(exception)
    except Exception:  # noqa: BLE001 - the application must get its answer
        internal_failure("reading a failed call")
