"""Merges several ``baggage`` headers of a request of `http.client` into one.

sentry-sdk adds a ``baggage`` header in `http.client`, after the headers of the attempt are set. requests, urllib3,
urllib and botocore use `http.client`. Only the bytes that are sent contain all headers.
"""

from __future__ import annotations

import functools
import re
from http.client import HTTPConnection
from typing import Any

from eco2_tracing._guard import guarded
from eco2_tracing._instrumentation.common.state import current

_HEAD = "_eco2_head"
_NAME = b"\r\nbaggage:"
# A value may continue in a line that begins with a blank (RFC 9112, 5.2). `putheader` writes such lines.
_LINE = re.compile(rb"\r\nbaggage:[ \t]*((?:[^\r\n]|\r\n[ \t])*)", re.IGNORECASE)
_FOLD = re.compile(rb"\r\n[ \t]+")
# A signed header must not be changed: AWS Signature Version 4 lists the signed names.
_SIGNED = re.compile(rb"SignedHeaders=[a-z0-9;%-]*baggage", re.IGNORECASE)
_wrapped: list[bool] = []


def send_one_baggage_header() -> None:
    """Patch `http.client` to send one ``baggage`` header a request. Safe to call twice."""
    if _wrapped:
        return
    _wrapped.append(True)
    endheaders, send = HTTPConnection.endheaders, HTTPConnection.send

    @functools.wraps(endheaders)
    def ended(self: Any, *args: Any, **kwargs: Any) -> None:
        self.__dict__[_HEAD] = True  # the next bytes to be sent are the request line and all headers
        endheaders(self, *args, **kwargs)

    @functools.wraps(send)
    def sent(self: Any, data: Any) -> None:
        if self.__dict__.pop(_HEAD, False) and isinstance(data, bytes):
            data = _merged(data)
        send(self, data)

    HTTPConnection.endheaders = ended  # type: ignore[method-assign]
    HTTPConnection.send = sent  # type: ignore[method-assign]


def _merged(head: bytes) -> bytes:
    if head.lower().count(_NAME) < 2 or _SIGNED.search(head):
        return head
    with guarded("the headers of an outgoing call"):
        state = current.state
        if state is None:
            return head
        values = [_FOLD.sub(b",", line[1]) for line in _LINE.finditer(head)]
        value = state.propagation.calls.combined_baggage(values)
        place = head.lower().index(_NAME)
        return head[:place] + b"\r\nbaggage: " + value + _LINE.sub(b"", head[place:])
    return head
