"""The two clients of RabbitMQ.

- pika: ``basic_publish``, ``basic_consume``, ``consume`` and ``basic_get`` of blocking and other channels.
- aio-pika: ``publish``, ``consume``, iteration and ``get``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator
from functools import partial, wraps
from importlib import import_module
from typing import TYPE_CHECKING

from opentelemetry.instrumentation.utils import suppress_instrumentation

from eco2_tracing._compat.aio_pika import address as aio_pika_address
from eco2_tracing._compat.pika import UNKNOWN, Address
from eco2_tracing._compat.pika import address as pika_address
from eco2_tracing._guard import attempt, guarded
from eco2_tracing._instrumentation.common.outgoing_headers import outgoing
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing._instrumentation.messaging.model import BODY_SIZE, Client, Message, size_of, without_empty
from eco2_tracing._instrumentation.messaging.spans import (
    closing,
    handed,
    polled,
    polling,
    processed,
    received,
    received_async,
    sending,
    suppressed,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.util.types import AttributeValue

    from eco2_tracing._instrumentation.common.replacement import Args, Instance, Kwargs, Patches, Wrapped

    Table = Mapping[str, object]
    """The headers of an AMQP message, with values of any kind."""
    Found = tuple[Instance, Instance, bytes]
    """A message: its method, properties and body; ``None`` for each if there is none."""

_SERVER_NAMED = "amq."
_ANONYMOUS = "(anonymous)"


def headers_for(given: Table | None, host: str | None) -> dict[str, object]:
    """Return a message's headers with trace context; the given ones are not changed."""
    return dict(outgoing((given or {}).items(), host))


def published(exchange: str, routing_key: str) -> tuple[str, str]:
    """Return the name of a destination in the span's name, and the full destination.

    The former has no routing key, which often has ids, except with the default exchange, whose name is empty: there
    it is the name of a queue.
    """
    return exchange or queue_name(routing_key), ":".join(filter(None, (exchange, routing_key)))


def queue_name(name: str) -> str:
    """Return a queue's name; names that the server generates are replaced."""
    return _ANONYMOUS if not name or name.startswith(_SERVER_NAMED) else name


def details(key: str, properties: object, body: object, tag: int | None = None) -> dict[str, AttributeValue]:
    """Return the attributes of an AMQP message with a routing key."""
    return without_empty(
        {
            "messaging.rabbitmq.destination.routing_key": key,
            "messaging.rabbitmq.message.delivery_tag": tag,
            "messaging.message.id": getattr(properties, "message_id", None),
            "messaging.message.conversation_id": getattr(properties, "correlation_id", None),
            BODY_SIZE: size_of(body) if current.sizes else None,
        }
    )


def consumed(
    queue: str,
    exchange: str,
    routing_key: str,
    headers: Table | None,
    attributes: Mapping[str, AttributeValue],
    source: object = None,
) -> Message:
    """Describe a message of a queue."""
    parts = dict.fromkeys(filter(None, (exchange, routing_key, queue)))
    return Message(queue_name(queue), ":".join(parts), (headers or {}).items(), attributes, source)


_PUBLISHED = ("exchange", "routing_key", "body", "properties", "mandatory")


def instrument_pika(patches: Patches) -> None:
    """Trace pika."""
    properties = import_module("pika").BasicProperties
    blocking = import_module("pika.adapters.blocking_connection").BlockingChannel
    plain = import_module("pika.channel").Channel
    publish, consume = partial(_pika_publish, properties), partial(_pika_basic_consume, blocking)
    for channel in (blocking, plain):
        patches.wrap(channel, "basic_publish", publish)
        patches.wrap(channel, "basic_consume", consume)
    patches.wrap(blocking, "basic_get", _pika_basic_get)
    patches.wrap(blocking, "consume", _pika_consume)
    patches.wrap(blocking, "cancel", closing)
    patches.wrap(blocking, "close", closing)


def _client(address: Callable[[Instance], Address], connection: Instance) -> Client:
    host, port = attempt("describing a connection of RabbitMQ", address, connection, default=UNKNOWN)
    return Client("rabbitmq", host, port)


