"""Sizes of HTTP bodies, for ``ECO2_TRACING_CAPTURE=sizes``: from `content-length`, otherwise counted."""

from __future__ import annotations

from collections.abc import Iterable

REQUEST_SIZE, RESPONSE_SIZE = "http.request.body.size", "http.response.body.size"
_LENGTH = b"content-length"
_LONGEST = 18  # digits
_NO_BODY = frozenset({204, 304})


def content_length(headers: Iterable[tuple[bytes, bytes]] | None) -> int | None:
    """Return the value of `content-length`; ``None`` if it is absent or no number."""
    for name, value in headers or ():
        if name.lower() == _LENGTH:
            return int(value) if len(value) <= _LONGEST and value.isdigit() else None
    return None


def has_response_body(method: object, status: int | None) -> bool:
    """Return True if a response with this status may have a body, whatever its `content-length` is."""
    return method != "HEAD" and status is not None and status not in _NO_BODY


class BodySize:
    """The bytes of a body that have passed; ``None`` before the first part."""

    __slots__ = ("passed",)

    def __init__(self) -> None:
        self.passed: int | None = None

    def add(self, part: object) -> None:
        """Count a part; an empty one is no body."""
        if isinstance(part, bytes | bytearray) and part:
            self.passed = (self.passed or 0) + len(part)
