"""What reads the spans of each tracer."""

from __future__ import annotations

import gzip
import importlib
import json
import os
import threading
import zlib
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan

from eco2_tracing.testing import OtlpReceiver
from tests.differential.record import Collector
from tests.moving.spans import Span, flat, plain, until


class Reader(Protocol):
    """Reads the spans of one tracer."""

    def prepare(self) -> None:
        """Set the environment of the set-up, before it runs."""

    def attach(self, module: Mapping[str, Any]) -> None:
        """Begin to read, after the set-up has run."""

    def take(self) -> list[Span]:
        """The spans since the last call, ordered by start."""


class OpenTelemetryReader:
    """Spans of the global provider, of this library or another package."""

    def __init__(self) -> None:
        self.collector = Collector()

    def prepare(self) -> None:
        """Nothing listens there."""
        os.environ.setdefault("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")

    def attach(self, module: Mapping[str, Any]) -> None:
        """Add a processor."""
        provider: Any = trace.get_tracer_provider()
        provider.add_span_processor(self.collector)

    def take(self) -> list[Span]:
        """Take what the processor holds."""
        return [
            plain(
                span.name,
                span.kind.name,
                f"{span.context.trace_id:032x}",
                failed=not span.status.is_ok,
                attributes=span.attributes or {},
                events=[(event.attributes or {}).get("exception.type", event.name) for event in span.events],
            )
            for span in self._taken()
        ]

    def _taken(self) -> list[ReadableSpan]:
        """The spans since the last call; logfire also ends a pending copy of each, which its server hides."""
        spans, self.collector.spans = self.collector.spans, []
        ended = [span for span in spans if (span.attributes or {}).get("logfire.span_type") != "pending_span"]
        return sorted(ended, key=lambda span: span.start_time or 0)


class LogfireReader(OpenTelemetryReader):
    """The same under logfire, which must not look for an account."""

    def prepare(self) -> None:
        """Switch off all that leaves the process."""
        os.environ |= {"LOGFIRE_SEND_TO_LOGFIRE": "false", "LOGFIRE_CONSOLE": "false"}


class ZipkinReader:
    """Spans that are sent to a Zipkin server."""

    def __init__(self) -> None:
        self.receiver = OtlpReceiver()

    def prepare(self) -> None:
        """Start a server and name it."""
        self.receiver.start()
        os.environ["ZIPKIN_PORT"] = self.receiver.http_endpoint.rpartition(":")[2]

    def attach(self, module: Mapping[str, Any]) -> None:
        """Nothing to do: spans are sent when the server span ends."""

    def take(self) -> list[Span]:
        """Take what has arrived: the transport sends before the response ends."""
        spans, _ = self.receiver.spans, self.receiver.clear()
        return [
            plain(
                span.name,
                span.kind.name,
                span.trace_id,
                failed=span.is_error,
                attributes=span.attributes,
                events=[event.name for event in span.events],
            )
            for span in sorted(spans, key=lambda span: span.start_ns)
        ]


class JaegerReader:
    """Spans of a `jaeger_client` tracer."""

    def prepare(self) -> None:
        """Nothing to set."""

    def attach(self, module: Mapping[str, Any]) -> None:
        """Replace the reporter, which would send to an agent over UDP."""
        self.reporter = importlib.import_module("jaeger_client.reporter").InMemoryReporter()
        module["tracer"].reporter = self.reporter

    def take(self) -> list[Span]:
        """Take what was reported."""
        spans = sorted(self.reporter.get_spans(), key=lambda span: span.start_time)
        self.reporter.spans = []
        found = []
        for span in spans:
            tags = {tag.key: tag.vStr or tag.vLong or tag.vBool for tag in span.tags}
            found.append(
                plain(
                    span.operation_name,
                    str(tags.pop("span.kind", "internal")).upper(),
                    f"{span.trace_id:032x}",
                    failed=bool(tags.get("error")),
                    attributes=tags,
                    events=[
                        field.vStr for log in span.logs for field in log.fields if field.key == "error.kind"
                    ],
                )
            )
        return found


class ElasticReader:
    """Transactions and spans that are sent to an APM Server."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def prepare(self) -> None:
        """Start a server and name it."""
        events = self.events

        class Intake(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                self.answer(b'{"version": "8.15.0"}')

            def do_POST(self) -> None:
                if self.headers.get("transfer-encoding") == "chunked":
                    body = b""
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                else:
                    body = self.rfile.read(int(self.headers["content-length"]))
                if body[:2] == b"\x1f\x8b":
                    body = gzip.decompress(body)
                elif self.headers.get("content-encoding") == "deflate":
                    body = zlib.decompress(body)
                events.extend(map(json.loads, body.splitlines()))
                self.answer(b"{}")

            def log_message(self, *_: object) -> None:
                """Write nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Intake)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        os.environ |= {
            "ELASTIC_APM_SERVER_URL": f"http://127.0.0.1:{server.server_port}",
            "ELASTIC_APM_API_REQUEST_TIME": "100ms",
            "ELASTIC_APM_CENTRAL_CONFIG": "false",
            "ELASTIC_APM_CLOUD_PROVIDER": "none",
        }

    def attach(self, module: Mapping[str, Any]) -> None:
        """Nothing to do: the server receives."""

    def take(self) -> list[Span]:
        """Take what arrives until a transaction does, and the spans that it counts."""
        until(self._is_whole)
        items = [(kind, item) for event in self.events for kind, item in event.items()]
        self.events.clear()
        made = [item for kind, item in items if kind in {"transaction", "span"}]
        made.sort(key=lambda item: item["timestamp"])
        errors = [item for kind, item in items if kind == "error"]
        return [
            plain(
                item["name"],
                item["type"],
                item["trace_id"],
                failed=item["outcome"] == "failure",
                attributes=flat(item.get("context") or {}, "context") | {"result": item.get("result")},
                events=["error" for error in errors if error.get("parent_id") == item["id"]],
            )
            for item in made
        ]

    def _is_whole(self) -> bool:
        made = [event for event in self.events if event.keys() & {"transaction", "span"}]
        wanted = sum(
            event["transaction"]["span_count"]["started"] for event in made if "transaction" in event
        )
        return any("transaction" in event for event in made) and len(made) > wanted


class DatadogReader:
    """Spans of ddtrace."""

    def __init__(self) -> None:
        self.spans: list[Any] = []

    def prepare(self) -> None:
        """The command line has to: ddtrace starts before this module."""

    def attach(self, module: Mapping[str, Any]) -> None:
        """Take each trace before it is sent."""
        ddtrace = importlib.import_module("ddtrace.trace")
        spans = self.spans

        class Taken(ddtrace.TraceFilter):
            def process_trace(self, trace: list[Any]) -> None:
                spans.extend(trace)

        ddtrace.tracer.configure(trace_processors=[Taken()])

    def take(self) -> list[Span]:
        """Take what has ended."""
        spans = sorted(self.spans, key=lambda span: span.start_ns)
        self.spans.clear()
        found = []
        for span in spans:
            tags = {**span.get_tags(), **span.get_metrics()}
            found.append(
                plain(
                    f"{span.name} {span.resource}",
                    str(tags.pop("span.kind", "internal")).upper(),
                    f"{span.trace_id:032x}",
                    failed=bool(span.error),
                    attributes=tags,
                    events=["error.stack"] if "error.stack" in tags else [],
                )
            )
        return found


READERS: dict[str, type[Reader]] = {
    "zipkin": ZipkinReader,
    "jaeger-client": JaegerReader,
    "elastic-apm": ElasticReader,
    "ddtrace": DatadogReader,
    "logfire": LogfireReader,
}
