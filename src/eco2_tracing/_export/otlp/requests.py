"""Groups encoded spans by resource and scope into requests of limited size.

Source: opentelemetry/proto/collector/trace/v1/trace_service.proto
"""

from __future__ import annotations

from eco2_tracing._export.result import EncodedBatch, EncodedSpan
from eco2_tracing._protobuf import varint

_NESTING_BYTES = 32
"""Upper limit for the tags and lengths around one group."""
_SPAN_BYTES = 6
"""Upper limit for the tag and length of one span."""


class RequestBuilder:
    """Collects encoded spans into requests.

    Args:
        limit: Size limit of a request in bytes; a request of one span may exceed it.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._done: list[EncodedBatch] = []
        self._begin()

    def _begin(self) -> None:
        # fields of the resource -> fields of the scope -> spans
        self._resources: dict[tuple[bytes, ...], dict[tuple[bytes, ...], list[bytes]]] = {}
        self._latest: tuple[bytes, bytes] | None = None
        self._size = 0
        self._spans = 0

    def add(self, span: EncodedSpan) -> None:
        """Add one encoded span."""
        body = span[4]
        size = len(body) + _SPAN_BYTES
        new_group = _NESTING_BYTES + sum(map(len, span[:4]))
        if self._spans and self._size + size + new_group > self._limit:
            self._close()
        latest = self._latest
        if latest is None or latest[0] is not span[0] or latest[1] is not span[2]:
            self._select_group(span, new_group)
        self._group += (b"\x12", varint(len(body)), body)
        self._size += size
        self._spans += 1

    def _select_group(self, span: EncodedSpan, new_group: int) -> None:
        scopes = self._resources.setdefault(span[:2], {})
        group = scopes.get(span[2:4])
        if group is None:
            group = scopes[span[2:4]] = []
            self._size += new_group
        self._group = group
        self._latest = (span[0], span[2])

    def finish(self) -> list[EncodedBatch]:
        """Return the requests with all spans added."""
        if self._spans:
            self._close()
        return self._done

    def _close(self) -> None:
        # All pieces are joined once: each copy of a large request allocates its size again.
        out: list[bytes] = []
        for (resource, resource_schema), scopes in self._resources.items():
            inner = [resource]
            for (scope, scope_schema), pieces in scopes.items():
                inner += _nested(b"\x12", [scope, *pieces, scope_schema])
            inner.append(resource_schema)
            out += _nested(b"\x0a", inner)
        self._done.append(EncodedBatch(b"".join(out), self._spans))
        self._begin()


def _nested(tag: bytes, pieces: list[bytes]) -> list[bytes]:
    """Return the pieces of a length-delimited field."""
    return [tag, varint(sum(map(len, pieces))), *pieces]
