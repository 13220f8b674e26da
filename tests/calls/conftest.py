"""A server on loopback that records requests, and the HTTP clients that call it."""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient

import eco2_tracing
from eco2_tracing.testing import CapturedSpans

TRACE_HEADERS = {
    "b3",
    "traceparent",
    "tracestate",
    "uber-trace-id",
    "x-b3-flags",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-spanid",
    "x-b3-traceid",
}


class Seen:
    """A request as it was received.

    Args:
        path: With the query.
        pairs: Header pairs in their order, the names in lower case.
    """

    def __init__(self, path: str, pairs: list[tuple[str, str]]) -> None:
        self.path = path
        self.pairs = pairs

    def __getitem__(self, name: str) -> str | None:
        found = [value for key, value in self.pairs if key == name]
        assert len(found) < 2, f"{name} came {len(found)} times: {found}"
        return found[0] if found else None

    @property
    def trace(self) -> dict[str, str]:
        """Its trace headers."""
        return {key: value for key, value in self.pairs if key in TRACE_HEADERS}


class Callee:
    """A server on a free port of loopback."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.responses: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        """The URL of a path."""
        return f"http://{host}:{self.port}{path}"

    def answer(self, path: str, status: int = 200, body: bytes = b"", **headers: str) -> None:
        """Set the response to requests for a path; the default is an empty 200."""
        self.responses[path] = (
            status,
            {name.replace("_", "-"): value for name, value in headers.items()},
            body,
        )

    @property
    def last(self) -> Seen:
        """The last request received."""
        return self.seen[-1]

    def stop(self) -> None:
        """Stop listening."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def _handler(callee: Callee) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            callee.seen.append(
                Seen(self.path, [(name.lower(), value) for name, value in self.headers.items()])
            )
            if self.path == "/silent":
                callee.released.wait(10)
                self.close_connection = True
                return
            status, headers, body = callee.responses.get(self.path, (200, {}, b""))
            if status == 401 and "authorization" in self.headers:
                status, headers = 200, {}
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer

        def log_message(self, *args: object) -> None:
            """Write no access log."""

    return Handler


class Caller:
    """A client library, synchronous or not.

    Args:
        name: ``httpx`` or ``httpx2``.
        is_async: Whether its ``AsyncClient`` is used.
    """

    def __init__(self, name: str, is_async: bool) -> None:
        self.name = name
        self.module: Any = importlib.import_module(name)
        self.is_async = is_async
        self._opened: list[Any] = []

    def client(self, **options: Any) -> Any:
        """A client that is closed after the test; it loads no certificates, which takes most of the time."""
        options = {"trust_env": False, "verify": False, **options}
        self._opened.append((self.module.AsyncClient if self.is_async else self.module.Client)(**options))
        return self._opened[-1]

    def close(self) -> None:
        """Close the synchronous clients; `get` closes the others in their event loop."""
        for client in self._opened:
            if not self.is_async:
                client.close()

    def names(self, port: int) -> Any:
        """A transport that connects to one port of loopback for every host name."""
        core: Any = importlib.import_module(self.name.replace("x", "core"))
        base = core.AnyIOBackend if self.is_async else core.SyncBackend

        class Loopback(base):  # type: ignore[misc, valid-type]
            if self.is_async:

                async def connect_tcp(self, **options: Any) -> Any:
                    return await base.connect_tcp(self, **{**options, "host": "127.0.0.1", "port": port})

            else:

                def connect_tcp(self, **options: Any) -> Any:
                    return base.connect_tcp(self, **{**options, "host": "127.0.0.1", "port": port})

        module = self.module
        transport = (module.AsyncHTTPTransport if self.is_async else module.HTTPTransport)(verify=False)
        pool = core.AsyncConnectionPool if self.is_async else core.ConnectionPool
        transport._pool = pool(network_backend=Loopback())
        return transport

    def get(self, url: str, *, client: Any = None, **options: Any) -> Any:
        """Make one GET request; without a client, a new one is used and closed."""
        if not self.is_async:
            if client is not None:
                return client.get(url, **options)
            with self.client() as made:
                return made.get(url, **options)
        made = client or self.client()

        async def call() -> Any:
            async with made:
                return await made.get(url, **options)

        return asyncio.run(call())


@pytest.fixture
def callee():
    """A server that records requests."""
    made = Callee()
    yield made
    made.stop()


@pytest.fixture(params=["httpx", "httpx-async", "httpx2", "httpx2-async"])
def caller(request):
    """Each client library and kind of client."""
    name, _, kind = request.param.partition("-")
    made = Caller(name, kind == "async")
    yield made
    made.close()


@pytest.fixture
def one():
    """One client library and kind, for tests that do not depend on it."""
    made = Caller("httpx2", is_async=False)
    yield made
    made.close()


def configure(**settings: Any) -> CapturedSpans:
    """Configure tracing with these settings; return the captured spans."""
    captured = CapturedSpans()
    eco2_tracing.configure_tracing(
        settings=eco2_tracing.TracingSettings(traces_exporter="none", **settings), span_processors=[captured]
    )
    return captured


def inside(work: Callable[[], object], headers: dict[str, str] | None = None, path: str = "/work") -> int:
    """Run code within a traced request that has these headers."""
    app = FastAPI()

    def handler() -> None:
        work()

    app.get(path)(handler)
    app.get("/error" + path)(_failing(work))
    eco2_tracing.instrument_app(app)
    with TestClient(app, raise_server_exceptions=False) as client:
        return client.get(path, headers=headers or {}).status_code


def _failing(work: Callable[[], object]) -> Callable[[], None]:
    def handler() -> None:
        work()
        raise HTTPException(503)

    return handler
