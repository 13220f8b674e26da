"""aiokafka: ``send``, iteration, ``getone`` and ``getmany``."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from eco2_tracing._guard import guarded
from eco2_tracing._instrumentation.messaging.kafka import (
    client_of,
    grouped,
    known,
    messages_of,
    topic_of,
    with_headers,
)
from eco2_tracing._instrumentation.messaging.model import Client
from eco2_tracing._instrumentation.messaging.spans import closing, received_async, sending, suppressed

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.common.replacement import Args, Instance, Kwargs, Patches, Wrapped

_DEFAULT_SERVERS = "localhost"
_clients: WeakKeyDictionary[object, Client] = WeakKeyDictionary()
"""By producer or consumer: the configuration cannot be read from it by public names."""


def instrument(patches: Patches) -> None:
    """Trace aiokafka."""
    aiokafka = import_module("aiokafka")
    for kind in (aiokafka.AIOKafkaProducer, aiokafka.AIOKafkaConsumer):
        patches.wrap(kind, "__init__", _init)
    patches.wrap(aiokafka.AIOKafkaProducer, "send", _send)
    patches.wrap(aiokafka.AIOKafkaConsumer, "getone", _getone)  # iteration calls it
    patches.wrap(aiokafka.AIOKafkaConsumer, "getmany", _getmany)
    patches.wrap(aiokafka.AIOKafkaConsumer, "stop", closing)


def _init(wrapped: Wrapped, instance: Instance, args: Args, kwargs: Kwargs) -> None:
    wrapped(*args, **kwargs)
    with guarded("describing a client of Kafka"):
        servers = kwargs.get("bootstrap_servers", _DEFAULT_SERVERS)
        _clients[instance] = client_of(servers, kwargs.get("client_id"), kwargs.get("group_id"))


def _client(instance: Instance) -> Client:
    """Describe a client; of one that was made before the instrumentation a producer's host alone is known."""
    found = _clients.get(instance)
    if found is not None:
        return found
    client = getattr(instance, "client", None)
    return Client("kafka") if client is None else Client("kafka", *client.hosts[0][:2])


async def _send(wrapped: Wrapped, instance: Instance, args: Args, kwargs: Kwargs) -> object:
    if suppressed():
        return await wrapped(*args, **kwargs)
    client, topic = known(partial(_client, instance)), topic_of(args, kwargs)
    with sending(client, "send", topic, topic, {}):
        args, kwargs = with_headers(args, kwargs, 5, client.host)
        return await wrapped(*args, **kwargs)


async def _getone(wrapped: Wrapped, instance: Instance, args: Args, kwargs: Kwargs) -> object:
    call = partial(wrapped, *args, **kwargs)
    return await received_async(
        instance, "poll", call, lambda record: (_client(instance), messages_of([record]))
    )


async def _getmany(wrapped: Wrapped, instance: Instance, args: Args, kwargs: Kwargs) -> object:
    call = partial(wrapped, *args, **kwargs)
    return await received_async(instance, "poll", call, lambda found: (_client(instance), grouped(found)))
