"""Run the application of a page before or after the move, and print its spans as JSON.

Usage: ``python -m tests.moving.record NAME before|after``, behind the command of the page if it has one.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from eco2_tracing.testing import b3_headers, traceparent_headers
from tests.moving import old_tracing
from tests.moving.readers import READERS, OpenTelemetryReader, Reader
from tests.support.sections import Page

REQUESTS = {
    "item": ("/items/7", {}),
    "call": ("/call", {}),
    "broken": ("/broken", {}),
    "missing": ("/nothing", {}),
    "health": ("/health", {}),
    "health records": ("/health-records", {}),
    "b3": ("/items/7", b3_headers()),
    "w3c": ("/items/7", traceparent_headers()),
    "unsampled b3": ("/items/7", b3_headers(sampled=False)),
    "unsampled w3c": ("/items/7", traceparent_headers(sampled=False)),
}
# Headers that httpx itself sends.
PLAIN = {"host", "accept", "accept-encoding", "connection", "user-agent"}


def code(name: str, side: str) -> str:
    """The application of a page: its `diff` without one kind of lines, or its only Python block."""
    page = Page(f"moving/{name}.md")
    programs = [block for block in page.blocks("diff") if "FastAPI()" in block]
    if not programs:
        return page.blocks("python")[0]
    drop = {"before": "+", "after": "-"}[side]
    lines = [line for line in programs[0].splitlines() if not line.startswith(drop)]
    return "\n".join(line[1:] for line in lines)


@contextmanager
def called_service() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Run a service that the application calls; yields its URL and the headers of the calls."""
    received: list[dict[str, str]] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            received.append({key.lower(): value for key, value in self.headers.items()})
            self.send_response(200)
            self.send_header("content-length", "1")
            self.end_headers()
            self.wfile.write(b"7")

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/stock", received
    server.shutdown()


def add_routes(app: Any, url: str) -> None:
    """Add routes that every page's application has."""
    import httpx

    @app.get("/call")
    def call() -> int:
        return int(httpx.get(url).json())

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("no stock")

    @app.get("/health")
    @app.get("/health-records")
    def health() -> str:
        return "ok"


async def send(app: Any, path: str, headers: dict[str, str]) -> None:
    """Send a GET request as a server would."""
    raw = {"host": "shop.example", "user-agent": "curl/8.5.0"} | headers
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"colour=green" if path.startswith("/items") else b"",
        "root_path": "",
        "headers": [(key.lower().encode(), value.encode()) for key, value in raw.items()],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked:
            await asyncio.sleep(3600)  # the client stays connected
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def answer(message: dict[str, Any]) -> None:
        """Drop the response."""

    try:
        await app(scope, receive, answer)
    except RuntimeError:
        logging.getLogger("record").debug("%s failed", path)


def imported(text: str, folder: str) -> Any:
    """The application as a module `shop` in a file, because tracers read the source of their callers."""
    Path(folder, "shop.py").write_text(text, encoding="utf-8")
    sys.path.insert(0, folder)
    return importlib.import_module("shop")


def record(name: str, side: str) -> dict[str, Any]:
    """Run the application; return the spans of each request and the trace headers of the call."""
    reader: Reader = READERS.get(name, OpenTelemetryReader)() if side == "before" else OpenTelemetryReader()
    reader.prepare()
    sys.modules["tracing"] = old_tracing
    found: dict[str, Any] = {}
    with called_service() as (url, received), TemporaryDirectory() as folder:
        module = imported(code(name, side), folder)
        add_routes(module.app, url)
        asyncio.run(send(module.app, "/health", {}))  # `eco2-tracing run` configures at the first request
        reader.attach(module.__dict__)
        reader.take()
        for request, (path, headers) in REQUESTS.items():
            asyncio.run(send(module.app, path, headers))
            found[request] = reader.take()
    made = {"requests": found, "sent": sorted(received[0].keys() - PLAIN)}
    masked: dict[str, Any] = json.loads(json.dumps(made).replace(urlsplit(url).netloc, "stock:8000"))
    return masked


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    json.dump(record(*sys.argv[1:3]), sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # exporters would wait for servers that do not exist
