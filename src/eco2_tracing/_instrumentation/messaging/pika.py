"""pika: ``basic_publish``, ``basic_consume``, ``consume`` and ``basic_get`` of blocking and other channels."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator
from functools import partial, wraps
from importlib import import_module
from typing import TYPE_CHECKING

from opentelemetry.instrumentation.utils import suppress_instrumentation

from eco2_tracing._compat.pika import UNKNOWN, address
from eco2_tracing._guard import attempt, guarded
from eco2_tracing._instrumentation.messaging.amqp import consumed, details, headers_for, published
from eco2_tracing._instrumentation.messaging.model import Client, Message
from eco2_tracing._instrumentation.messaging.spans import (
    closing,
    handed,
    polled,
    polling,
    received,
    sending,
    suppressed,
)

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.common.replacement import Args, Instance, Kwargs, Patches, Wrapped

    Found = tuple[Instance, Instance, bytes]
    """A message: its method, properties and body; ``None`` for each if there is none."""

_PUBLISHED = ("exchange", "routing_key", "body", "properties", "mandatory")


def instrument(patches: Patches) -> None:
    """Trace pika."""
    properties = import_module("pika").BasicProperties
    blocking = import_module("pika.adapters.blocking_connection").BlockingChannel
    plain = import_module("pika.channel").Channel
    publish, consume = partial(_publish, properties), partial(_basic_consume, blocking)
    for channel in (blocking, plain):
        patches.wrap(channel, "basic_publish", publish)
        patches.wrap(channel, "basic_consume", consume)
    patches.wrap(blocking, "basic_get", _basic_get)
    patches.wrap(blocking, "consume", _consume)
    patches.wrap(blocking, "cancel", closing)
    patches.wrap(blocking, "close", closing)


def _client(channel: Instance) -> Client:
    host, port = attempt("describing a connection of pika", address, channel.connection, default=UNKNOWN)
    return Client("rabbitmq", host, port)


def _publish(
    make_properties: Callable[[], Instance], wrapped: Wrapped, channel: Instance, args: Args, kwargs: Kwargs
) -> object:
    if suppressed():
        return wrapped(*args, **kwargs)
    given = {**dict(zip(_PUBLISHED, args, strict=False)), **kwargs}
    exchange, routing_key = str(given.get("exchange") or ""), str(given.get("routing_key") or "")
    client, properties = _client(channel), given.get("properties")
    target, destination = published(exchange, routing_key)
    with sending(client, "publish", target, destination, details(routing_key, properties)):
        with guarded("writing the headers of a message"):
            # A copy: the application may use the object again, in another thread too.
            properties = make_properties() if properties is None else copy.copy(properties)
            properties.headers = headers_for(properties.headers, client.host)
            args, kwargs = (), {**given, "properties": properties}
        # A blocking channel publishes by a plain channel, which is traced too.
        with suppress_instrumentation():
            return wrapped(*args, **kwargs)


def _message(queue: str, method: Instance, properties: Instance) -> Message:
    attributes = details(method.routing_key, properties, method.delivery_tag)
    headers = getattr(properties, "headers", None)
    return consumed(queue, method.exchange, method.routing_key, headers, attributes)


def _basic_consume(blocking: type, wrapped: Wrapped, channel: Instance, args: Args, kwargs: Kwargs) -> object:
    queue = _queue(args, kwargs)
    callback = args[1] if len(args) > 1 else kwargs.get("on_message_callback")
    # The callback that a blocking channel passes to its plain channel only stores messages.
    if not callable(callback) or isinstance(getattr(callback, "__self__", None), blocking):
        return wrapped(*args, **kwargs)

    @wraps(callback, updated=())
    def traced(channel: Instance, method: Instance, properties: Instance, body: bytes) -> object:
        work = handed(lambda: (_client(channel), _message(queue, method, properties)))
        if work is None:
            return callback(channel, method, properties, body)
        with work:
            return callback(channel, method, properties, body)

    if len(args) > 1:
        return wrapped(args[0], traced, *args[2:], **kwargs)
    return wrapped(*args, **{**kwargs, "on_message_callback": traced})


def _queue(args: Args, kwargs: Kwargs) -> str:
    return str(args[0] if args else kwargs.get("queue") or "")


def _describe(channel: Instance, queue: str, found: Found) -> tuple[Client, list[Message]]:
    method, properties, _ = found
    return _client(channel), [] if method is None else [_message(queue, method, properties)]


def _basic_get(wrapped: Wrapped, channel: Instance, args: Args, kwargs: Kwargs) -> object:
    describe = partial(_describe, channel, _queue(args, kwargs))
    return received(channel, "get", partial(wrapped, *args, **kwargs), describe)


def _consume(wrapped: Wrapped, channel: Instance, args: Args, kwargs: Kwargs) -> Generator[Found, None, None]:
    if suppressed():
        yield from wrapped(*args, **kwargs)
        return
    describe = partial(_describe, channel, _queue(args, kwargs))
    messages = wrapped(*args, **kwargs)
    while True:
        started = polling(channel)
        try:
            found = next(messages)
        except StopIteration:
            return
        polled(channel, "consume", started, partial(describe, found))
        # At a ``break`` or an exception this generator is closed before any handler runs. Only the channel's
        # ``cancel`` and ``close`` know the exception.
        yield found
