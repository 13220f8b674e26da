"""Refuses requests that do not come from a page of this server."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse

from eco2_tracing._view.receiver import LOCAL_HOSTS

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class LocalOnly:
    """ASGI middleware that checks the headers ``Host`` and ``Origin``, and adds headers of security.

    A page of another host could otherwise reach a server on loopback, through a name that resolves to it.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it with 403."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {key: value.decode("latin-1") for key, value in scope["headers"]}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        app = self._app if _is_own(headers) else _REFUSAL
        await app(scope, receive, send_with_headers)


_REFUSAL = PlainTextResponse(
    "This server answers only to pages of its own, at a name of this machine.\n", 403
)


def _is_own(headers: dict[bytes, str]) -> bool:
    host, origin = headers.get(b"host", ""), headers.get(b"origin")
    try:
        return urlsplit(f"//{host}").hostname in LOCAL_HOSTS and origin in (None, f"http://{host}")
    except ValueError:
        return False
