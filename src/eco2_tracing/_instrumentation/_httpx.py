"""httpx and httpx2: a client span for each attempt, and our headers in place of all others.

``Client._send_single_request`` is the one method that every attempt passes, redirects included,
whatever the transport and however early the client was made.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from opentelemetry.context import attach, detach, get_current
from opentelemetry.trace import SpanContext, get_current_span
from wrapt import register_post_import_hook

from eco2_tracing._guard import internal_failure, warn_once
from eco2_tracing._instrumentation._client_span import ClientSpan
from eco2_tracing._instrumentation._engine import current
from eco2_tracing._instrumentation._suppressed import is_suppressed
from eco2_tracing.propagation import read_server_timing, read_trace_response
from eco2_tracing.propagation._inbound import FLAGS, INBOUND_KEY, SPAN_KEY
from eco2_tracing.sampling._local_trace import UNDECIDED, LocalTrace
from eco2_tracing.sampling._tracestate import with_probability

if TYPE_CHECKING:
    from types import ModuleType

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from eco2_tracing._instrumentation._engine import Engine, Recording
    from eco2_tracing.propagation import Inbound

MODULES = ("httpx", "httpx2")
_HOSTS_LIMIT = 100
_IN_PROCESS = frozenset({"ASGITransport", "WSGITransport"})
_hooked: set[str] = set()


def instrument_httpx() -> None:
    """Trace the calls of httpx and httpx2, of clients that exist as of those to come.

    Safe to call twice, and before either package is imported; a package that is not installed is
    left alone. ``configure_tracing`` calls it.
    """
    current.calls = True
    for name in MODULES:
        if name not in _hooked:
            _hooked.add(name)
            register_post_import_hook(_patch, name)


def uninstrument_httpx() -> None:
    """Undo ``instrument_httpx``: calls pass untouched."""
    current.calls = False


def _patch(module: ModuleType) -> None:
    for class_name, wrap in (("Client", _wrap_sync), ("AsyncClient", _wrap_async)):
        client = getattr(module, class_name, None)
        original = getattr(client, "_send_single_request", None)
        if original is None:
            warn_once(
                f"httpx:{module.__name__}.{class_name}",
                "this version of %s has no %s._send_single_request: its calls are not traced",
                module.__name__,
                class_name,
            )
        else:
            client._send_single_request = wrap(original)  # type: ignore[union-attr]


def _wrap_sync(original: Any) -> Any:
    @functools.wraps(original)
    def send(self: Any, request: Any) -> Any:
        attempt = _begin(self, request)
        if attempt is None:
            return original(self, request)
        span, token = attempt
        try:
            response = original(self, request)
        except BaseException as exception:
            _raised(span, exception)
            raise
        finally:
            detach(token)
        _answered(span, response)
        return response

    return send


def _wrap_async(original: Any) -> Any:
    @functools.wraps(original)
    async def send(self: Any, request: Any) -> Any:
        attempt = _begin(self, request)
        if attempt is None:
            return await original(self, request)
        span, token = attempt
        try:
            response = await original(self, request)
        except BaseException as exception:
            _raised(span, exception)
            raise
        finally:
            detach(token)
        _answered(span, response)
        return response

    return send


def _begin(client: Any, request: Any) -> tuple[ClientSpan, Any] | None:
    """Write the headers of an attempt; begin its span where one can be kept."""
    engine = current.engine
    if engine is None or not current.calls:
        return None
    try:
        context = get_current()
        if _is_left_alone(client, context):
            return None
        span: ClientSpan | None = None
        caller = get_current_span(context)
        told = caller.get_span_context()
        if engine.recording is not None and not (engine.excluded_calls and engine.excluded_calls(str(request.url))):
            span, told = _begin_span(engine, engine.recording, context, caller, request)
        _write(engine, request, told, context)
        if span is None:
            return None
        return span, attach(_with_span(context, span))
    except Exception:
        internal_failure("an outgoing call")
        return None


def _is_left_alone(client: Any, context: Context) -> bool:
    """Whether a call is suppressed, or is a test's stand-in for a caller from outside.

    Starlette's ``TestClient`` always is one. A transport into an application of the same process is
    one where nothing is being traced: the headers that it carries are the test's own.
    """
    if context:
        if is_suppressed(context):
            return True
        inside = SPAN_KEY in context or INBOUND_KEY in context
    else:
        inside = False
    transport = type(client._transport).__name__
    return transport == "_TestClientTransport" or (not inside and transport in _IN_PROCESS)


def _with_span(context: Context, span: Span) -> Context:
    return type(context)({**context, SPAN_KEY: span})


def _begin_span(
    engine: Engine, recording: Recording, context: Context, caller: Span, request: Any
) -> tuple[ClientSpan | None, SpanContext]:
    parent = caller.get_span_context()
    local: LocalTrace | None = getattr(caller, "_eco2_local", None)
    root = False
    if local is None:
        if parent.is_valid and not parent.is_remote:
            return None, parent  # nothing of this trace can be kept
        inbound: Inbound | None = context.get(INBOUND_KEY)  # type: ignore[assignment]
        if inbound is not None and inbound.denied:
            return None, parent
        root = True
        local, trace_id = _local_root(recording, parent, inbound, request.method)
        if local is None:
            if not parent.is_valid:
                flags = FLAGS[recording.random_flag]
                parent = SpanContext(trace_id, recording.new_span_id(), False, flags)
            return None, parent
    elif not local.recording:
        return None, parent
    sampled = local.sampled
    trace_state = parent.trace_state if parent.is_valid else None
    if root and sampled and local.decided_here:
        trace_state = with_probability(trace_state, local.probability, local.trace_id)
    flags = parent.trace_flags & ~1 if parent.is_valid else recording.random_flag
    flags = FLAGS[(flags | sampled) & 3]
    own = SpanContext(local.trace_id, recording.new_span_id(), False, flags, trace_state)
    span = ClientSpan(
        engine, recording.client, own, parent if parent.is_valid else None, local, request.method, request.url
    )
    if engine.client_request_headers is not None:
        span._request_headers = request.headers.raw
    if root:
        local.root = span
        local.true_root = not parent.is_valid
    if recording.on_start is not None:
        recording.on_start(span, context)
    return span, own


def _local_root(
    recording: Recording, parent: SpanContext, inbound: Inbound | None, method: str
) -> tuple[LocalTrace | None, int]:
    """Begin the local trace of a call that no span is above, as in a worker or a script."""
    decided: bool | None = None
    trace_id = parent.trace_id
    if parent.is_valid:
        decided = inbound.sampled if inbound is not None else bool(parent.trace_flags.sampled)
    else:
        trace_id = recording.new_trace_id()
    return recording.rescuer.begin(trace_id, decided, method), trace_id


def _write(engine: Engine, request: Any, told: SpanContext, context: Context) -> None:
    """Take every trace header that we know from an attempt, and put ours there.

    The raw list is written: ``httpx.Headers`` costs ten times the whole rest.
    """
    propagation = engine.propagation
    host = request.url.host
    own = propagation.is_own_host(host)
    headers = request.headers._list
    pairs = propagation.rewrite([(item[0], item[2]) for item in headers], told, context, own=own)
    headers[:] = [(name, name.lower(), value) for name, value in pairs]
    if not own and told.is_valid and propagation.sends_externally and host not in engine.external_hosts and len(engine.external_hosts) < _HOSTS_LIMIT:
        engine.external_hosts[host] = None


def _answered(span: ClientSpan, response: Any) -> None:
    try:
        local = span._eco2_local
        raw = response.headers._list
        if local.state == UNDECIDED:
            _hear(span, local, raw)
        engine = span._engine
        captured = [(item[1], item[2]) for item in raw] if engine.client_response_headers is not None else None
        span.answered(response.status_code, response.extensions, captured)
        _finish_root(span, local)
    except Exception:
        internal_failure("reading a response")


def _hear(span: ClientSpan, local: LocalTrace, headers: Any) -> None:
    """Keep our part of a trace of which a callee of our own says that it kept its part."""
    told = None
    for item in headers:
        if item[1] == b"server-timing":
            told = told or read_server_timing([item[2]])
        elif item[1] == b"traceresponse":
            told = told or read_trace_response(item[2])
    if told is not None and told[0] == local.trace_id and told[2]:
        engine = span._engine
        if engine.propagation.is_own_host(span._url.host):
            local.keep("upstream")


def _raised(span: ClientSpan, exception: BaseException) -> None:
    try:
        span.raised(exception)
        _finish_root(span, span._eco2_local)
    except Exception:
        internal_failure("reading a failed call")


def _finish_root(span: ClientSpan, local: LocalTrace) -> None:
    if local.root is span:
        if span._status_code is not None and span._status_code >= 500:  # noqa: PLR2004 - the 5xx class
            local.keep("error")
        local.finish()
