"""HTTP client libraries under their instrumentations, and host names that resolve to loopback."""

from __future__ import annotations

import asyncio
import importlib
import socket
from typing import Any

import pytest
from opentelemetry.instrumentation.utils import suppress_http_instrumentation
from opentelemetry.propagate import inject

from eco2_tracing._instrumentation.common.attempts import patch_attempts
from eco2_tracing._instrumentation.contrib import switch
from eco2_tracing._instrumentation.instrument import instrument_libraries

Headers = dict[str, str]


def _requests(url: str, headers: Headers) -> None:
    with importlib.import_module("requests").Session() as session:
        session.trust_env = False
        session.get(url, headers=headers, timeout=5)


def _urllib(url: str, headers: Headers) -> None:
    request = importlib.import_module("urllib.request")
    opener = request.build_opener(request.ProxyHandler({}))
    opener.open(request.Request(url, headers=headers), timeout=5).close()


def _urllib3(url: str, headers: Headers) -> None:
    with importlib.import_module("urllib3").PoolManager(retries=3) as pool:
        pool.request("GET", url, headers=headers)


def _aiohttp(url: str, headers: Headers) -> None:
    aiohttp = importlib.import_module("aiohttp")

    async def call() -> None:
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
            ) as session,
            session.get(url, headers=headers) as answer,
        ):
            await answer.read()

    asyncio.run(call())


SENDERS = {"requests": _requests, "urllib": _urllib, "urllib3": _urllib3, "aiohttp-client": _aiohttp}


class Library:
    """A client library with the instrumentation that injects trace headers.

    Args:
        name: The instrumentation's entry point.
        real: Whether it is contrib's; else a replacement injects as contrib does without a recording span.
    """

    def __init__(self, name: str, real: bool) -> None:
        self.name = name
        self.real = real
        pytest.importorskip({"aiohttp-client": "aiohttp"}.get(name, name))

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that select the instrumentation."""
        if self.real:
            return {"instrumentations": self.name}
        return {"disabled_instrumentations": "*"}

    def prepare(self) -> None:
        """Apply the instrumentation; called after `configure_tracing`."""
        if not self.real:
            patch_attempts(self.name)
        elif self.name not in instrument_libraries([self.name]):
            pytest.skip(f"the instrumentation of {self.name} is not installed")

    def get(self, url: str, headers: Headers | None = None) -> None:
        """Make one GET request with these headers."""
        sent = dict(headers or {})
        if self.real:
            SENDERS[self.name](url, sent)
            return
        inject(sent)
        with suppress_http_instrumentation():
            SENDERS[self.name](url, sent)


class Httpx:
    """`httpx` or `httpx2` under contrib's instrumentation.

    Args:
        name: The name of the package.
        is_async: Whether its ``AsyncClient`` is used.
    """

    real = True

    def __init__(self, name: str, is_async: bool) -> None:
        self.name = name
        self.is_async = is_async
        self.module: Any = importlib.import_module(name)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that select the instrumentation."""
        return {"instrumentation": "contrib"}

    def prepare(self) -> None:
        """Apply the instrumentation; called after `configure_tracing`."""
        if self.name not in switch.instrument_httpx():
            pytest.skip(f"this version of contrib does not know {self.name}")

    def get(self, url: str, headers: Headers | None = None) -> None:
        """Make one GET request with these headers."""
        options = {"trust_env": False, "verify": False, "follow_redirects": True}
        if not self.is_async:
            with self.module.Client(**options) as client:
                client.get(url, headers=headers or {})
            return

        async def call() -> None:
            async with self.module.AsyncClient(**options) as client:
                await client.get(url, headers=headers or {})

        asyncio.run(call())


LIBRARIES = [(name, real) for name in SENDERS for real in (False, True)]
CLIENTS = [(name, is_async) for name in ("httpx", "httpx2") for is_async in (False, True)]


@pytest.fixture(params=LIBRARIES + CLIENTS, ids=lambda given: f"{given[0]}-{given[1]}")
def library(request: pytest.FixtureRequest) -> Library | Httpx:
    """Each library."""
    kind = Httpx if request.param in CLIENTS else Library
    return kind(*request.param)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve every host name to loopback."""
    look_up = socket.getaddrinfo

    def on_loopback(host: Any, *args: Any, **kwargs: Any) -> Any:
        return look_up("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", on_loopback)
