"""Measures requests: their duration, and how many are being served."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING

from eco2_tracing._guard import internal_failure
from eco2_tracing._instrumentation.common.http_attributes import SERVER_ERROR, method_of
from eco2_tracing._instrumentation.common.measured import exported_span
from eco2_tracing._instrumentation.common.route import route_of
from eco2_tracing._instrumentation.common.served_request import serve
from eco2_tracing._spans.peer import is_peer_error
from eco2_tracing._spans.sanitize import class_qualname
from eco2_tracing.propagation._inbound import SPAN_KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from opentelemetry.context import Context

    from eco2_tracing._instrumentation.common.http_attributes import (
        ASGIApp,
        Message,
        ReadScope,
        Receive,
        Scope,
        Send,
    )
    from eco2_tracing._instrumentation.common.served_request import ServedRequest
    from eco2_tracing.metrics._http import HttpMetrics

_SCHEMES = frozenset({"http", "https"})
_UNMOUNTED: Mapping[str, object] = {}


class MeasuredServing:
    """Serves requests as `serve` does, and measures them.

    Args:
        metrics: Records the measurements.
    """

    def __init__(self, metrics: HttpMetrics) -> None:
        self._duration, self._active, _ = metrics

    async def serve(
        self,
        app: ASGIApp,
        request: ServedRequest,
        scope: Scope,
        receive: Receive,
        base: Context,
        context: Context,
    ) -> None:
        """Serve one request or WebSocket connection. The conventions have no metrics for the latter."""
        if scope["type"] != "http":
            await serve(app, request, scope, receive, base, context)
            return
        method, scheme = method_of(scope.get("method", "")), scope.get("scheme", "http")
        active = (method, scheme if scheme in _SCHEMES else "_OTHER")
        version, owner = scope.get("http_version"), scope.get("app")
        arrived: ReadScope = _UNMOUNTED
        if "app_root_path" in scope:
            arrived = {"app_root_path": scope["app_root_path"], "root_path": scope.get("root_path")}
        response = _Response(request.send)
        request.send = response.send  # type: ignore[method-assign] # of this request alone
        self._active.add(active, 1)
        error: str | None = None
        try:
            await serve(app, request, scope, receive, base, context)
        except Exception as exception:
            if not is_peer_error(exception, request._send, getattr(request, "_peer", None)):
                error = class_qualname(type(exception))
            raise
        finally:
            try:
                self._active.add(active, -1)
                status = response.status
                if error is None and status is not None and status >= SERVER_ERROR:
                    error = str(status)
                route = route_of(request.routed or scope, arrived, owner)
                seconds = ((request.response_end or perf_counter_ns()) - request.started) / 1e9
                self._duration.record(
                    (*active, route, status, version, error), seconds, exported_span(context.get(SPAN_KEY))
                )
            except Exception:  # noqa: BLE001 - runs for every request: a try costs less than `guarded`
                internal_failure("measuring a request")


class _Response:
    """Reads the status of a response.

    Attributes:
        status: The status; ``None`` before the response begins.
    """

    __slots__ = ("_send", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None

    def send(self, message: Message) -> Awaitable[None]:
        """Send a message of the application."""
        if message["type"] == "http.response.start":
            status = message.get("status")
            self.status = status if isinstance(status, int) else None
        return self._send(message)