def _pika_publish(
    make_properties: Callable[[], Instance], wrapped: Wrapped, channel: Instance, args: Args, kwargs: Kwargs
) -> object:
    if suppressed():
        return wrapped(*args, **kwargs)
    given = {**dict(zip(_PUBLISHED, args, strict=False)), **kwargs}
    exchange, routing_key = str(given.get("exchange") or ""), str(given.get("routing_key") or "")
    client, properties = _client(pika_address, channel.connection), given.get("properties")
    target, destination = published(exchange, routing_key)
    with sending(client, "publish", target, destination, details(routing_key, properties, given.get("body"))):
        with guarded("writing the headers of a message"):
            # A copy: the application may use the object again, in another thread too.
            properties = make_properties() if properties is None else copy.copy(properties)
            properties.headers = headers_for(properties.headers, client.host)
            args, kwargs = (), {**given, "properties": properties}
        # A blocking channel publishes by a plain channel, which is traced too.
        with suppress_instrumentation():
            return wrapped(*args, **kwargs)


def _pika_message(queue: str, method: Instance, properties: Instance, body: bytes) -> Message:
    attributes = details(method.routing_key, properties, body, method.delivery_tag)
    headers = getattr(properties, "headers", None)
    return consumed(queue, method.exchange, method.routing_key, headers, attributes)


def _pika_basic_consume(
    blocking: type, wrapped: Wrapped, channel: Instance, args: Args, kwargs: Kwargs
) -> object:
    queue = _pika_queue(args, kwargs)
    callback = args[1] if len(args) > 1 else kwargs.get("on_message_callback")
    # The callback that a blocking channel passes to its plain channel only stores messages.
    if not callable(callback) or isinstance(getattr(callback, "__self__", None), blocking):
        return wrapped(*args, **kwargs)

    @wraps(callback, updated=())
    def traced(channel: Instance, method: Instance, properties: Instance, body: bytes) -> object:
        describe = partial(_pika_message, queue, method, properties, body)
        work = handed(lambda: (_client(pika_address, channel.connection), describe()))
        if work is None:
            return callback(channel, method, properties, body)
        with work:
            return callback(channel, method, properties, body)

    if len(args) > 1:
        return wrapped(args[0], traced, *args[2:], **kwargs)
    return wrapped(*args, **{**kwargs, "on_message_callback": traced})


def _pika_queue(args: Args, kwargs: Kwargs) -> str:
    return str(args[0] if args else kwargs.get("queue") or "")


def _pika_describe(channel: Instance, queue: str, found: Found) -> tuple[Client, list[Message]]:
    messages = [] if found[0] is None else [_pika_message(queue, *found)]
    return _client(pika_address, channel.connection), messages


def _pika_basic_get(wrapped: Wrapped, channel: Instance, args: Args, kwargs: Kwargs) -> object:
    describe = partial(_pika_describe, channel, _pika_queue(args, kwargs))
    return received(channel, "get", partial(wrapped, *args, **kwargs), describe)


def _pika_consume(
    wrapped: Wrapped, channel: Instance, args: Args, kwargs: Kwargs
) -> Generator[Found, None, None]:
    if suppressed():
        yield from wrapped(*args, **kwargs)
        return
    describe = partial(_pika_describe, channel, _pika_queue(args, kwargs))
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


_QUEUE = "_eco2_queue"  # the attribute of an iterator with its queue, which it keeps in a private one


def instrument_aio_pika(patches: Patches) -> None:
    """Trace aio-pika."""
    aio_pika = import_module("aio_pika")
    queues, messages = import_module("aio_pika.queue"), import_module("aio_pika.message")
    patches.wrap(aio_pika.Channel, "close", closing)
    patches.wrap(aio_pika.Exchange, "publish", _aio_pika_publish)
    patches.wrap(aio_pika.Queue, "consume", partial(_aio_pika_consume, queues.QueueIterator))
    patches.wrap(aio_pika.Queue, "get", _aio_pika_get)
    patches.wrap(queues.QueueIterator, "__init__", _aio_pika_iterate)
    patches.wrap(queues.QueueIterator, "close", closing)
    for name, module in (
        ("QueueIterator", queues),
        ("RobustQueueIterator", import_module("aio_pika.robust_queue")),
    ):
        iterator = getattr(module, name)
        if "__anext__" in vars(iterator):  # older versions: a robust iterator inherits it
            patches.wrap(iterator, "__anext__", _aio_pika_next)
    patches.wrap(messages.ProcessContext, "__aexit__", _aio_pika_processed)


