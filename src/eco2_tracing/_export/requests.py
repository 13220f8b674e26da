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


Prepared = tuple[bytes, bytes, bytes, bytes, bytes]
"""An encoded span behind the encoded fields around it: ``ResourceSpans.resource`` and ``.schema_url``,
``ScopeSpans.scope`` and ``.schema_url``. A bare tuple of bytes, over which no garbage collection walks."""


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
        # fields of the resource -> fields of the scope -> spans
        self._resources: dict[tuple[bytes, ...], dict[tuple[bytes, ...], list[bytes]]] = {}
        self._size = 0
        self._spans = 0

    def add(self, span: Prepared) -> None:
        """Add one encoded span."""
        body = span[4]
        size = len(body) + _SPAN_BYTES
        new_group = _NESTING_BYTES + sum(map(len, span[:4]))
        if self._spans and self._size + size + new_group > self._limit:
            self._close()
        scopes = self._resources.setdefault(span[:2], {})
        group = scopes.get(span[2:4])
        if group is None:
            group = scopes[span[2:4]] = []
            self._size += new_group
        group.extend((b"\x12", varint(len(body)), body))
        self._size += size
        self._spans += 1

    def finish(self) -> list[Request]:
        """Return the requests of all spans added."""
        if self._spans:
            self._close()
        return self._done

    def _close(self) -> None:
        out = []
        for (resource, resource_schema), scopes in self._resources.items():
            groups = []
            for (scope, scope_schema), pieces in scopes.items():
                groups.append(block(b"\x12", scope + b"".join(pieces) + scope_schema))
            out.append(block(b"\x0a", resource + b"".join(groups) + resource_schema))
        self._done.append(Request(b"".join(out), self._spans))
        self._begin()
