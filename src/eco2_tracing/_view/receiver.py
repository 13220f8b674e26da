"""Receives spans and log records on the usual ports of this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import orjson
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from eco2_tracing._view.decode import document_of, parse
from eco2_tracing._view.zipkin import request_of_zipkin
from eco2_tracing.testing._faults import Fault
from eco2_tracing.testing._servers import MOST_BYTES, Export, serve_grpc, serve_http

if TYPE_CHECKING:
    from eco2_tracing._view.store import Store

GRPC_PORT, HTTP_PORT, ZIPKIN_PORT = 4317, 4318, 9411
"""The usual ports of OTLP/gRPC, OTLP/HTTP and Zipkin."""

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


class PortError(Exception):
    """A port is in use; the message says which and what to do."""


def port_error(port: int, option: str) -> PortError:
    """Return the error for a port in use, with the option that changes it."""
    return PortError(
        f"port {port} is in use; stop what listens there, such as Jaeger or a collector, or let {option} 0 choose one"
    )


class Receiver:
    """Receives OTLP over gRPC and HTTP, and Zipkin v2 JSON, and adds it to a store. It is a context manager.

    Args:
        store: The store.
        grpc_port: The port of OTLP/gRPC; 0 uses a free one.
        http_port: The port of OTLP/HTTP; 0 uses a free one.
        zipkin_port: The port of Zipkin; 0 uses a free one.
    """

    def __init__(
        self,
        store: Store,
        grpc_port: int = GRPC_PORT,
        http_port: int = HTTP_PORT,
        zipkin_port: int = ZIPKIN_PORT,
    ) -> None:
        self._store = store
        self.grpc_port = grpc_port
        self.http_port = http_port
        self.zipkin_port = zipkin_port
        self._stops: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        """Listen on the ports.

        Raises:
            PortError: One of them is in use.
        """
        refuse = self._store.refuse
        http = partial(serve_http, on_refused=partial(refuse, "requests that could not be decoded"))
        grpc = partial(
            serve_grpc,
            logs=True,
            most_bytes=MOST_BYTES,
            on_refused=partial(refuse, "messages over gRPC that are too large or incomplete"),
        )
        self.http_port = self._serve(http, self.http_port, "--http-port")
        self.zipkin_port = self._serve(http, self.zipkin_port, "--zipkin-port")
        self.grpc_port = self._serve(grpc, self.grpc_port, "--grpc-port")
        return self

    def _serve(self, serve: Callable[..., tuple[int, Callable[[], None]]], port: int, option: str) -> int:
        try:
            bound, stop = serve(port, self._handle, None)
        except (OSError, RuntimeError):
            self.__exit__()
            raise port_error(port, option) from None
        self._stops.append(stop)
        return bound

    def __exit__(self, *_exception: object) -> None:
        """Close the ports."""
        while self._stops:
            self._stops.pop()()

    def _handle(self, transport: str, path: str, headers: Mapping[str, str], body: bytes) -> Export:
        """Store one request."""
        if not _is_local(headers.get("origin", "")):
            self._store.refuse("requests of pages on other hosts")
            return Fault("PERMISSION_DENIED", 403, "pages of other hosts may not send spans"), b""
        is_json = headers.get("content-type", "").startswith("application/json")
        try:
            response = self._add(path, body, is_json=is_json)
        except ValueError as error:
            self._store.refuse("requests that could not be decoded")
            return Fault("INVALID_ARGUMENT", 400, str(error)), b""
        if response is None:
            return Fault("UNIMPLEMENTED", 404, f"nothing is at {path}"), b""
        return Fault(), orjson.dumps(document_of(response)) if is_json else response.SerializeToString()

    def _add(
        self, path: str, body: bytes, *, is_json: bool
    ) -> ExportTraceServiceResponse | ExportLogsServiceResponse | None:
        store = self._store
        if path == "/v1/logs":
            store.add_logs(parse(ExportLogsServiceRequest, body, is_json=is_json))
            return ExportLogsServiceResponse()
        if path == "/api/v2/spans":
            refused = store.add_traces(request_of_zipkin(body))
        elif path == "/v1/traces":
            refused = store.add_traces(parse(ExportTraceServiceRequest, body, is_json=is_json))
        else:
            return None
        response = ExportTraceServiceResponse()
        if refused:
            response.partial_success.rejected_spans = refused
            response.partial_success.error_message = "invalid ids, or a trace that is too large"
        return response


def _is_local(origin: str) -> bool:
    """Return True without an origin, and for the origin of a page of this machine."""
    try:
        return not origin or urlsplit(origin).hostname in LOCAL_HOSTS
    except ValueError:
        return False
