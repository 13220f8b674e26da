"""Batches of spans as OTLP requests, encoded by hand.

The official encoder builds a tree of messages first, which takes about five times as long. Encoding span by
span also sets one apart that cannot be encoded, and shows its size before it is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eco2_tracing._export.gil import yield_gil
from eco2_tracing._export.otlp.requests import Prepared, Request, RequestBuilder
from eco2_tracing._export.otlp.spans import repaired_body, span_body
from eco2_tracing._export.otlp.values import ValueEncoder
from eco2_tracing._guard import internal_failure
from eco2_tracing._protobuf import block
from eco2_tracing._span_size import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

MAX_REQUEST_BYTES = 4 * 1024 * 1024 - 64 * 1024
"""Size of a request: the 4 MiB that a gRPC server accepts by default, less a margin."""

AT_A_STRETCH = 128
"""Spans that are encoded before other threads get their turn: a millisecond, where Python's own switch takes five."""

_HEADER_ROOM = 32 * 1024
"""Bytes of a request that are kept free for one resource and one scope."""
_MAX_HEADERS = 256


class SpanEncoder:
    """Encodes spans into requests. Not thread-safe: one worker owns it.

    Args:
        max_request_bytes: No request is larger; see `MAX_REQUEST_BYTES`.
        yield_gil: Lets other threads run.
    """

    def __init__(
        self, max_request_bytes: int = MAX_REQUEST_BYTES, yield_gil: Callable[[], None] = yield_gil
    ) -> None:
        self._limit = max_request_bytes
        self._yield_gil = yield_gil
        self._values = ValueEncoder()
        self._tight = ValueEncoder(text_limit=1024, item_limit=8)
        self._headers: dict[tuple[int, int], tuple[object, object, tuple[bytes, bytes, bytes, bytes]]] = {}

    def prepare(self, span: ReadableSpan) -> Prepared | ReadableSpan:
        """Encode one span before its batch is complete; one that cannot be encoded stays as it is."""
        try:
            return self._prepared(span)
        except Exception:  # noqa: BLE001 - whatever an application put into a span
            return span

    def encode(self, spans: Iterable[ReadableSpan | Prepared]) -> tuple[list[Request], int]:
        """Encode a batch.

        Args:
            spans: Ended spans of any resources and scopes, or what was prepared of them.

        Returns:
            The requests, and how many spans could not be encoded at all.
        """
        builder = RequestBuilder(self._limit)
        lost = 0
        for number, span in enumerate(spans, 1):
            if not number % AT_A_STRETCH:
                self._yield_gil()
            try:
                builder.add(span if type(span) is tuple else self._prepared(span))
            except BaseException:  # noqa: BLE001 - whatever an application put into a span, in a thread of ours
                internal_failure("encoding a span, which is dropped")
                lost += 1
        return builder.finish(), lost

    def _prepared(self, span: Any) -> Prepared:
        return (*self._around(span), self.span(span))

    def span(self, span: ReadableSpan) -> bytes:
        """Encode one span, leaving out more and more of one that is hostile or too large.

        Args:
            span: An ended span.

        Returns:
            The body of an OTLP ``Span``.

        Raises:
            Exception: Not even its ids can be encoded.
        """
        room = self._limit - _HEADER_ROOM
        try:
            body = span_body(span, span.attributes, self._values)
            if len(body) <= room:
                return body
        except Exception:  # noqa: BLE001 - repaired below
            internal_failure("encoding a span as it is; it is sent repaired")
        try:
            body = repaired_body(span, self._tight, bare=False)
            if len(body) <= room:
                return body
        except Exception:  # noqa: BLE001 - repaired below
            internal_failure("encoding the attributes of a span; it is sent without them")
        return repaired_body(span, self._tight, bare=True)

    def _around(self, span: ReadableSpan) -> tuple[bytes, bytes, bytes, bytes]:
        key = (id(span.resource), id(span.instrumentation_scope))
        found = self._headers.get(key)
        if found is None:
            if len(self._headers) >= _MAX_HEADERS:
                self._headers.clear()
            resource, scope = span.resource, span.instrumentation_scope
            headers = (*self._resource(resource), *self._scope(scope))
            # Both objects are kept beside their headers, so that no other object gets their id.
            found = self._headers[key] = (resource, scope, headers)
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
