"""The clients of Kafka: kafka-python's and aiokafka's hooks, and what confluent-kafka's share with them.

- kafka-python: ``send``, iteration and ``poll``.
- aiokafka: ``send``, iteration, ``getone`` and ``getmany``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Protocol
from weakref import WeakKeyDictionary

from eco2_tracing._guard import attempt, guarded
from eco2_tracing._instrumentation.common.outgoing_headers import outgoing
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing._instrumentation.messaging.model import BODY_SIZE, Client, Message
from eco2_tracing._instrumentation.messaging.spans import (
    closing,
    received,
    received_async,
    sending,
    suppressed,
)

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    from eco2_tracing._instrumentation.common.outgoing_headers import Headers
    from eco2_tracing._instrumentation.common.replacement import Args, Instance, Kwargs, Patches, Wrapped


_PARTITION = "messaging.destination.partition.id"


class Record(Protocol):
    """A record of kafka-python and aiokafka."""

    topic: str
    partition: int
    offset: int
    headers: Headers
    serialized_value_size: int


def client_of(
    servers: str | Iterable[str] | None, client_id: str | None = None, group: str | None = None
) -> Client:
    """Describe a producer or consumer.

    Args:
        servers: Its bootstrap servers; the first one stands for the cluster.
        client_id: Its own name.
        group: A consumer's group.
    """
    first = servers if isinstance(servers, str) else next(iter(servers or ()), "")
    host, port = _host_and_port(first.partition(",")[0].strip().rpartition("://")[2])
    return Client(
        "kafka", host, port, {"messaging.client.id": client_id, "messaging.consumer.group.name": group}
    )


def _host_and_port(server: str) -> tuple[str | None, int | None]:
    host, colon, port = server.rpartition(":")
    if not colon or not port.isdecimal():
        return server or None, None
    return host.strip("[]"), int(port)


def message(
    topic: str, partition: int, offset: int, headers: Headers | None, size: int | None = None
) -> Message:
    """Describe a message without its key, which may be a person's name. Only a ``size`` above 0 is recorded."""
    details: dict[str, AttributeValue] = {_PARTITION: str(partition), "messaging.kafka.offset": offset}
    if size is not None and size >= 0:
        details[BODY_SIZE] = size
    return Message(topic, topic, headers, details)


def messages_of(records: Iterable[Record]) -> list[Message]:
    """Describe records."""
    return [
        message(
            record.topic,
            record.partition,
            record.offset,
            record.headers,
            record.serialized_value_size if current.sizes else None,
        )
        for record in records
    ]


def grouped(found: Mapping[object, Iterable[Record]]) -> list[Message]:
    """Describe the records of a poll, which are grouped by partition."""
    return messages_of(record for partition in found.values() for record in partition)


def with_headers(args: Args, kwargs: Kwargs, position: int, host: str | None) -> tuple[Args, Kwargs]:
    """Return the arguments of a call that sends, with trace context in the headers.

    Returns:
        The new arguments; the given ones if the client does not accept their headers.
    """
    with guarded("writing the headers of a message"):
        given = args[position] if len(args) > position else kwargs.get("headers")
        if given is not None and not isinstance(given, list | dict):
            return args, kwargs
        pairs = outgoing(given.items() if isinstance(given, dict) else given or (), host)
        # Values of the application stay as they are; ours are text, and Kafka sends bytes.
        values = [(name, value.encode() if isinstance(value, str) else value) for name, value in pairs]
        headers = dict(values) if isinstance(given, dict) else values
        if len(args) > position:
            return (*args[:position], headers, *args[position + 1 :]), kwargs
        return args, {**kwargs, "headers": headers}
    return args, kwargs


def sent_details(args: Args, kwargs: Kwargs, position: int) -> dict[str, AttributeValue]:
    """Return the attributes of a call that sends: the partition, if the call names one, and the size of bytes.

    Another partition and the offset are known when the span has ended. Other values are serialized later.
    """
    partition = args[position] if len(args) > position else kwargs.get("partition")
    known: dict[str, AttributeValue] = {}
    if type(partition) is int and partition >= 0:
        known[_PARTITION] = str(partition)
    if current.sizes:
        value = args[1] if len(args) > 1 else kwargs.get("value")
        if isinstance(value, bytes | bytearray):
            known[BODY_SIZE] = len(value)
    return known


def topic_of(args: Args, kwargs: Kwargs) -> str:
    """Return the first argument of a call that sends."""
    return str(args[0] if args else kwargs.get("topic"))


def known(describe: Callable[[], Client]) -> Client:
    """Describe a client; without attributes if that fails."""
    return attempt("describing a client of Kafka", describe, default=Client("kafka"))


