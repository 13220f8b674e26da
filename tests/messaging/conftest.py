"""The brokers, one of each for all tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
from opentelemetry.context import Context, attach
from tests.support.kafka import kafka
from tests.support.rabbitmq import rabbitmq

from eco2_tracing._instrumentation.common.replacement import Patches


@pytest.fixture(autouse=True)
def _own_context() -> Iterator[None]:
    """Nothing is current when a test begins, whatever the one before has left open."""
    attach(Context())
    yield
    attach(Context())


@pytest.fixture(autouse=True, scope="module")
def _confluent_is_not_left() -> Iterator[None]:
    """Tests of other files do not instrument confluent-kafka, which searches thousands of modules each time."""
    yield
    sys.modules.pop("confluent_kafka", None)


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


@pytest.fixture
def hooks_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is switched on but what the test itself does."""
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "*")


@pytest.fixture
def patches() -> Iterator[Patches]:
    """What a test switches on, undone after it."""
    patches = Patches()
    yield patches
    patches.undo()
    assert not patches.are_on


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    """Put a package in the place of a real one."""

    def put(name: str, **members: object) -> ModuleType:
        module = ModuleType(name)
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return put
