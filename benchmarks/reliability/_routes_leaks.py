"""An application that writes secrets to every place of spans and log lines."""

from __future__ import annotations

import logging
import os
from typing import Any

log = logging.getLogger("reliability.leaks")


def planted(place: str) -> str:
    """The secret of a place; each is unique and not in the code."""
    return f"Xk{place.encode().hex()}9Q"


def _spans(tracer: Any) -> None:
    """Attributes, events, status and exceptions of a span of the application's own."""
    from opentelemetry.trace import StatusCode

    with tracer.start_as_current_span("login") as span:
        span.set_attribute("password", planted("attribute"))
        span.set_attribute("user.refresh_token", planted("dotted attribute"))
        span.set_attribute("note", f"Authorization: Bearer {planted('attribute text')}")
        span.set_attribute("callback", f"https://kim:{planted('attribute userinfo')}@partner.example/")
        span.add_event("login", {"client_secret": planted("event")})
        span.set_status(StatusCode.ERROR, f"refused: token={planted('status')}")
    with tracer.start_as_current_span("query") as span:
        literal = planted("SQL attribute")
        span.set_attribute("db.system.name", "postgresql")
        span.set_attribute("db.query.text", f"SELECT id FROM users WHERE pin = '{literal}'")
    try:
        with tracer.start_as_current_span("checked"):
            raise ValueError(f"refused: password={planted('inner exception')}")  # noqa: TRY301 - the failure of a library
    except ValueError:
        log.exception("checked")


def _lines() -> None:
    """Log lines."""
    log.info("token=%s", planted("log argument"))
    log.info('{"password": "%s"}', planted("log JSON"))
    log.info("Authorization: Basic %s", planted("log header"))
    log.info("GET https://kim:%s@partner.example/", planted("log userinfo"))
    log.info("GET https://partner.example/cb?state=1&access_token=%s", planted("log query"))
    log.info("headers %r", {"cookie": f"session={planted('log cookie')}"})
    log.info("login", extra={"api_key": planted("log field"), "user": {"password": planted("log mapping")}})


def add(app: Any) -> None:
    """Add the routes."""
    import sqlite3

    import httpx
    from fastapi import Response
    from opentelemetry import baggage, context, trace

    tracer = trace.get_tracer("leaks")
    if os.environ["RELIABILITY_MODE"] == "stock":
        from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor

        SQLite3Instrumentor().instrument()
    sink = os.environ["RELIABILITY_SINK"]

    @app.get("/careless", response_class=Response)
    async def careless() -> Response:
        held = baggage.set_baggage("password", planted("own baggage"))
        token = context.attach(held)
        try:
            _spans(tracer)
            _lines()
            async with httpx.AsyncClient(trust_env=False) as client:
                await client.get(
                    f"http://kim:{planted('call userinfo')}@{sink}/health?api_key={planted('call query')}",
                    headers={"x-api-key": planted("call header")},
                )
        finally:
            context.detach(token)
        return Response("fine", headers={"set-cookie": f"session={planted('response header')}"})

    @app.get("/query")
    async def query() -> str:
        connection = sqlite3.connect(":memory:")
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE users (pin TEXT)")
        cursor.execute(f"SELECT * FROM users WHERE pin = '{planted('SQL literal')}'")
        try:
            cursor.execute(f"SELECT * FROM nobody WHERE pin = '{planted('failed SQL')}'")
        except sqlite3.OperationalError:
            log.exception("password=%s", planted("log beside SQL"))
        connection.close()
        return "fine"

    @app.get("/refused")
    async def refused() -> None:
        raise PermissionError(f"https://kim:{planted('exception userinfo')}@partner.example refused")

    @app.get("/caused")
    async def caused() -> None:
        try:
            raise KeyError(f"secret={planted('cause')}")  # noqa: TRY301 - the failure of a library
        except KeyError as error:
            raise RuntimeError(f"refused: Authorization: Bearer {planted('exception text')}") from error

    @app.get("/unreachable")
    async def unreachable() -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.get(
                f"http://kim:{planted('failed call')}@127.0.0.1:9/?token={planted('failed query')}"
            )
