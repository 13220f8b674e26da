"""A shell command that repeats a request."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING
from urllib.parse import quote

from opentelemetry.trace import SpanKind

from eco2_tracing._console.terminal import escaped

if TYPE_CHECKING:
    from eco2_tracing._console.rows import Row

_HEADER = "http.request.header."
_LONGEST = 4096
# What may stand unquoted in a path or query (RFC 3986); a `%` begins an escape.
_IN_PATH = "/:@!$&'()*+,;=~-._%"
_IN_QUERY = _IN_PATH + "?"
_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - addresses that a server listens on and nobody can call


def curl(root: Row) -> str:
    """Return a ``curl`` command that repeats an inbound HTTP request, as far as its attributes tell.

    Secrets are masked in the attributes already. Captured headers are part of it, a body is not: where one is known to
    have been sent, ``--data-binary @body`` stands in its place.

    Args:
        root: The local root.

    Returns:
        The command in one line; an empty text for other roots.
    """
    attributes = root.attributes
    method = attributes.get("http.request.method_original") or attributes.get("http.request.method")
    path = attributes.get("url.path")
    if root.kind is not SpanKind.SERVER or not method or not isinstance(path, str):
        return ""
    words = ["curl"]
    if method == "HEAD":
        words.append("--head")
    elif method != "GET":
        words += ["-X", str(method)]
    words.append(_url(root, path, words))
    for key, value in attributes.items():
        if key.startswith(_HEADER):
            values = value if isinstance(value, tuple | list) else (value,)
            for each in values:
                words += ["-H", f"{key.removeprefix(_HEADER)}: {each}"]
    if attributes.get("http.request.body.size"):
        words += ["--data-binary", "@body"]
    command = " ".join(shlex.quote(escaped(word)) for word in words)
    return command if len(command) <= _LONGEST else ""


def _url(root: Row, path: str, words: list[str]) -> str:
    """Return the URL; options that it needs are appended to the words."""
    attributes = root.attributes
    address, port = str(attributes.get("server.address") or ""), attributes.get("server.port")
    scheme = "https" if attributes.get("url.scheme") == "https" else "http"
    if address.startswith("/"):
        words += ["--unix-socket", address]
        address, port = "localhost", None
    elif address in _EVERYWHERE:
        address = "127.0.0.1"
    is_ipv6 = address.count(":") > 1
    host = f"[{address}]" if is_ipv6 else quote(address, safe=":")
    # Contrib's instrumentation puts the port into the address.
    place = host if port is None or (":" in address and not is_ipv6) else f"{host}:{port}"
    query = str(attributes.get("url.query") or "")
    url = f"{scheme}://{place}{quote(path, safe=_IN_PATH, errors='replace')}"
    return f"{url}?{quote(query, safe=_IN_QUERY, errors='replace')}" if query else url