async def _aio_pika_publish(wrapped: Wrapped, exchange: Instance, args: Args, kwargs: Kwargs) -> object:
    if suppressed():
        return await wrapped(*args, **kwargs)
    given = {**dict(zip(("message", "routing_key"), args, strict=False)), **kwargs}
    message, routing_key = given.get("message"), str(given.get("routing_key") or "")
    client = _client(aio_pika_address, exchange.channel)
    target, destination = published(exchange.name, routing_key)
    with sending(
        client, "publish", target, destination, details(routing_key, message, getattr(message, "body", None))
    ):
        with guarded("writing the headers of a message"):
            # A copy: the application may publish the object again, at the same time too.
            sent: Instance = copy.copy(message)
            sent.headers = headers_for(sent.headers, client.host)
            args, kwargs = (), {**given, "message": sent}
        return await wrapped(*args, **kwargs)


def _aio_pika_message(queue: Instance, message: Instance) -> Message:
    body = message.body if current.sizes else None
    attributes = details(message.routing_key, message, body, message.delivery_tag)
    return consumed(queue.name, message.exchange, message.routing_key, message.headers, attributes, message)


def _aio_pika_describe(queue: Instance, message: Instance) -> tuple[Client, list[Message]]:
    messages = [] if message is None else [_aio_pika_message(queue, message)]
    return _client(aio_pika_address, queue.channel), messages


async def _aio_pika_consume(
    iterator: type, wrapped: Wrapped, queue: Instance, args: Args, kwargs: Kwargs
) -> object:
    callback = args[0] if args else kwargs.get("callback")
    # The callback of an iterator only stores messages.
    if not callable(callback) or isinstance(getattr(callback, "__self__", None), iterator):
        return await wrapped(*args, **kwargs)
    call = import_module("aio_pika.tools").ensure_awaitable(callback)

    async def traced(message: Instance) -> object:
        work = handed(lambda: (_client(aio_pika_address, queue.channel), _aio_pika_message(queue, message)))
        if work is None:
            return await call(message)
        with work:
            return await call(message)

    if args:
        return await wrapped(traced, *args[1:], **kwargs)
    return await wrapped(**{**kwargs, "callback": traced})


async def _aio_pika_get(wrapped: Wrapped, queue: Instance, args: Args, kwargs: Kwargs) -> object:
    # The channel gets the attribute with the work: queues have slots.
    call = partial(wrapped, *args, **kwargs)
    return await received_async(queue.channel, "get", call, partial(_aio_pika_describe, queue))


def _aio_pika_iterate(wrapped: Wrapped, iterator: Instance, args: Args, kwargs: Kwargs) -> None:
    wrapped(*args, **kwargs)
    with guarded("reading a queue of aio-pika"):
        setattr(iterator, _QUEUE, args[0] if args else kwargs["queue"])


async def _aio_pika_next(wrapped: Wrapped, iterator: Instance, args: Args, kwargs: Kwargs) -> object:
    queue = getattr(iterator, _QUEUE, None)
    if queue is None:  # the iteration began before the instrumentation
        return await wrapped(*args, **kwargs)
    call = partial(wrapped, *args, **kwargs)
    return await received_async(iterator, "consume", call, partial(_aio_pika_describe, queue))


async def _aio_pika_processed(wrapped: Wrapped, context: Instance, args: Args, kwargs: Kwargs) -> object:
    """End the work with ``async with message.process()``: the loop outside may handle the exception."""
    error = args[1] if len(args) > 1 else None
    processed(context.message, error if isinstance(error, BaseException) else None)
    return await wrapped(*args, **kwargs)
