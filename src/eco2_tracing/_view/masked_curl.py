"""A shell command that repeats a received request, without its secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind

from eco2_tracing._console.curl import curl
from eco2_tracing._redaction.redactor import Redactor

if TYPE_CHECKING:
    from eco2_tracing._console.rows import Row

_SECRET = ("http.request.header.", "url.")
_redactor = Redactor()


def masked_curl(row: Row, scope: str) -> str:
    """Return a ``curl`` command for the span of a request, an empty text for others.

    The library masks what it exports. Spans of others may have secrets in the URL or in headers.

    Args:
        row: The span.
        scope: The name of its instrumentation scope.
    """
    if row.kind is not SpanKind.SERVER or scope.startswith("eco2_tracing"):
        return curl(row)
    masked = {
        key: _redactor.value(key, value) if key.startswith(_SECRET) else value
        for key, value in row.attributes.items()
    }
    return curl(row._replace(attributes=masked))
