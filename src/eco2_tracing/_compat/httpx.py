"""Private names of `httpx` and `httpx2`. Checked with httpx 0.27 and 0.28 and with httpx2 2.16."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    HeaderItem = tuple[bytes, bytes, bytes]

_SEND = "_send_single_request"


def sends_requests(kind: object) -> bool:
    """Return whether a class, or an object of it, is a client.

    With another private name the answer is ``False``: then a client is taken for a transport of another package.
    """
    return hasattr(kind, _SEND)


def send_method(client: type | None) -> Callable[..., Any] | None:
    """Return the method of a client's class that every attempt passes; ``None`` if its name has changed."""
    found: Callable[..., Any] | None = getattr(client, _SEND, None)
    return found


def replace_send_method(client: Any, replacement: Callable[..., Any]) -> None:
    """Replace the method that `send_method` returned."""
    setattr(client, _SEND, replacement)


def transport_of(client: Any, url: object) -> object:
    """Return the transport that a client uses for a URL.

    Raises:
        AttributeError: A private name has changed. The caller leaves the call to the transport's own hook.
    """
    return client._transport_for_url(url) if client._mounts else client._transport


def header_items(headers: object) -> list[HeaderItem] | None:
    """Return the list behind ``httpx.Headers``: each name as it is sent, the name in lower case, the value.

    Changing it costs a tenth of the public methods. With another private name the result is ``None``, and the public
    methods are used.
    """
    items: list[HeaderItem] | None = getattr(headers, "_list", None)
    return items
