"""An OTLP receiver inside a test's own process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Self

from eco2_tracing._errors import MissingExtraError
from eco2_tracing.testing._faults import OK, Fault, FaultPlan, ReceivedRequest
from eco2_tracing.testing._servers import (
    LOOPBACK,
    Answer,
    Handle,
    TlsFiles,
    serve_grpc,
    serve_http,
)
from eco2_tracing.testing._store import SpanStore
from eco2_tracing.testing._zipkin import spans_of_zipkin

if TYPE_CHECKING:
    from eco2_tracing.testing._model import ReceivedSpan

# What OTLP is spoken with.
_PACKAGES = ("grpc", "opentelemetry.proto", "google.rpc")


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # its parent is not there either
        return False


class OtlpReceiver(SpanStore):
    """Receives spans as a collector does, on free loopback ports, and holds them.

    OTLP comes in over gRPC and over HTTP as protobuf, both plain or gzipped; the HTTP port
    also takes Zipkin v2 JSON at ``/api/v2/spans``, for the proxies of a mesh. Use it as a
    context manager, or call :meth:`start` and :meth:`stop`; stopped and started again it
    listens on the same ports.

    Args:
        grpc_port: Port for gRPC; 0 takes a free one.
        http_port: Port for HTTP; 0 takes a free one.
        tls: PEM files to serve TLS with; ``None`` serves plain text.
    """

    def __init__(self, *, grpc_port: int = 0, http_port: int = 0, tls: TlsFiles | None = None) -> None:
        super().__init__()
        self._grpc_port = grpc_port
        self._http_port = http_port
        self._tls = tls
        self._faults = FaultPlan()
        self._requests: list[ReceivedRequest] = []
        self._stops: list[Callable[[], None]] = []

    def start(self) -> Self:
        """Listen on both ports.

        Raises:
            MissingExtraError: A package of the extra ``testing`` is not installed.
            RuntimeError: It is listening already.
            OSError: The HTTP port is taken (grpcio raises ``RuntimeError`` for its own).
        """
        if self._stops:
            raise RuntimeError("this receiver has been started already")
        for package in _PACKAGES:
            if not _is_installed(package):
                raise MissingExtraError("OtlpReceiver", package, "testing")
        handle = self._make_handle()
        self._http_port, stop = serve_http(self._http_port, handle, self._tls)
        self._stops.append(stop)
        self._grpc_port, stop = serve_grpc(self._grpc_port, handle, self._tls)
        self._stops.append(stop)
        return self

    def stop(self) -> None:
        """Close both ports and all connections; what was received stays."""
        self._faults.clear()
        while self._stops:
            self._stops.pop()()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def grpc_endpoint(self) -> str:
        """For ``OTEL_EXPORTER_OTLP_ENDPOINT`` with the protocol ``grpc``."""
        return f"{self._scheme}://{LOOPBACK}:{self._grpc_port}"

    @property
    def http_endpoint(self) -> str:
        """For ``OTEL_EXPORTER_OTLP_ENDPOINT`` with ``http/protobuf``, without the path."""
        return f"{self._scheme}://{LOOPBACK}:{self._http_port}"

    @property
    def _scheme(self) -> str:
        return "http" if self._tls is None else "https"

    @property
    def grpc_port(self) -> int:
        """The gRPC port; 0 before the first start."""
        return self._grpc_port

    @property
    def http_port(self) -> int:
        """The HTTP port; 0 before the first start."""
        return self._http_port

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """Every request that could be read, failed ones included, in the order of arrival."""
        with self._changed:
            return tuple(self._requests)

    @property
    def last_headers(self) -> Mapping[str, str]:
        """Headers or metadata of the last request, names in lower case; empty before it."""
        with self._changed:
            return self._requests[-1].headers if self._requests else {}

    def wait_for_requests(self, count: int, timeout_s: float = 10.0) -> tuple[ReceivedRequest, ...]:
        """Wait until so many requests have come, whatever they were answered.

        Raises:
            TimeoutError: They did not come in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._requests) >= count, timeout_s):
                raise TimeoutError(f"waited {timeout_s:g} s for {count} requests; {len(self._requests)} came")
            return tuple(self._requests)

    def clear(self) -> None:
        """Forget every span and every request."""
        with self._changed:
            self._requests.clear()
            super().clear()

    def fail_with(
        self,
        *,
        grpc_code: str = "UNAVAILABLE",
        http_status: int = 503,
        times: int | None = None,
        retry_after_s: float | None = None,
        message: str = "told to fail",
    ) -> None:
        """Fail the next requests; their spans are not kept.

        Args:
            grpc_code: Name of the status code for gRPC.
            http_status: Status code for HTTP.
            times: How many requests; ``None`` means until :meth:`recover`.
            retry_after_s: Seconds that the sender is told to wait, in ``RetryInfo`` or
                ``Retry-After``.
            message: Text that goes with the failure.
        """
        self._faults.set(Fault(grpc_code, http_status, message, retry_after_s), times)

    def answer_after(self, delay_s: float, *, times: int | None = None) -> None:
        """Answer the next requests late; their spans are kept at once.

        Args:
            delay_s: Seconds; :meth:`recover` and :meth:`stop` end the wait early.
            times: How many requests; ``None`` means until :meth:`recover`.
        """
        self._faults.set(Fault(delay_s=delay_s), times)

    def reject_partly(
        self, rejected: int, message: str = "told to reject", *, times: int | None = None
    ) -> None:
        """Answer the next requests with partial success.

        Args:
            rejected: How many spans to reject: the last ones of the request, which are not kept.
            message: OTLP's ``error_message``; with 0 rejected it is a warning to the sender.
            times: How many requests; ``None`` means until :meth:`recover`.
        """
        self._faults.set(Fault(rejected=rejected, message=message), times)

    def recover(self) -> None:
        """Answer with success from now on, delayed requests included."""
        self._faults.clear()

    def _record(self, request: ReceivedRequest, kept: list[ReceivedSpan]) -> None:
        with self._changed:
            self._requests.append(request)
            self._add(kept)

    def _make_handle(self) -> Handle:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest,
            ExportTraceServiceResponse,
        )

        from eco2_tracing.testing._otlp import spans_of_request

        def handle(transport: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
            if path == "/api/v2/spans":
                transport, spans = "zipkin", spans_of_zipkin(body)
            elif path == "/v1/traces":
                spans = spans_of_request(ExportTraceServiceRequest.FromString(body))
            else:
                return Answer(Fault("UNIMPLEMENTED", 404, f"nothing is at {path}"))
            fault, released = self._faults.take()
            failure = fault.grpc_code if transport == "grpc" else fault.http_status
            kept = [] if failure else spans[: len(spans) - fault.rejected]
            self._record(
                ReceivedRequest(
                    transport,
                    headers,
                    len(body),
                    headers.get("content-encoding", ""),
                    len(spans),
                    str(failure or OK),
                ),
                kept,
            )
            if fault.delay_s:
                released.wait(fault.delay_s)
            response = ExportTraceServiceResponse()
            if not failure and fault.message:
                response.partial_success.rejected_spans = fault.rejected
                response.partial_success.error_message = fault.message
            return Answer(fault, response.SerializeToString())

        return handle
