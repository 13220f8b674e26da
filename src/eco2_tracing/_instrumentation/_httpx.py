"""httpx and httpx2: a client span for each attempt, and our headers in place of all others.

``Client._send_single_request`` is the one method that every attempt passes, redirects included,
whatever the transport and however early the client was made.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from opentelemetry.context import _RUNTIME_CONTEXT, Context, attach, get_current
from opentelemetry.trace import INVALID_SPAN
from wrapt import register_post_import_hook

from eco2_tracing._guard import internal_failure, warn_once
from eco2_tracing._instrumentation._client_begin import begin_span
from eco2_tracing._instrumentation._engine import current
from eco2_tracing._instrumentation._foreign_calls import begin_foreign_call
from eco2_tracing._instrumentation._outgoing import raw_headers, write_headers
from eco2_tracing._instrumentation._rivals import stay_in_charge
from eco2_tracing._instrumentation._suppressed import is_suppressed
from eco2_tracing.propagation import read_server_timing, read_trace_response
from eco2_tracing.propagation._inbound import INBOUND_KEY, SPAN_KEY
from eco2_tracing.sampling._local_trace import UNDECIDED, LocalTrace

if TYPE_CHECKING:
    from types import ModuleType

    from eco2_tracing._instrumentation._client_span import ClientSpan


MODULES = ("httpx", "httpx2")
_TEST_CLIENT = "_TestClientTransport"
_SERVER_ERROR = 500
_IN_PROCESS = frozenset({"ASGITransport", "WSGITransport"})
_hooked: set[str] = set()


def instrument_httpx() -> None:
    """Trace the calls of httpx and httpx2, of clients that exist as of those to come.

    Safe to call twice, and before either package is imported; a package that is not installed is
    left alone. ``configure_tracing`` calls it.
    """
    current.calls = True
    stay_in_charge()
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
            _detach(token)
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
            _detach(token)
        _answered(span, response)
        return response

    return send


def _detach(token: Any) -> None:
    """Take the span out of the context again.

    A coroutine that was abandoned, such as the body of a stream whose client has gone, is closed
    from another context. There is nothing to restore then, and nothing to report.
    """
    try:
        _RUNTIME_CONTEXT.detach(token)
    except ValueError:
        pass


def _begin(client: Any, request: Any) -> tuple[ClientSpan, Any] | None:
    """Write the headers of an attempt; begin its span where one can be kept."""
    engine = current.engine
    if engine is None or not current.calls:
        return None
    span: ClientSpan | None = None
    context = get_current()
    try:
        if _is_left_alone(client, request, context):
            return None
        caller: Any = context.get(SPAN_KEY, INVALID_SPAN)
        told = caller.get_span_context()
        recording = engine.recording
        if engine.excluded_calls is None or not engine.excluded_calls(str(request.url)):
            if recording is not None:
                span, told = begin_span(engine, recording, context, caller, told, request)
            elif engine.call_tracer is not None:
                return begin_foreign_call(engine, engine.call_tracer, context, request)
        write_headers(engine, request, told, context)
        if span is not None:
            return span, attach(Context({**context, SPAN_KEY: span}))
    except Exception:  # noqa: BLE001 - the call must go out
        internal_failure("an outgoing call")
        if span is not None:  # the call goes on: what is known of it is its answer
            return span, attach(context)
    return None


def _is_left_alone(client: Any, request: Any, context: Context) -> bool:
    """Whether a call is suppressed, or is a test's stand-in for a caller from outside.

    Starlette's ``TestClient`` always is one. A transport into an application of the same process is
    one where nothing is being traced: the headers that it carries are the test's own.
    """
    inside = False
    if context:
        if is_suppressed(context):
            return True
        inside = SPAN_KEY in context or INBOUND_KEY in context
    if getattr(client, "_is_instrumented_by_opentelemetry", False):
        return True  # contrib's ``instrument_client`` was called for this one
    transport = client._transport_for_url(request.url) if client._mounts else client._transport
    name = type(transport).__name__
    return name == _TEST_CLIENT or (not inside and name in _IN_PROCESS)


def _answered(span: ClientSpan, response: Any) -> None:
    try:
        local = span._eco2_local
        engine = span._engine
        captured = None
        if local.state == UNDECIDED or engine.client_response_headers is not None:
            raw = raw_headers(response.headers)
            if local.state == UNDECIDED:
                _hear(span, local, raw)
            if engine.client_response_headers is not None:
                captured = [(item[1], item[2]) for item in raw]
        span.answered(response.status_code, response.extensions, captured)
        if local.root is span:
            _finish_root(span, local)
    except Exception:  # noqa: BLE001 - the application must get its answer
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
        local = span._eco2_local
        if local.root is span:
            _finish_root(span, local)
    except Exception:  # noqa: BLE001 - the application must get its answer
        internal_failure("reading a failed call")


def _finish_root(span: ClientSpan, local: LocalTrace) -> None:
    status = span._status_code
    if status is not None and status >= _SERVER_ERROR:
        local.keep("error")
    local.finish()
