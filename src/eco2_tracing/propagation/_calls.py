"""Calls of other libraries: an instrumentation injects into a call's headers, and says not to whom."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry.trace import SpanKind

if TYPE_CHECKING:
    from opentelemetry.propagators.textmap import CarrierT, Setter
    from opentelemetry.trace import Span

Pairs = list[tuple[bytes, bytes]]
_URLS = ("url.full", "http.url")
_HOSTS = ("server.address", "net.peer.name")


def host_called(span: Span) -> str | None:
    """Tell whom a call is for, by what its instrumentation put on the span that it began.

    Args:
        span: The current span.

    Returns:
        The host; ``None`` where this is no call, or does not say.
    """
    if getattr(span, "kind", None) is not SpanKind.CLIENT:
        return None
    attributes: Any = getattr(span, "attributes", None) or {}
    for name in _URLS:
        url = attributes.get(name)
        if isinstance(url, str) and (host := urlsplit(url).hostname):
            return host
    for name in _HOSTS:
        host = attributes.get(name)
        if isinstance(host, str) and host:
            return host
    return None


def pairs_in(carrier: object) -> Pairs | None:
    """Read all headers of a call.

    Args:
        carrier: What an instrumentation injects into.

    Returns:
        Names and values; ``None`` where it is no mapping of names to values.
    """
    if not isinstance(carrier, MutableMapping):
        return None
    return [(_bytes(name), _bytes(value)) for name, value in carrier.items()]


def replace(
    carrier: CarrierT, setter: Setter[CarrierT], given: Pairs, pairs: Pairs, names: frozenset[bytes]
) -> None:
    """Make a call's headers those that it is to have.

    Args:
        carrier: Its headers, a mapping.
        setter: Writes to it.
        given: What is in it.
        pairs: What is to be in it.
        names: The lower-case names that may have to go.
    """
    headers: Any = carrier
    for name in list(headers):
        if _bytes(name).lower() in names:
            headers.pop(name, None)
    for raw_name, value in pairs:
        if raw_name.lower() in names or (raw_name, value) not in given:
            setter.set(carrier, raw_name.decode("latin-1"), value.decode("latin-1"))


def _bytes(text: object) -> bytes:
    if isinstance(text, bytes):
        return text
    return str(text).encode("utf-8", "surrogatepass")
