"""One library switched on for one test, and the servers that libraries talk to."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.support.postgres import Postgres, postgres
from tests.support.recorded import Recorded, provider, spans
from tests.support.redis import redis_server

from eco2_tracing._instrumentation._libraries import instrument_libraries, uninstrument_libraries

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
def redis_port() -> Iterator[int]:
    """The port of a running Redis."""
    with redis_server() as port:
        yield port
