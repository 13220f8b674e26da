"""Clients of brokers without a network: what the hooks touch of each, and no more.

The real ones run against real brokers in the other tests. These show what cannot be had from a broker at will.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


def copies(*names: str) -> dict[str, type]:
    """Classes of a test's own, that it may change."""
    own = {"__dict__", "__weakref__"}
    return {
        name: type(name, (), {key: value for key, value in vars(globals()[name]).items() if key not in own})
        for name in names
    }


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

    def __init__(self, **config: Any) -> None:
        self.client = SimpleNamespace(hosts=[("early", 9092, 0)])
        self.sent: list[Any] = []

    async def send(self, topic: Any, *args: Any, headers: Any = None, **more: Any) -> Any:
        self.sent.append(args[4] if len(args) > 4 else headers)
        return "future"


class AIOKafkaConsumer:
    """aiokafka's."""

    def __init__(self, *batches: list[Any], **config: Any) -> None:
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


class BasicProperties:
    """pika's."""

    def __init__(self, headers: Any = None, message_id: Any = None) -> None:
        self.headers = headers
        self.message_id = message_id
        self.correlation_id = None


class Channel:
    """pika's, which calls back at once when it consumes."""

    def __init__(self, connection: Any = None) -> None:
        parameters = SimpleNamespace(host="rabbit", port=5672)
        self.connection = connection or SimpleNamespace(params=parameters)
        self.sent: list[Any] = []
        self.deliveries: list[Any] = []

    def basic_publish(
        self, exchange: str, routing_key: str, body: bytes, properties: Any = None, mandatory: bool = False
    ) -> None:
        self.sent.append(properties)

    def basic_consume(self, queue: str, on_message_callback: Any = None, auto_ack: bool = False) -> str:
        for method, properties, body in self.deliveries:
            on_message_callback(self, method, properties, body)
        return "tag"


class BlockingChannel:
    """pika's, which works by a plain one."""

    def __init__(self, plain: Any) -> None:
        self.connection = SimpleNamespace(_impl=plain.connection)
        self.plain = plain
        self.found: list[Any] = []
        self.is_closed = False

    def basic_publish(
        self, exchange: str, routing_key: str, body: bytes, properties: Any = None, mandatory: bool = False
    ) -> None:
        self.plain.basic_publish(exchange, routing_key, body, properties, mandatory)

    def basic_consume(self, queue: str, on_message_callback: Any, auto_ack: bool = False) -> Any:
        self.callback = on_message_callback
        return self.plain.basic_consume(queue, on_message_callback=self.on_delivery)

    def on_delivery(self, channel: Any, method: Any, properties: Any, body: Any) -> None:
        self.callback(self, method, properties, body)

    def basic_get(self, queue: str, auto_ack: bool = False) -> Any:
        return self.found.pop(0) if self.found else (None, None, None)

    def consume(self, queue: str, inactivity_timeout: Any = None) -> Any:
        while self.found:
            yield self.found.pop(0)

    def cancel(self) -> None:
        pass

    def close(self) -> None:
        self.is_closed = True


def delivery(headers: Any = None, routing_key: str = "orders", exchange: str = "") -> Any:
    """A message of pika: method, properties, body."""
    method = SimpleNamespace(exchange=exchange, routing_key=routing_key, delivery_tag=1)
    return method, BasicProperties(headers, "m1"), b"tea"


class IncomingMessage:
    """aio-pika's, in both directions."""

    def __init__(self, headers: Any = None, **more: Any) -> None:
        self.headers = headers
        self.exchange, self.routing_key, self.delivery_tag = "shop", "orders.1", 1
        self.message_id, self.correlation_id = "m1", "c1"


class ProcessContext:
    """aio-pika's ``message.process()``."""

    def __init__(self, message: Any) -> None:
        self.message = message

    async def __aenter__(self) -> Any:
        return self.message

    async def __aexit__(self, *error: object) -> None:
        pass


class AioChannel:
    """aio-pika's."""

    def __init__(self) -> None:
        self.connection = SimpleNamespace(url=SimpleNamespace(host="rabbit", port=None))

    async def close(self) -> None:
        pass


class Exchange:
    """aio-pika's."""

    def __init__(self, name: str, channel: Any) -> None:
        self.name, self.channel = name, channel
        self.sent: list[Any] = []

    async def publish(self, message: Any, routing_key: str, *, mandatory: bool = True) -> str:
        self.sent.append(message)
        return "confirmed"


class Queue:
    """aio-pika's, which calls back at once when it consumes."""

    def __init__(self, name: str, channel: Any, *messages: Any) -> None:
        self.name, self.channel = name, channel
        self.messages = list(messages)

    async def consume(self, callback: Any, no_ack: bool = False) -> str:
        for message in self.messages:
            await callback(message)
        return "tag"

    async def get(self, *, fail: bool = True) -> Any:
        return self.messages.pop(0) if self.messages else None


class QueueIterator:
    """aio-pika's."""

    def __init__(self, queue: Any) -> None:
        self._amqp_queue = queue
        self.put_aside: list[Any] = []

    async def on_message(self, message: Any) -> None:
        self.put_aside.append(message)

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        if not self._amqp_queue.messages:
            raise StopAsyncIteration
        return self._amqp_queue.messages.pop(0)

    async def close(self) -> None:
        pass
