"""Clients of brokers without a network: what the hooks touch of each, and no more.

The real ones run against real brokers in the other tests. These show what cannot be had from a broker at will.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


def copies(*names: str) -> dict[str, type]:
    """Classes of a test's own, that it may change."""
    return {name: type(name, (), dict(vars(globals()[name]))) for name in names}


def record(topic: str = "orders", headers: Any = (), offset: int = 7) -> Any:
    """A record of kafka-python and aiokafka."""
    return SimpleNamespace(topic=topic, partition=0, offset=offset, headers=headers)


class KafkaProducer:
    """kafka-python's."""

    def __init__(self, **config: Any) -> None:
        self.config = {"bootstrap_servers": ["kafka:9092", "other:9092"], "client_id": "shop", **config}
        self.sent: list[Any] = []

    def send(self, topic: Any, value: Any = None, key: Any = None, headers: Any = None, **more: Any) -> Any:
        if headers is not None and not isinstance(headers, list):
            raise TypeError("headers must be list-type")
        self.sent.append(headers)
        return "future"


class KafkaConsumer:
    """kafka-python's: batches of records, which iteration gives one by one."""

    def __init__(self, *batches: list[Any]) -> None:
        self.config = {"bootstrap_servers": "kafka:9092", "client_id": "kitchen", "group_id": "cooks"}
        self.batches = list(batches)
        self.is_closed = False

    def poll(self, timeout_ms: int = 0, max_records: Any = None, update_offsets: bool = True) -> Any:
        return {("orders", 0): self.batches.pop(0)} if self.batches else {}

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        found = self.poll(update_offsets=False)
        if not found:
            raise StopIteration
        return found["orders", 0][0]

    def close(self) -> None:
        self.is_closed = True


class AIOKafkaProducer:
    """aiokafka's."""

    def __init__(self) -> None:
        self.client = SimpleNamespace(_bootstrap_servers="kafka:9092", _client_id="shop")
        self.sent: list[Any] = []

    async def send(self, topic: Any, *args: Any, headers: Any = None, **more: Any) -> Any:
        self.sent.append(args[4] if len(args) > 4 else headers)
        return "future"


class AIOKafkaConsumer:
    """aiokafka's."""

    def __init__(self, *batches: list[Any]) -> None:
        self._client = SimpleNamespace(_bootstrap_servers=["kafka:9092"], _client_id="kitchen")
        self._group_id = "cooks"
        self.batches = list(batches)

    async def getone(self) -> Any:
        return self.batches.pop(0)[0]

    async def getmany(self) -> Any:
        return {("orders", 0): self.batches.pop(0)} if self.batches else {}

    async def stop(self) -> None:
        pass


class ConfluentMessage:
    """confluent-kafka's message."""

    def __init__(self, headers: Any = None, error: Any = None) -> None:
        self.parts = ("orders", 0, 7, headers, error)

    def topic(self) -> str:
        return str(self.parts[0])

    def partition(self) -> int:
        return int(self.parts[1])

    def offset(self) -> int:
        return int(self.parts[2])

    def headers(self) -> Any:
        return self.parts[3]

    def error(self) -> Any:
        return self.parts[4]


class ConfluentProducer:
    """confluent-kafka's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.sent: list[Any] = []

    def produce(self, topic: Any, *args: Any, headers: Any = None, **more: Any) -> None:
        self.sent.append(args[5] if len(args) > 5 else headers)


class ConfluentConsumer:
    """confluent-kafka's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.batches: list[list[Any]] = []
        self.is_closed = False

    def poll(self, timeout: float = -1) -> Any:
        return self.batches.pop(0)[0] if self.batches else None

    def consume(self, number: int = 1, timeout: float = -1) -> Any:
        return self.batches.pop(0) if self.batches else []

    def close(self) -> None:
        self.is_closed = True

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *args: object) -> None:
        self.is_closed = True


def confluent_kafka() -> Any:
    """The package, with classes of its own."""

    def subclass(name: str, base: type) -> type:
        return type(name, (base,), {"__module__": "confluent_kafka"})

    return {
        "Producer": subclass("Producer", ConfluentProducer),
        "SerializingProducer": subclass("SerializingProducer", ConfluentProducer),
        "Consumer": subclass("Consumer", ConfluentConsumer),
        "DeserializingConsumer": subclass("DeserializingConsumer", ConfluentConsumer),
    }
