"""The brokers, one of each for all tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.support.kafka import kafka
from tests.support.rabbitmq import rabbitmq


@pytest.fixture(scope="session")
def kafka_port() -> Iterator[int]:
    """The port of a running Kafka."""
    with kafka() as port:
        yield port


@pytest.fixture(scope="session")
def rabbitmq_port() -> Iterator[int]:
    """The port of a running RabbitMQ."""
    with rabbitmq() as port:
        yield port


@pytest.fixture
def port_of(request: pytest.FixtureRequest) -> Callable[[str], int]:
    """Give the port of a broker, which is started with the first test that asks."""
    return lambda broker: int(request.getfixturevalue(f"{broker}_port"))
