"""Encodes batches of spans as OTLP requests.

The official encoder builds a tree of protobuf messages first, which takes about five times as long. Encoding span by
span also isolates a span that cannot be encoded, and its size is known before it is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from eco2_tracing._export.otlp.requests import RequestBuilder
from eco2_tracing._export.otlp.spans import repaired_body, span_body
from eco2_tracing._export.otlp.values import ValueEncoder
from eco2_tracing._guard import internal_failure
from eco2_tracing._protobuf import block
from eco2_tracing._readable_span import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from eco2_tracing._export.result import EncodedBatch, EncodedSpan

MAX_REQUEST_BYTES = 4 * 1024 * 1024 - 64 * 1024
"""Size limit of a request: the 4 MiB that gRPC servers accept by default, less a margin."""

_HEADER_BYTES = 32 * 1024
"""Bytes of a request reserved for one resource and one scope."""
_MAX_HEADERS = 256


class SpanEncoder:
    """Encodes spans, in any thread, and builds requests of them.

    Args:
        max_request_bytes: Size limit of a request; see `MAX_REQUEST_BYTES`.
    """

    def __init__(self, max_request_bytes: int = MAX_REQUEST_BYTES) -> None:
        self._limit = max_request_bytes
        self._values = ValueEncoder()
        self._short_values = ValueEncoder(text_limit=1024, item_limit=8)
        self._headers: dict[tuple[int, int], tuple[object, object, tuple[bytes, bytes, bytes, bytes]]] = {}
        self._stages: tuple[tuple[Callable[[ReadableSpan], bytes], str], ...] = (
            (self._whole, "encoding a span as it is; it is sent repaired"),
            (self._repaired, "encoding the attributes of a span; it is sent without them"),
            (self._bare, "encoding a span, which is dropped"),
        )

    def encode_span(self, span: ReadableSpan) -> EncodedSpan | ReadableSpan:
        """Encode one span. A span that cannot be encoded is returned as it is."""
        try:
            return *self._header(span), self._whole(span)
        except Exception:  # noqa: BLE001 - `encode` repairs the span and logs the failure
            return span

    def encode(self, spans: Iterable[ReadableSpan | EncodedSpan]) -> tuple[list[EncodedBatch], int]:
        """Encode a batch. A span that is too large or cannot be encoded loses attributes, events and links.

        Returns:
            The requests, and the number of spans that cannot be encoded at all.
        """
        builder = RequestBuilder(self._limit)
        lost = 0
        for span in spans:
            if type(span) is tuple:
                builder.add(span)
            else:
                lost += not self._add(builder, cast("ReadableSpan", span))
        return builder.finish(), lost

    def _add(self, builder: RequestBuilder, span: ReadableSpan) -> bool:
        for stage, failure in self._stages:
            try:
                builder.add((*self._header(span), stage(span)))
            except BaseException:  # noqa: BLE001 - attributes of the application may raise SystemExit
                internal_failure(failure)
            else:
                return True
        return False

    def _whole(self, span: ReadableSpan) -> bytes:
        return self._checked(span_body(span, self._values))

    def _repaired(self, span: ReadableSpan) -> bytes:
        return self._checked(repaired_body(span, self._short_values, bare=False))

    def _bare(self, span: ReadableSpan) -> bytes:
        return repaired_body(span, self._short_values, bare=True)

    def _checked(self, body: bytes) -> bytes:
        if len(body) > self._limit - _HEADER_BYTES:
            raise ValueError("the span is larger than a request may be")
        return body

    def _header(self, span: ReadableSpan) -> tuple[bytes, bytes, bytes, bytes]:
        key = (id(span.resource), id(span.instrumentation_scope))
        found = self._headers.get(key)
        if found is None:
            if len(self._headers) >= _MAX_HEADERS:
                self._headers.clear()
            resource, scope = span.resource, span.instrumentation_scope
            header = (*self._resource(resource), *self._scope(scope))
            # The entry keeps both objects alive, so that their ids are not reused.
            found = self._headers[key] = (resource, scope, header)
        return found[2]

    def _resource(self, resource: Resource) -> tuple[bytes, bytes]:
        out: list[bytes] = []
        self._values.attributes(b"\x0a", plain(resource.attributes) or {}, out)
        return block(b"\x0a", b"".join(out)), self._schema(resource.schema_url)

    def _scope(self, scope: InstrumentationScope | None) -> tuple[bytes, bytes]:
        if scope is None:
            return b"\x0a\x00", b""
        out = [block(b"\x0a", self._values.text(scope.name))] if scope.name else []
        if scope.version:
            out.append(block(b"\x12", self._values.text(scope.version)))
        self._values.attributes(b"\x1a", plain(scope.attributes) or {}, out)
        return block(b"\x0a", b"".join(out)), self._schema(scope.schema_url)

    def _schema(self, url: str | None) -> bytes:
        return block(b"\x1a", self._values.text(url)) if url else b""
