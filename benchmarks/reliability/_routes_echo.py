"""An application that returns what it received."""

from __future__ import annotations

from typing import Any


def add(app: Any) -> None:
    """Add the routes."""
    from fastapi import Request
    from fastapi.responses import PlainTextResponse

    async def echo(name: str, request: Request) -> PlainTextResponse:
        held = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in request.headers.raw]
        return PlainTextResponse(f"{name} {request.url.path} {request.query_params!r} {held!r}")

    # Its annotations are text, and Request is known here alone.
    echo.__annotations__.update({"request": Request, "return": PlainTextResponse})
    app.add_api_route("/echo/{name}", echo)
