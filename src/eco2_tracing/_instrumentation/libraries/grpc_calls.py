"""What contrib's interceptors make of a service's gRPC calls.

- A call that streams its answers became a generator: it was not sent before the first was asked for, and had no
  ``cancel``, ``code`` or ``initial_metadata``.
- Of metadata with one name twice the last was sent.
- A call of ``grpc.aio`` whose request cannot be written waited for good, and one that was cancelled had no span.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.trace import Status, StatusCode

from eco2_tracing._spans.scope import finish

_SYNC = "opentelemetry.instrumentation.grpc._client"
_ASYNC = "opentelemetry.instrumentation.grpc._aio_client"
_STATUS_CODE = "rpc.grpc.status_code"


class _Metadata:
    """Pairs that keep names which come twice.

    Args:
        pairs: The service's.
    """

    def __init__(self, pairs: Iterable[Any] = ()) -> None:
        self._pairs = list(pairs)

    def __setitem__(self, name: str, value: str) -> None:
        self._pairs = [pair for pair in self._pairs if pair[0] != name]
        self._pairs.append((name, value))

    def items(self) -> list[Any]:
        """Give the pairs."""
        return self._pairs


def patch_calls(name: str) -> None:
    """Mend contrib's interceptors of one kind; safe to call twice.

    Args:
        name: The instrumentation's.
    """
    if name == "grpc_client":
        module: Any = import_module(_SYNC)
        interceptor = module.OpenTelemetryClientInterceptor
        if not hasattr(interceptor, "_eco2_mended"):
            interceptor._eco2_mended = True
            module.OrderedDict = _Metadata
            interceptor.intercept_stream = _intercept_stream
    elif name == "grpc_aio_client":
        interceptor = import_module(_ASYNC)._BaseAioClientInterceptor
        if not hasattr(interceptor, "_eco2_settles"):
            interceptor._eco2_settles = True
            interceptor._wrap_unary_response = _settled(interceptor._wrap_unary_response)


def _intercept_stream(self: Any, request: Any, metadata: Any, client_info: Any, invoker: Any) -> Any:
    """Give the service the call itself, whose end ends the span."""
    if not is_instrumentation_enabled() or (self._filter is not None and not self._filter(client_info)):
        return invoker(request, metadata)
    if not client_info.is_server_stream:
        return self._intercept(request, metadata, client_info, invoker)
    module: Any = import_module(_SYNC)
    pairs = _Metadata(metadata or ())
    with self._start_span(client_info.full_method, end_on_exit=False) as span:
        module.inject(pairs, setter=module._carrier_setter)
        try:
            call = invoker(request, tuple(pairs.items()))
        except Exception:
            span.end()
            raise
    if hasattr(call, "add_done_callback"):
        call.add_done_callback(functools.partial(_ended, span))
    else:  # what another interceptor made of it
        span.end()
    return call


def _ended(span: Any, call: Any) -> None:
    code = call.code()
    span.set_attribute(_STATUS_CODE, code.value[0])
    # A service that has seen enough cancels the rest.
    if code.name not in ("OK", "CANCELLED"):
        span.set_status(Status(StatusCode.ERROR))
    span.end()


def _settled(original: Any) -> Any:
    """Wait for a call before its code is asked for: one that was never sent has none."""
    failure = import_module("grpc").RpcError

    @functools.wraps(original)
    async def wrapped(self: Any, continuation: Any, span: Any) -> Any:
        async def settled() -> Any:
            call = await continuation()
            try:
                await call
            except failure:
                pass  # its code tells
            return call

        try:
            return await original(self, settled, span)
        except BaseException as error:
            finish(span, None if isinstance(error, failure) else error)
            raise

    return wrapped
