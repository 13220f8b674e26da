"""The servers of the Flask example, one of each for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.kafka import kafka
from tests.support.mariadb import mariadb
from tests.support.redis import redis_server


@pytest.fixture(scope="session")
def mysql() -> Iterator[int]:
    """The port of a database server; skips if there is none."""
    with mariadb() as port:
        yield port


@pytest.fixture(scope="session")
def redis() -> Iterator[int]:
    """The port of a Redis; skips if there is none."""
    with redis_server() as port:
        yield port


@pytest.fixture(scope="session")
def broker() -> Iterator[int]:
    """The port of a Kafka; skips if there is none."""
    with kafka() as port:
        yield port