def instrument_kafka_python(patches: Patches) -> None:
    """Trace kafka-python."""
    kafka = import_module("kafka")
    patches.wrap(kafka.KafkaProducer, "send", _kafka_python_send)
    patches.wrap(kafka.KafkaConsumer, "__next__", _kafka_python_next)
    patches.wrap(kafka.KafkaConsumer, "poll", _kafka_python_poll)
    patches.wrap(kafka.KafkaConsumer, "close", closing)


def _kafka_python_client(instance: Instance) -> Client:
    config = instance.config
    return client_of(config["bootstrap_servers"], config["client_id"], config.get("group_id"))


def _kafka_python_send(wrapped: Wrapped, instance: Instance, args: Args, kwargs: Kwargs) -> object:
    if suppressed():
        return wrapped(*args, **kwargs)
    client, topic = known(partial(_kafka_python_client, instance)), topic_of(args, kwargs)
    with sending(client, "send", topic, topic, sent_details(args, kwargs, 4)):
        args, kwargs = with_headers(args, kwargs, 3, client.host)
        return wrapped(*args, **kwargs)


def _kafka_python_next(wrapped: Wrapped, instance: Instance, args: Args, kwargs: Kwargs) -> object:
    call = partial(wrapped, *args, **kwargs)
    return received(
        instance, "poll", call, lambda record: (_kafka_python_client(instance), messages_of([record]))
    )


def _kafka_python_poll(wrapped: Wrapped, instance: Instance, args: Args, kwargs: Kwargs) -> object:
    # Iteration polls too, without updating offsets.
    if not (args[2] if len(args) > 2 else kwargs.get("update_offsets", True)):
        return wrapped(*args, **kwargs)
    call = partial(wrapped, *args, **kwargs)
    return received(instance, "poll", call, lambda found: (_kafka_python_client(instance), grouped(found)))


_DEFAULT_SERVERS = "localhost"
_clients: WeakKeyDictionary[object, Client] = WeakKeyDictionary()
"""By producer or consumer: the configuration cannot be read from it by public names."""


def instrument_aiokafka(patches: Patches) -> None:
    """Trace aiokafka."""
    aiokafka = import_module("aiokafka")
    for kind in (aiokafka.AIOKafkaProducer, aiokafka.AIOKafkaConsumer):
        patches.wrap(kind, "__init__", _aiokafka_init)
    patches.wrap(aiokafka.AIOKafkaProducer, "send", _aiokafka_send)
    patches.wrap(aiokafka.AIOKafkaConsumer, "getone", _aiokafka_getone)  # iteration calls it
    patches.wrap(aiokafka.AIOKafkaConsumer, "getmany", _aiokafka_getmany)
    patches.wrap(aiokafka.AIOKafkaConsumer, "stop", closing)


def _aiokafka_init(wrapped: Wrapped, instance: Instance, args: Args, kwargs: Kwargs) -> None:
    wrapped(*args, **kwargs)
    with guarded("describing a client of Kafka"):
        servers = kwargs.get("bootstrap_servers", _DEFAULT_SERVERS)
        _clients[instance] = client_of(servers, kwargs.get("client_id"), kwargs.get("group_id"))


def _aiokafka_client(instance: Instance) -> Client:
    """Describe a client; of one that was made before the instrumentation a producer's host alone is known."""
    found = _clients.get(instance)
    if found is not None:
        return found
    client = getattr(instance, "client", None)
    return Client("kafka") if client is None else Client("kafka", *client.hosts[0][:2])


async def _aiokafka_send(wrapped: Wrapped, instance: Instance, args: Args, kwargs: Kwargs) -> object:
    if suppressed():
        return await wrapped(*args, **kwargs)
    client, topic = known(partial(_aiokafka_client, instance)), topic_of(args, kwargs)
    with sending(client, "send", topic, topic, sent_details(args, kwargs, 3)):
        args, kwargs = with_headers(args, kwargs, 5, client.host)
        return await wrapped(*args, **kwargs)


async def _aiokafka_getone(wrapped: Wrapped, instance: Instance, args: Args, kwargs: Kwargs) -> object:
    call = partial(wrapped, *args, **kwargs)
    return await received_async(
        instance, "poll", call, lambda record: (_aiokafka_client(instance), messages_of([record]))
    )


async def _aiokafka_getmany(wrapped: Wrapped, instance: Instance, args: Args, kwargs: Kwargs) -> object:
    call = partial(wrapped, *args, **kwargs)
    return await received_async(
        instance, "poll", call, lambda found: (_aiokafka_client(instance), grouped(found))
    )
