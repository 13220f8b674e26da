"""kafka-python: ``send``, iteration and ``poll``."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from eco2_tracing._instrumentation.messaging.kafka import (
    argument,
    client_of,
    described,
    guarded,
    with_headers,
)
from eco2_tracing._instrumentation.messaging.spans import asking, closing, got, sending, suppressed

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.messaging.model import Client
    from eco2_tracing._instrumentation.messaging.switch import Patches


def instrument(patches: Patches) -> None:
    """Trace kafka-python.

    Args:
        patches: Remembers what to undo.
    """
    kafka = import_module("kafka")
    patches.wrap(kafka.KafkaProducer, "send", _send)
    patches.wrap(kafka.KafkaConsumer, "__next__", _next)
    patches.wrap(kafka.KafkaConsumer, "poll", _poll)
    patches.wrap(kafka.KafkaConsumer, "close", _close)


def _client(instance: Any) -> Client:
    config = instance.config
    return client_of(config["bootstrap_servers"], config["client_id"], config.get("group_id"))


def _send(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if suppressed():
        return wrapped(*args, **kwargs)
    client, topic = guarded(lambda: _client(instance)), str(argument(args, kwargs, 0, "topic"))
    with sending(client, "send", topic, topic, {}):
        args, kwargs = with_headers(args, kwargs, 3, client.host)
        return wrapped(*args, **kwargs)


def _next(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if suppressed():
        return wrapped(*args, **kwargs)
    started = asking(instance)
    record = wrapped(*args, **kwargs)
    got(instance, "poll", started, lambda: described(_client(instance), [record]))
    return record


def _poll(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    # Iteration polls, too, and says so in this way.
    if suppressed() or not argument(args, {"update_offsets": True, **kwargs}, 2, "update_offsets"):
        return wrapped(*args, **kwargs)
    started = asking(instance)
    found = wrapped(*args, **kwargs)
    records = [record for partition in found.values() for record in partition]
    got(instance, "poll", started, lambda: described(_client(instance), records))
    return found


def _close(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    closing(instance)
    return wrapped(*args, **kwargs)
