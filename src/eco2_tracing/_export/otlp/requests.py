"""Export requests: encoded spans grouped under their resource and scope, split by size.

Source: opentelemetry/proto/collector/trace/v1/trace_service.proto
"""

from __future__ import annotations

from typing import NamedTuple

from eco2_tracing._protobuf import varint

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
        self._latest: tuple[bytes, bytes] | None = None
        self._size = 0
        self._spans = 0

    def add(self, span: Prepared) -> None:
        """Add one encoded span."""
        body = span[4]
        size = len(body) + _SPAN_BYTES
        new_group = _NESTING_BYTES + sum(map(len, span[:4]))
        if self._spans and self._size + size + new_group > self._limit:
            self._close()
        latest = self._latest
        if latest is None or latest[0] is not span[0] or latest[1] is not span[2]:
            self._choose(span, new_group)
        self._group += (b"\x12", varint(len(body)), body)
        self._size += size
        self._spans += 1

    def _choose(self, span: Prepared, new_group: int) -> None:
        scopes = self._resources.setdefault(span[:2], {})
        group = scopes.get(span[2:4])
        if group is None:
            group = scopes[span[2:4]] = []
            self._size += new_group
        self._group = group
        self._latest = (span[0], span[2])

    def finish(self) -> list[Request]:
        """Return the requests of all spans added."""
        if self._spans:
            self._close()
        return self._done

    def _close(self) -> None:
        # Lengths first, then one copy of it all: each copy of what is large is new memory.
        out: list[bytes] = []
        for (resource, resource_schema), scopes in self._resources.items():
            inner = [resource]
            for (scope, scope_schema), pieces in scopes.items():
                inner += _nested(b"\x12", [scope, *pieces, scope_schema])
            inner.append(resource_schema)
            out += _nested(b"\x0a", inner)
        self._done.append(Request(b"".join(out), self._spans))
        self._begin()


def _nested(tag: bytes, pieces: list[bytes]) -> list[bytes]:
    """Give a length-delimited field in pieces."""
    return [tag, varint(sum(map(len, pieces))), *pieces]
