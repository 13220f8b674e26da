"""gRPC clients: a span for each call, and trace context in its metadata.

OpenTelemetry's interceptors (0.66b1) are replaced because of these defects:

- They do not know where the channel leads, so that an external host gets baggage and request ids.
- A call that streams responses becomes a generator, which is sent at the first read and has no ``cancel``, ``code`` and
  ``initial_metadata``.
- Of metadata with equal names only the last entry is sent.
- A call of ``grpc.aio`` whose request cannot be serialized never returns; a cancelled call has no span.
"""

from __future__ import annotations

import copy
import inspect
import os
from functools import partial
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import grpc
from opentelemetry.context import get_current
from opentelemetry.trace import SpanKind

from eco2_tracing._guard import guarded
from eco2_tracing._instrumentation.common.outgoing_headers import outgoing
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing._spans.blocks import GeneratorContext, finish, start
from eco2_tracing._untraced import is_suppressed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

    from eco2_tracing._instrumentation.common.outgoing_headers import Headers
    from eco2_tracing._instrumentation.common.replacement import Args, Instance, Kwargs, Patches, Wrapped

    class Details(Protocol):
        """A call's details: gRPC's own, or those of another interceptor."""

        method: str | bytes
        metadata: Headers | None

    Continuation = Callable[[Details, object], Instance]

_KINDS = ("UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream")
_METHODS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
_LOCAL_SCHEMES = frozenset({"unix", "unix-abstract", "vsock"})
_SCHEMES = frozenset({"dns", "ipv4", "ipv6"})
_STATUS_CODE = "rpc.grpc.status_code"
_NO_ERROR = ("OK", "CANCELLED")
"""A caller that needs no further response cancels the call."""


def hosts_of(target: str) -> tuple[str, ...]:
    """Return the hosts that a channel may connect to (https://grpc.github.io/grpc/core/md_doc_naming.html).

    Args:
        target: ``host:port``, ``dns:///host:port``, ``ipv6:[address]:port``, ``unix:path`` and the like.

    Returns:
        The host, or all of a list of addresses; ``localhost`` for local sockets.
    """
    scheme, colon, rest = target.partition(":")
    if colon and scheme in _LOCAL_SCHEMES:
        return ("localhost",)
    if "://" in target:
        target = urlsplit(target).path.lstrip("/")
    elif colon and scheme in _SCHEMES:
        target = rest
    return tuple(map(_without_port, target.split(",")))


def _without_port(address: str) -> str:
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address if address.count(":") > 1 else address.partition(":")[0]


class _Channel:
    """Traces the calls of one channel."""

    def __init__(self, target: str, excluded: frozenset[str]) -> None:
        self._hosts = hosts_of(target)
        self._excluded = excluded

    def start(self, details: Details) -> Span | None:
        """Start the span of a call; return ``None`` if the call is not traced."""
        if is_suppressed(get_current()):
            return None
        # grpc.aio passes bytes, https://github.com/grpc/grpc/issues/31092
        method = details.method.decode() if isinstance(details.method, bytes) else details.method
        service, _, name = method.lstrip("/").partition("/")
        if service in self._excluded:
            return None
        attributes: dict[str, AttributeValue] = {
            "rpc.system": "grpc",
            "rpc.service": service,
            "rpc.method": name,
            _STATUS_CODE: 0,
        }
        return start(method, SpanKind.CLIENT, attributes)

    def with_metadata(self, details: Details) -> Details:
        """Return a call's details with the current trace context in the metadata."""
        state = current.state
        with guarded("the metadata of an outgoing call"):
            metadata = details.metadata or ()
            if state is None:
                return _changed(details, outgoing(metadata, None))
            propagation = state.propagation
            external = (host for host in self._hosts if not propagation.is_internal_host(host))
            host = next(external, self._hosts[0])
            text: list[tuple[str, object]] = []
            binary: list[tuple[str, object]] = []
            for pair in metadata:
                name = pair[0].encode()
                is_binary = name.endswith(b"-bin") and name not in propagation.trace_headers
                (binary if is_binary else text).append(pair)
            return _changed(details, binary + outgoing(text, host))
        return details

    def intercept(self, continuation: Continuation, details: Details, request: object) -> Instance:
        """Make one call of ``grpc``; the call's end ends the span."""
        span = self.start(details)
        if span is None:
            return continuation(details, request)
        with GeneratorContext(span):
            call = continuation(self.with_metadata(details), request)
        if hasattr(call, "add_done_callback"):
            call.add_done_callback(partial(_ended, span))
        else:  # the result of another interceptor
            span.end()
        return call

    async def intercept_unary(
        self, continuation: Continuation, details: Details, request: object
    ) -> Instance:
        """Make one call of ``grpc.aio`` with a single response, and wait for its end."""
        span = self.start(details)
        if span is None:
            return await continuation(details, request)
        with GeneratorContext(span):
            call = await continuation(self.with_metadata(details), request)
            error = None
            try:
                await call
            except grpc.RpcError as raised:  # the caller gets it from the call
                error = raised
                span.set_attribute(_STATUS_CODE, raised.code().value[0])
            finish(span, error)
        return call

    async def intercept_stream(
        self, continuation: Continuation, details: Details, request: object
    ) -> Instance:
        """Make one call of ``grpc.aio`` that streams responses; the call's end ends the span."""
        span = self.start(details)
        if span is None:
            return await continuation(details, request)
        with GeneratorContext(span):
            call = await continuation(self.with_metadata(details), request)
        call.add_done_callback(partial(_ended_async, span))
        return call


