"""aio-pika: ``publish``, ``consume``, iteration and ``get``."""

from __future__ import annotations

import copy
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from eco2_tracing._compat.aio_pika import UNKNOWN, address
from eco2_tracing._guard import attempt, guarded
from eco2_tracing._instrumentation.messaging.amqp import consumed, details, headers_for, published
from eco2_tracing._instrumentation.messaging.model import Client, Message
from eco2_tracing._instrumentation.messaging.spans import (
    closing,
    handed,
    processed,
    received_async,
    sending,
    suppressed,
)

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.common.replacement import Args, Instance, Kwargs, Patches, Wrapped

_QUEUE = "_eco2_queue"
"""The attribute of an iterator with its queue, which it keeps in a private one."""


def instrument(patches: Patches) -> None:
    """Trace aio-pika."""
    aio_pika = import_module("aio_pika")
    queues, messages = import_module("aio_pika.queue"), import_module("aio_pika.message")
    patches.wrap(aio_pika.Channel, "close", closing)
    patches.wrap(aio_pika.Exchange, "publish", _publish)
    patches.wrap(aio_pika.Queue, "consume", partial(_consume, queues.QueueIterator))
    patches.wrap(aio_pika.Queue, "get", _get)
    patches.wrap(queues.QueueIterator, "__init__", _iterate)
    patches.wrap(queues.QueueIterator, "close", closing)
    for name, module in (
        ("QueueIterator", queues),
        ("RobustQueueIterator", import_module("aio_pika.robust_queue")),
    ):
        iterator = getattr(module, name)
        if "__anext__" in vars(iterator):  # older versions: a robust iterator inherits it
            patches.wrap(iterator, "__anext__", _next)
    patches.wrap(messages.ProcessContext, "__aexit__", _processed)


def _client(channel: Instance) -> Client:
    host, port = attempt("describing a connection of aio-pika", address, channel, default=UNKNOWN)
    return Client("rabbitmq", host, port)


async def _publish(wrapped: Wrapped, exchange: Instance, args: Args, kwargs: Kwargs) -> object:
    if suppressed():
        return await wrapped(*args, **kwargs)
    given = {**dict(zip(("message", "routing_key"), args, strict=False)), **kwargs}
    message, routing_key = given.get("message"), str(given.get("routing_key") or "")
    client = _client(exchange.channel)
    target, destination = published(exchange.name, routing_key)
    with sending(client, "publish", target, destination, details(routing_key, message)):
        with guarded("writing the headers of a message"):
            # A copy: the application may publish the object again, at the same time too.
            sent: Instance = copy.copy(message)
            sent.headers = headers_for(sent.headers, client.host)
            args, kwargs = (), {**given, "message": sent}
        return await wrapped(*args, **kwargs)


def _message(queue: Instance, message: Instance) -> Message:
    attributes = details(message.routing_key, message, message.delivery_tag)
    return consumed(queue.name, message.exchange, message.routing_key, message.headers, attributes, message)


def _describe(queue: Instance, message: Instance) -> tuple[Client, list[Message]]:
    return _client(queue.channel), [] if message is None else [_message(queue, message)]


async def _consume(iterator: type, wrapped: Wrapped, queue: Instance, args: Args, kwargs: Kwargs) -> object:
    callback = args[0] if args else kwargs.get("callback")
    # The callback of an iterator only stores messages.
    if not callable(callback) or isinstance(getattr(callback, "__self__", None), iterator):
        return await wrapped(*args, **kwargs)
    call = import_module("aio_pika.tools").ensure_awaitable(callback)

    async def traced(message: Instance) -> object:
        work = handed(lambda: (_client(queue.channel), _message(queue, message)))
        if work is None:
            return await call(message)
        with work:
            return await call(message)

    if args:
        return await wrapped(traced, *args[1:], **kwargs)
    return await wrapped(**{**kwargs, "callback": traced})


async def _get(wrapped: Wrapped, queue: Instance, args: Args, kwargs: Kwargs) -> object:
    # The channel gets the attribute with the work: queues have slots.
    call = partial(wrapped, *args, **kwargs)
    return await received_async(queue.channel, "get", call, partial(_describe, queue))


def _iterate(wrapped: Wrapped, iterator: Instance, args: Args, kwargs: Kwargs) -> None:
    wrapped(*args, **kwargs)
    with guarded("reading a queue of aio-pika"):
        setattr(iterator, _QUEUE, args[0] if args else kwargs["queue"])


async def _next(wrapped: Wrapped, iterator: Instance, args: Args, kwargs: Kwargs) -> object:
    queue = getattr(iterator, _QUEUE, None)
    if queue is None:  # the iteration began before the instrumentation
        return await wrapped(*args, **kwargs)
    call = partial(wrapped, *args, **kwargs)
    return await received_async(iterator, "consume", call, partial(_describe, queue))


async def _processed(wrapped: Wrapped, context: Instance, args: Args, kwargs: Kwargs) -> object:
    """End the work with ``async with message.process()``: the loop outside may handle the exception."""
    error = args[1] if len(args) > 1 else None
    processed(context.message, error if isinstance(error, BaseException) else None)
    return await wrapped(*args, **kwargs)
