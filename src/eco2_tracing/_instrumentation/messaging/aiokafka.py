"""aiokafka: ``send``, iteration, ``getone`` and ``getmany``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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

_Wrapped = Callable[..., Awaitable[Any]]


def instrument(patches: Patches) -> None:
    """Trace aiokafka.

    Args:
        patches: Remembers what to undo.
    """
    aiokafka = import_module("aiokafka")
    patches.wrap(aiokafka.AIOKafkaProducer, "send", _send)
    patches.wrap(aiokafka.AIOKafkaConsumer, "getone", _getone)  # iteration calls it
    patches.wrap(aiokafka.AIOKafkaConsumer, "getmany", _getmany)
    patches.wrap(aiokafka.AIOKafkaConsumer, "stop", _stop)


def _client(client: Any, group: str | None = None) -> Client:
    return client_of(client._bootstrap_servers, client._client_id, group)


def _consumer(instance: Any) -> Client:
    return _client(instance._client, instance._group_id)


async def _send(wrapped: _Wrapped, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if suppressed():
        return await wrapped(*args, **kwargs)
    client, topic = guarded(lambda: _client(instance.client)), str(argument(args, kwargs, 0, "topic"))
    with sending(client, "send", topic, topic, {}):
        args, kwargs = with_headers(args, kwargs, 5, client.host)
        return await wrapped(*args, **kwargs)


async def _getone(wrapped: _Wrapped, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if suppressed():
        return await wrapped(*args, **kwargs)
    started = asking(instance)
    record = await wrapped(*args, **kwargs)
    got(instance, "poll", started, lambda: described(_consumer(instance), [record]))
    return record


async def _getmany(wrapped: _Wrapped, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if suppressed():
        return await wrapped(*args, **kwargs)
    started = asking(instance)
    found = await wrapped(*args, **kwargs)
    records = [record for partition in found.values() for record in partition]
    got(instance, "poll", started, lambda: described(_consumer(instance), records))
    return found


async def _stop(wrapped: _Wrapped, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    closing(instance)
    return await wrapped(*args, **kwargs)
