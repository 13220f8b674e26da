"""An application that calls the URL of a request, under names that only this process resolves."""

from __future__ import annotations

import importlib
import socket
from typing import Any


def resolve_to_loopback() -> None:
    """Resolve every name to loopback, so that no request leaves the machine."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **keywords: Any) -> Any:
        return resolve("127.0.0.1", *arguments, **keywords)

    socket.getaddrinfo = getaddrinfo


def add(app: Any) -> None:
    """Add the routes."""
    from fastapi import Request

    resolve_to_loopback()
    modules = {name: importlib.import_module(name) for name in ("httpx", "httpx2")}
    quiet = {"trust_env": False, "follow_redirects": True}
    clients = {name: module.AsyncClient(**quiet) for name, module in modules.items()}
    blocking = {name: module.Client(**quiet) for name, module in modules.items()}

    async def call(request: Request, url: str, client: str, copied: bool) -> int:
        headers = _copied(request) if copied else {}
        return int((await clients[client].get(url, headers=headers)).status_code)

    def call_blocking(request: Request, url: str, client: str, copied: bool) -> int:
        headers = _copied(request) if copied else {}
        return int(blocking[client].get(url, headers=headers).status_code)

    for path, endpoint in (("/call", call), ("/call-blocking", call_blocking)):
        # Their annotations are text, and Request is known here alone.
        endpoint.__annotations__.update({"request": Request, "copied": bool, "return": int})
        app.add_api_route(path, endpoint)


def _copied(request: Any) -> dict[str, str]:
    """The caller's headers, which guides of meshes tell applications to copy."""
    names = ("x-request-id", "baggage", "tracestate", "traceparent", "b3", "x-b3-traceid", "x-b3-spanid")
    return {name: request.headers[name] for name in (*names, "x-b3-sampled") if name in request.headers}
