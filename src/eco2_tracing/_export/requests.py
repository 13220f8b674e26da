"""Export requests: encoded spans grouped under their resource and scope, split by size.

Source: opentelemetry/proto/collector/trace/v1/trace_service.proto
"""

from __future__ import annotations

from typing import NamedTuple

from eco2_tracing._protobuf import block, varint

_NESTING_BYTES = 32
"""Most that the tags and lengths around one group take."""
_SPAN_BYTES = 6
"""Most that the tag and length of one span take."""


class Request(NamedTuple):
    """One encoded ``ExportTraceServiceRequest``.

    Attributes:
        body: What is sent.
        spans: How many spans it holds.
    """

    body: bytes
    spans: int


class Headers(NamedTuple):
    """The encoded fields around the spans of one group.

    Attributes:
        resource: ``ResourceSpans.resource``.
        resource_schema: ``ResourceSpans.schema_url``, or nothing.
        scope: ``ScopeSpans.scope``.
        scope_schema: ``ScopeSpans.schema_url``, or nothing.
    """

    resource: bytes
    resource_schema: bytes
    scope: bytes
    scope_schema: bytes


class RequestBuilder:
    """Collects encoded spans into requests of bounded size.

    Args:
        limit: Bytes that no request exceeds, unless one span alone does.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._done: list[Request] = []
        self._begin()

    def _begin(self) -> None:
        # resource key -> scope key -> (headers, pieces)
        self._resources: dict[int, dict[int, tuple[Headers, list[bytes]]]] = {}
        self._size = 0
        self._spans = 0

    def add(self, key: tuple[int, int], headers: Headers, body: bytes) -> None:
        """Add one span.

        Args:
            key: Identifies the resource and the scope.
            headers: Their encoded fields.
            body: The encoded span.
        """
        size = len(body) + _SPAN_BYTES
        new_group = _NESTING_BYTES + sum(map(len, headers))
        if self._spans and self._size + size + new_group > self._limit:
            self._close()
        scopes = self._resources.setdefault(key[0], {})
        group = scopes.get(key[1])
        if group is None:
            group = scopes[key[1]] = (headers, [])
            self._size += new_group
        group[1].extend((b"\x12", varint(len(body)), body))
        self._size += size
        self._spans += 1

    def finish(self) -> list[Request]:
        """Return the requests of all spans added."""
        if self._spans:
            self._close()
        return self._done

    def _close(self) -> None:
        out = []
        for scopes in self._resources.values():
            groups = []
            for headers, pieces in scopes.values():
                groups.append(block(b"\x12", headers.scope + b"".join(pieces) + headers.scope_schema))
            out.append(block(b"\x0a", headers.resource + b"".join(groups) + headers.resource_schema))
        self._done.append(Request(b"".join(out), self._spans))
        self._begin()