def _changed(details: Details, pairs: list[tuple[str, object]]) -> Details:
    metadata = tuple(pairs)
    if hasattr(details, "_replace"):
        replaced: Details = details._replace(metadata=metadata)
        return replaced
    changed = copy.copy(details)
    changed.metadata = metadata
    return changed


def _ended(span: Span, call: Instance) -> None:
    """End the span of a call of ``grpc`` that is done."""
    error = None
    with guarded("the end of a gRPC call"):
        code = call.code()
        span.set_attribute(_STATUS_CODE, code.value[0])
        error = None if code.name in _NO_ERROR else call.exception()
    finish(span, error)


def _ended_async(span: Span, call: Instance) -> None:
    """End the span of a call of ``grpc.aio`` that is done."""
    error = None
    with guarded("the end of a gRPC call"):
        code = _result(call.code())
        span.set_attribute(_STATUS_CODE, code.value[0])
        if code.name not in _NO_ERROR:
            error = grpc.RpcError(f"{code.name}: {_result(call.details())}")
    finish(span, error)


def _result(coroutine: Coroutine[object, None, Instance]) -> Instance:
    """Return the result of a coroutine that does not wait: a call that is done has its status."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise RuntimeError("the call is not done")


def _interceptor(module: Instance, kinds: tuple[str, ...], intercept: Wrapped) -> object:
    bases = tuple(getattr(module, f"{kind}ClientInterceptor") for kind in kinds)
    return type("TracingInterceptor", bases, {f"intercept_{name}": intercept for name in _METHODS})()


def _excluded() -> frozenset[str]:
    names = os.environ.get("OTEL_PYTHON_GRPC_EXCLUDED_SERVICES", "")
    return frozenset(filter(None, (name.strip() for name in names.split(","))))


def instrument(patches: Patches) -> None:
    """Trace new channels of ``grpc``."""
    for name in ("insecure_channel", "secure_channel"):
        patches.wrap(grpc, name, _make_channel)


def instrument_aio(patches: Patches) -> None:
    """Trace new channels of ``grpc.aio``."""
    for name in ("insecure_channel", "secure_channel"):
        patches.wrap(grpc.aio, name, _make_aio_channel)


def _make_channel(wrapped: Wrapped, _: Instance, args: Args, kwargs: Kwargs) -> Instance:
    channel = wrapped(*args, **kwargs)
    with guarded("a channel of gRPC"):
        traced = _Channel(args[0] if args else kwargs["target"], _excluded())
        return grpc.intercept_channel(channel, _interceptor(grpc, _KINDS, traced.intercept))
    return channel


def _make_aio_channel(wrapped: Wrapped, _: Instance, args: Args, kwargs: Kwargs) -> Instance:
    with guarded("a channel of gRPC"):
        bound = inspect.signature(wrapped).bind(*args, **kwargs)
        traced = _Channel(bound.arguments["target"], _excluded())
        # gRPC uses an interceptor for one kind of calls. Those of the application come first: they may send again.
        ours = [
            _interceptor(
                grpc.aio,
                (kind,),
                traced.intercept_stream if kind.endswith("Stream") else traced.intercept_unary,
            )
            for kind in _KINDS
        ]
        bound.arguments["interceptors"] = [*(bound.arguments.get("interceptors") or ()), *ours]
        args, kwargs = bound.args, bound.kwargs
    return wrapped(*args, **kwargs)
