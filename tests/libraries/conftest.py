"""One library switched on for one test, and the servers that libraries talk to."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from tests.support.mariadb import mariadb
from tests.support.postgres import Postgres, postgres
from tests.support.recorded import Recorded, provider, spans
from tests.support.redis import redis_server

from eco2_tracing import TracingSettings, configure_tracing, instrument_app
from eco2_tracing._instrumentation.instrument import instrument_libraries, uninstrument_libraries
from eco2_tracing.testing import CapturedSpans, ReceivedSpan, b3_headers

__all__ = ["provider", "spans"]

Switch = Callable[[str], Recorded]


@pytest.fixture
def switch_on(spans: Recorded) -> Iterator[Switch]:
    """Switch one library on, and off after the test; skips where its instrumentation does not fit."""

    def switch(name: str) -> Recorded:
        if name not in instrument_libraries([name]):
            pytest.skip(f"{name} or its instrumentation is not installed, or they do not fit each other")
        return spans

    yield switch
    uninstrument_libraries()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a running PostgreSQL."""
    with postgres() as server:
        assert isinstance(server, Postgres)
        yield server.url


@pytest.fixture(scope="session")
def mariadb_port() -> Iterator[int]:
    """The port of a running MariaDB, whose user ``root`` has no password."""
    with mariadb() as port:
        yield port


@pytest.fixture(scope="session")
def redis_port() -> Iterator[int]:
    """The port of a running Redis."""
    with redis_server() as port:
        yield port


class Service:
    """A service at 1 %, as a user writes it: no line about the libraries that it calls.

    Args:
        captured: What it exports.
    """

    def __init__(self, captured: CapturedSpans) -> None:
        self.captured = captured
        self.configure()
        self.app = FastAPI()
        instrument_app(self.app)

    def configure(self) -> None:
        """Do what the service does when it starts."""
        settings = TracingSettings(
            traces_exporter=("none",), traces_sampler="parentbased_traceidratio", traces_sampler_arg="0.01"
        )
        configure_tracing("orders", settings=settings, span_processors=(self.captured,))

    def serve(self, work: Callable[[], object], *, fails: bool = True) -> list[ReceivedSpan]:
        """Do something inside of a request that the mesh did not sample; give what was exported of it."""

        @self.app.get("/work")
        def handle() -> None:
            work()
            if fails:
                raise RuntimeError("too late")

        client = TestClient(self.app, raise_server_exceptions=False)
        assert client.get("/work", headers=b3_headers(sampled=False)).status_code == (500 if fails else 200)
        return list(self.captured.spans)


@pytest.fixture
def service() -> Service:
    """Give a service whose exports are captured."""
    return Service(CapturedSpans())
