"""An application that reports the caller's data: in its response, in a call and in a log line."""

from __future__ import annotations

import logging
import os
from typing import Any

log = logging.getLogger("reliability.isolation")


def add(app: Any) -> None:
    """Add the routes."""
    import httpx
    from fastapi import Request
    from opentelemetry import baggage, trace

    client = httpx.AsyncClient(trust_env=False)
    sink = os.environ["RELIABILITY_SINK"]

    async def known(caller: int) -> str:
        await client.get(sink, headers={"x-caller": str(caller)})
        log.info("caller %d is served", caller)
        trace_id = trace.get_current_span().get_span_context().trace_id
        return f"{trace_id:032x} {dict(baggage.get_all())}"

    async def read(caller: int, request: Request) -> str:
        """Answer after the whole body."""
        await request.body()
        return await known(caller)

    async def refuse(caller: int) -> str:
        """Answer before the body."""
        return await known(caller)

    # Its annotations are text, and Request is known here alone.
    read.__annotations__.update({"request": Request, "caller": int, "return": str})
    app.add_api_route("/read", read, methods=["GET", "POST"])
    app.add_api_route("/refuse", refuse, methods=["POST"])
    # The same in an excluded request, as far as this library is concerned.
    app.add_api_route("/metrics/read", read, methods=["GET", "POST"])
