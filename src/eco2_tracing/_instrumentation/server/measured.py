"""Measures requests: their duration, and how many are being served."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from eco2_tracing._guard import internal_failure
from eco2_tracing._instrumentation.common.http_attributes import KNOWN_METHODS, SERVER_ERROR, method_of
from eco2_tracing._instrumentation.common.measured import exported_span
from eco2_tracing._instrumentation.common.route import plain_route, route_of
from eco2_tracing._instrumentation.common.served_request import serve
from eco2_tracing._instrumentation.server.begin import UnrecordedRequest, UnrecordedSpan
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
        self._record = metrics.server.record
        self._began, self._ended = metrics.active.began, metrics.active.ended

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
        try:
            method, scheme = scope.get("method", ""), scope.get("scheme", "http")
            active = (
                method if method in KNOWN_METHODS else method_of(method),
                scheme if scheme in _SCHEMES else "_OTHER",
            )
            version, owner = scope.get("http_version"), scope.get("app")
            arrived: ReadScope = _UNMOUNTED
            if "app_root_path" in scope:
                arrived = {"app_root_path": scope["app_root_path"], "root_path": scope.get("root_path")}
            if type(request) is UnrecordedRequest:  # the others store the status themselves
                request.send = _Response(request).send  # type: ignore[method-assign] # of this request alone
            self._began(active)
        except Exception:  # noqa: BLE001 - as below; the request is served, and not measured
            internal_failure("measuring a request")
            await serve(app, request, scope, receive, base, context)
            return
        error: str | None = None
        try:
            await serve(app, request, scope, receive, base, context)
        except Exception as exception:
            error = _error_of(exception, request)
            raise
        finally:
            try:
                self._ended(active)
                status: int | None = request._status_code
                if error is None and status is not None and status >= SERVER_ERROR:
                    error = str(status)
                routed = request.routed or scope
                route = plain_route(routed) or route_of(routed, arrived, owner)
                seconds = ((request.response_end or perf_counter_ns()) - request.started) / 1e9
                span: Any = context.get(SPAN_KEY)
                exported = None if type(span) is UnrecordedSpan else exported_span(span)
                self._record((*active, route, status, version, error), seconds, exported)
            except Exception:  # noqa: BLE001 - runs for every request: a try costs less than `guarded`
                internal_failure("measuring a request")


def _error_of(exception: Exception, request: ServedRequest) -> str | None:
    """Return ``error.type`` of a request that raised; ``None`` if the peer caused the exception."""
    if is_peer_error(exception, request._send, getattr(request, "_peer", None)):
        return None
    return class_qualname(type(exception))


class _Response:
    """Stores the status of a response on its request.

    Args:
        request: The request.
    """

    __slots__ = ("_request", "_send")

    def __init__(self, request: ServedRequest) -> None:
        self._request = request
        self._send = request.send

    def send(self, message: Message) -> Awaitable[None]:
        """Send a message of the application."""
        if message["type"] == "http.response.start":
            status = message.get("status")
            self._request._status_code = status if isinstance(status, int) else None
        return self._send(message)
