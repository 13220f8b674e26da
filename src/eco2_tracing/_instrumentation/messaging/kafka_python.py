"""kafka-python: ``send``, iteration and ``poll``."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from eco2_tracing._instrumentation.messaging.kafka import (
    client_of,
    grouped,
    known,
    messages_of,
    topic_of,
    with_headers,
)
from eco2_tracing._instrumentation.messaging.spans import closing, received, sending, suppressed

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.common.replacement import Args, Instance, Kwargs, Patches, Wrapped
    from eco2_tracing._instrumentation.messaging.model import Client


def instrument(patches: Patches) -> None:
    """Trace kafka-python."""
    kafka = import_module("kafka")
    patches.wrap(kafka.KafkaProducer, "send", _send)
    patches.wrap(kafka.KafkaConsumer, "__next__", _next)
    patches.wrap(kafka.KafkaConsumer, "poll", _poll)
    patches.wrap(kafka.KafkaConsumer, "close", closing)


def _client(instance: Instance) -> Client:
    config = instance.config
    return client_of(config["bootstrap_servers"], config["client_id"], config.get("group_id"))


def _send(wrapped: Wrapped, instance: Instance, args: Args, kwargs: Kwargs) -> object:
    if suppressed():
        return wrapped(*args, **kwargs)
    client, topic = known(partial(_client, instance)), topic_of(args, kwargs)
    with sending(client, "send", topic, topic, {}):
        args, kwargs = with_headers(args, kwargs, 3, client.host)
        return wrapped(*args, **kwargs)


def _next(wrapped: Wrapped, instance: Instance, args: Args, kwargs: Kwargs) -> object:
    call = partial(wrapped, *args, **kwargs)
    return received(instance, "poll", call, lambda record: (_client(instance), messages_of([record])))


def _poll(wrapped: Wrapped, instance: Instance, args: Args, kwargs: Kwargs) -> object:
    # Iteration polls too, without updating offsets.
    if not (args[2] if len(args) > 2 else kwargs.get("update_offsets", True)):
        return wrapped(*args, **kwargs)
    call = partial(wrapped, *args, **kwargs)
    return received(instance, "poll", call, lambda found: (_client(instance), grouped(found)))
