"""OpenTelemetry's gRPC server interceptors: a handler that raises gets a span with an error.

The interceptors record the exception, but leave the span's status and ``rpc.grpc.status_code`` as those of a
successful call, so that the trace would not be kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry.trace import Status, StatusCode
from wrapt import register_post_import_hook

from eco2_tracing._compat.contrib import wrap_server_spans
from eco2_tracing._spans.exceptions import message

if TYPE_CHECKING:
    from types import ModuleType

    from opentelemetry.trace import Span

_MODULE = "opentelemetry.instrumentation.grpc._server"
_UNKNOWN = 2
"""The status that gRPC responds with for an exception, https://grpc.io/docs/guides/status-codes/."""


def patch_grpc_servers() -> None:
    """Patch the interceptors when they are imported. Safe to call twice."""
    register_post_import_hook(_patch, _MODULE)


def _patch(module: ModuleType) -> None:
    wrap_server_spans(getattr(module, "OpenTelemetryServerInterceptor", None), _set_error)


@contextmanager
def _set_error(span: Span) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not _is_abort(error):
            span.set_attribute("rpc.grpc.status_code", _UNKNOWN)
            span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {message(error)}"))
        raise


def _is_abort(error: Exception) -> bool:
    """Return True for the exception of ``context.abort``; the interceptors set the status that was passed to it."""
    return (type(error) is Exception and not error.args) or type(error).__name__ == "AbortError"
