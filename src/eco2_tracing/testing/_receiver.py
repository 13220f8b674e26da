"""An OTLP receiver in the process of a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Self

from eco2_tracing._errors import MissingExtraError
from eco2_tracing.testing._convert import spans_of_zipkin
from eco2_tracing.testing._faults import Fault, FaultPlan
from eco2_tracing.testing._servers import (
    LOOPBACK,
    OK,
    Export,
    ExportHandler,
    ReceivedRequest,
    TlsFiles,
    serve_grpc,
    serve_http,
)
from eco2_tracing.testing._store import SpanStore

if TYPE_CHECKING:
    from eco2_tracing.testing._model import ReceivedSpan

_PACKAGES = ("grpc", "opentelemetry.proto", "google.rpc")


class OtlpReceiver(SpanStore):
    """Receives spans like a collector, on loopback ports, and holds them.

    It receives OTLP protobuf over gRPC and HTTP, uncompressed or gzipped. The HTTP port also
    receives Zipkin v2 JSON at `/api/v2/spans`, which the proxies of a mesh send. Use it as a
    context manager, or call `start` and `stop`. A second `start` uses the same ports.

    Args:
        grpc_port: The gRPC port; 0 uses a free one.
        http_port: The HTTP port; 0 uses a free one.
        tls: PEM files for TLS; `None` serves plaintext.

    Attributes:
        grpc_port: The gRPC port, after the first start.
        http_port: The HTTP port, after the first start.

    Examples:
        >>> with OtlpReceiver() as receiver:
        ...     receiver.fail_with(http_status=503, times=2)
        ...     len(receiver.spans)
        0
    """

    def __init__(self, *, grpc_port: int = 0, http_port: int = 0, tls: TlsFiles | None = None) -> None:
        super().__init__()
        self.grpc_port = grpc_port
        self.http_port = http_port
        self._tls = tls
        self._faults = FaultPlan()
        self._requests: list[ReceivedRequest] = []
        self._stops: list[Callable[[], None]] = []

    def start(self) -> Self:
        """Listen on both ports.

        Raises:
            MissingExtraError: A package of the extra `testing` is not installed.
            RuntimeError: The receiver has been started, or the gRPC port is in use.
            OSError: The HTTP port is in use.
        """
        if self._stops:
            raise RuntimeError("this receiver has been started already")
        for package in _PACKAGES:
            try:
                import_module(package)
            except ImportError:
                raise MissingExtraError("OtlpReceiver", package, "testing") from None
        handle = self._make_handler()
        self.http_port, stop = serve_http(self.http_port, handle, self._tls)
        self._stops.append(stop)
        self.grpc_port, stop = serve_grpc(self.grpc_port, handle, self._tls)
        self._stops.append(stop)
        return self

    def stop(self) -> None:
        """Close both ports and all connections; received spans and requests stay."""
        self._faults.clear()
        while self._stops:
            self._stops.pop()()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @property
    def grpc_endpoint(self) -> str:
        """The value of `OTEL_EXPORTER_OTLP_ENDPOINT` for the protocol `grpc`."""
        return f"{self._scheme}://{LOOPBACK}:{self.grpc_port}"

    @property
    def http_endpoint(self) -> str:
        """The value of `OTEL_EXPORTER_OTLP_ENDPOINT` for the protocol `http/protobuf`."""
        return f"{self._scheme}://{LOOPBACK}:{self.http_port}"

    @property
    def _scheme(self) -> str:
        return "http" if self._tls is None else "https"

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """Every request that could be decoded, in the order of arrival, with those that failed."""
        with self._changed:
            return tuple(self._requests)

    @property
    def last_headers(self) -> Mapping[str, str]:
        """Headers or metadata of the last request, with lower-case names; empty before the first."""
        with self._changed:
            return self._requests[-1].headers if self._requests else {}

    def wait_for_requests(self, count: int, timeout_s: float = 10.0) -> tuple[ReceivedRequest, ...]:
        """Wait for a number of requests, successful or not.

        Raises:
            TimeoutError: Fewer requests arrived in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._requests) >= count, timeout_s):
                raise TimeoutError(
                    f"waited {timeout_s:g} s for {count} requests; {len(self._requests)} arrived"
                )
            return tuple(self._requests)

    def clear(self) -> None:
        """Remove every held span and request."""
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
        """Fail the next requests and discard their spans.

        Args:
            grpc_code: The name of the gRPC status code.
            http_status: The HTTP status code.
            times: The number of requests; `None` means until `recover`.
            retry_after_s: Seconds in `RetryInfo` (gRPC) or `Retry-After` (HTTP).
            message: The error message.
        """
        self._faults.set(Fault(grpc_code, http_status, message, retry_after_s), times)

    def answer_after(self, delay_s: float, *, times: int | None = None) -> None:
        """Delay the responses to the next requests; their spans are held at once.

        Args:
            delay_s: Seconds; `recover` and `stop` end the delay early.
            times: The number of requests; `None` means until `recover`.
        """
        self._faults.set(Fault(delay_s=delay_s), times)

    def reject_partly(
        self, rejected: int, message: str = "told to reject", *, times: int | None = None
    ) -> None:
        """Answer the next requests with partial success.

        Args:
            rejected: The number of spans to reject and discard, counted from the end of the request.
            message: OTLP's `error_message`; if `rejected` is 0, it is a warning.
            times: The number of requests; `None` means until `recover`.
        """
        self._faults.set(Fault(rejected=rejected, message=message), times)

    def recover(self) -> None:
        """Answer with success again; delayed responses are sent now."""
        self._faults.clear()

    def _record(self, request: ReceivedRequest, kept: list[ReceivedSpan]) -> None:
        with self._changed:
            self._requests.append(request)
            self._add(kept)

    def _make_handler(self) -> ExportHandler:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest,
            ExportTraceServiceResponse,
        )

        from eco2_tracing.testing._convert import spans_of_request

        def handle(transport: str, path: str, headers: Mapping[str, str], body: bytes) -> Export:
            if path == "/api/v2/spans":
                transport, spans = "zipkin", spans_of_zipkin(body)
            elif path == "/v1/traces":
                spans = spans_of_request(ExportTraceServiceRequest.FromString(body))
            else:
                return Fault("UNIMPLEMENTED", 404, f"nothing is at {path}"), b""
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
            return fault, response.SerializeToString()

        return handle
