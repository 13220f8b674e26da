"""contrib's gRPC server interceptors, made to say that a handler which raises has failed.

They record the exception and leave the span's status and ``rpc.grpc.status_code`` as those of an answer that went
well, so that nobody would keep the trace, or find it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Status, StatusCode
from wrapt import register_post_import_hook

from eco2_tracing._guard import internal_failure
from eco2_tracing._spans.exceptions import message

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_MODULE = "opentelemetry.instrumentation.grpc._server"
_UNKNOWN = 2
"""What gRPC answers for an exception, https://grpc.io/docs/guides/status-codes/."""


def patch_grpc_servers() -> None:
    """Do it as soon as the interceptors are imported; safe to call twice."""
    register_post_import_hook(_patch, _MODULE)


def _patch(module: ModuleType) -> None:
    try:
        interceptor = module.OpenTelemetryServerInterceptor
        original = interceptor._start_span
        if hasattr(original, "__wrapped__"):
            return
    except AttributeError:  # private parts, which a new version may move
        internal_failure("telling failed calls of gRPC servers")
        return

    @functools.wraps(original)
    def start_span(self: Any, *arguments: Any, **keywords: Any) -> AbstractContextManager[Span]:
        return _told(original(self, *arguments, **keywords))

    interceptor._start_span = start_span


@contextmanager
def _told(begun: AbstractContextManager[Span]) -> Iterator[Span]:
    with begun as span:
        try:
            yield span
        except Exception as error:
            if not _is_abort(error):
                span.set_attribute("rpc.grpc.status_code", _UNKNOWN)
                span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {message(error)}"))
            raise


def _is_abort(error: Exception) -> bool:
    """``context.abort`` raises to leave the handler; the interceptors have the status that it was given."""
    return (type(error) is Exception and not error.args) or type(error).__name__ == "AbortError"
