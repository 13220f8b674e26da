"""aio-pika: ``publish``, ``consume``, iteration and ``get``."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from eco2_tracing._guard import internal_failure
from eco2_tracing._instrumentation.messaging.amqp import consumed, details, headers_for, published
from eco2_tracing._instrumentation.messaging.model import Client, Message
from eco2_tracing._instrumentation.messaging.spans import (
    asking,
    closing,
    got,
    handed,
    processed,
    sending,
    suppressed,
)

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.messaging.switch import Patches

_Wrapped = Callable[..., Awaitable[Any]]


def instrument(patches: Patches) -> None:
    """Trace aio-pika.

    Args:
        patches: Remembers what to undo.
    """
    aio_pika = import_module("aio_pika")
    queues, messages = import_module("aio_pika.queue"), import_module("aio_pika.message")
    patches.wrap(aio_pika.Channel, "close", _close)
    patches.wrap(aio_pika.Exchange, "publish", _publish)
    patches.wrap(aio_pika.Queue, "consume", partial(_consume, queues.QueueIterator))
    patches.wrap(aio_pika.Queue, "get", _get)
    patches.wrap(queues.QueueIterator, "close", _close)
    for name, module in (
        ("QueueIterator", queues),
        ("RobustQueueIterator", import_module("aio_pika.robust_queue")),
    ):
        iterator = getattr(module, name)
        if "__anext__" in vars(iterator):  # a robust one inherits it in older versions
            patches.wrap(iterator, "__anext__", _next)
    patches.wrap(messages.ProcessContext, "__aexit__", _processed)


def _client(channel: Any) -> Client:
    try:
        connection = getattr(channel, "_connection", None) or channel.connection
        url = connection.url
        return Client("rabbitmq", url.host, url.port or 5672)
    except Exception:  # noqa: BLE001 - it is read from the connection's own parts
        internal_failure("describing a connection of aio-pika")
        return Client("rabbitmq")


async def _publish(wrapped: _Wrapped, exchange: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if suppressed():
        return await wrapped(*args, **kwargs)
    given = {**dict(zip(("message", "routing_key"), args, strict=False)), **kwargs}
    message, routing_key = given.get("message"), str(given.get("routing_key") or "")
    client = _client(exchange.channel)
    target, destination = published(exchange.name, routing_key)
    with sending(client, "publish", target, destination, details(routing_key, message)):
        try:
            # The service may publish the object again, at the same time even.
            sent: Any = copy.copy(message)
            sent.headers = headers_for(sent.headers, client.host)
            args, kwargs = (), {**given, "message": sent}
        except Exception:  # noqa: BLE001 - the message is the service's
            internal_failure("writing the headers of a message")
        return await wrapped(*args, **kwargs)


def _message(queue: str, message: Any) -> Message:
    known = details(message.routing_key, message, message.delivery_tag)
    return consumed(queue, message.exchange, message.routing_key, message.headers, known, message)


async def _consume(
    iterator: type, wrapped: _Wrapped, queue: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    callback = args[0] if args else kwargs.get("callback")
    # An iterator's own callback only puts messages aside.
    if not callable(callback) or isinstance(getattr(callback, "__self__", None), iterator):
        return await wrapped(*args, **kwargs)
    call = import_module("aio_pika.tools").ensure_awaitable(callback)

    async def traced(message: Any) -> Any:
        work = None
        if not suppressed():
            work = handed(_client(queue.channel), lambda: _message(queue.name, message))
        if work is None:
            return await call(message)
        with work:
            return await call(message)

    if args:
        return await wrapped(traced, *args[1:], **kwargs)
    return await wrapped(**{**kwargs, "callback": traced})


async def _get(wrapped: _Wrapped, queue: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if suppressed():
        return await wrapped(*args, **kwargs)
    # A queue has no room for what it works on; its channel has.
    started = asking(queue.channel)
    message = await wrapped(*args, **kwargs)
    if message is not None:
        got(queue.channel, "get", started, lambda: (_client(queue.channel), [_message(queue.name, message)]))
    return message


async def _next(wrapped: _Wrapped, iterator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if suppressed():
        return await wrapped(*args, **kwargs)
    started = asking(iterator)
    message = await wrapped(*args, **kwargs)
    queue = iterator._amqp_queue
    got(iterator, "consume", started, lambda: (_client(queue.channel), [_message(queue.name, message)]))
    return message


async def _close(wrapped: _Wrapped, consumer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    closing(consumer)
    return await wrapped(*args, **kwargs)


async def _processed(wrapped: _Wrapped, context: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``async with message.process()`` ends, and with it the work: a loop may catch what failed outside of it."""
    error = args[1] if len(args) > 1 else None
    processed(context.message, error if isinstance(error, BaseException) else None)
    return await wrapped(*args, **kwargs)
