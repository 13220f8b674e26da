"""pika: ``basic_publish``, ``basic_consume``, ``consume`` and ``basic_get``, of blocking channels and the others."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator
from functools import partial, wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.utils import suppress_instrumentation

from eco2_tracing._guard import internal_failure
from eco2_tracing._instrumentation.messaging.amqp import consumed, details, headers_for, published
from eco2_tracing._instrumentation.messaging.model import Client, Message
from eco2_tracing._instrumentation.messaging.spans import asking, closing, got, handed, sending, suppressed

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.messaging.switch import Patches

_PUBLISHED = ("exchange", "routing_key", "body", "properties", "mandatory")
_Wrapped = Callable[..., Any]


def instrument(patches: Patches) -> None:
    """Trace pika.

    Args:
        patches: Remembers what to undo.
    """
    properties = import_module("pika").BasicProperties
    blocking = import_module("pika.adapters.blocking_connection").BlockingChannel
    plain = import_module("pika.channel").Channel
    publish, consume = partial(_publish, properties), partial(_basic_consume, blocking)
    for channel in (blocking, plain):
        patches.wrap(channel, "basic_publish", publish)
        patches.wrap(channel, "basic_consume", consume)
    patches.wrap(blocking, "basic_get", _basic_get)
    patches.wrap(blocking, "consume", _consume)
    patches.wrap(blocking, "cancel", _close)
    patches.wrap(blocking, "close", _close)


def _client(channel: Any) -> Client:
    try:
        connection = channel.connection
        parameters = getattr(connection, "params", None) or connection._impl.params
        return Client("rabbitmq", parameters.host, parameters.port)
    except Exception:  # noqa: BLE001 - it is read from the connection's own parts
        internal_failure("describing a connection of pika")
        return Client("rabbitmq")


def _publish(
    make_properties: Any, wrapped: _Wrapped, channel: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    if suppressed():
        return wrapped(*args, **kwargs)
    given = {**dict(zip(_PUBLISHED, args, strict=False)), **kwargs}
    exchange, routing_key = str(given.get("exchange") or ""), str(given.get("routing_key") or "")
    client, properties = _client(channel), given.get("properties")
    target, destination = published(exchange, routing_key)
    with sending(client, "publish", target, destination, details(routing_key, properties)):
        try:
            # The service may use the object again, at the same time even.
            properties = make_properties() if properties is None else copy.copy(properties)
            properties.headers = headers_for(properties.headers, client.host)
            args, kwargs = (), {**given, "properties": properties}
        except Exception:  # noqa: BLE001 - the properties are the service's
            internal_failure("writing the headers of a message")
        # A blocking channel has a plain one that publishes for it.
        with suppress_instrumentation():
            return wrapped(*args, **kwargs)


def _message(queue: str, method: Any, properties: Any) -> Message:
    known = details(method.routing_key, properties, method.delivery_tag)
    return consumed(queue, method.exchange, method.routing_key, getattr(properties, "headers", None), known)


def _basic_consume(
    blocking: type, wrapped: _Wrapped, channel: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    queue = str(args[0] if args else kwargs.get("queue") or "")
    callback = args[1] if len(args) > 1 else kwargs.get("on_message_callback")
    # What a blocking channel gives its plain one only puts messages aside.
    if not callable(callback) or isinstance(getattr(callback, "__self__", None), blocking):
        return wrapped(*args, **kwargs)

    @wraps(callback, updated=())
    def traced(channel: Any, method: Any, properties: Any, body: Any) -> Any:
        if suppressed():
            return callback(channel, method, properties, body)
        work = handed(_client(channel), lambda: _message(queue, method, properties))
        if work is None:
            return callback(channel, method, properties, body)
        with work:
            return callback(channel, method, properties, body)

    if len(args) > 1:
        return wrapped(args[0], traced, *args[2:], **kwargs)
    return wrapped(*args, **{**kwargs, "on_message_callback": traced})


def _basic_get(wrapped: _Wrapped, channel: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if suppressed():
        return wrapped(*args, **kwargs)
    started = asking(channel)
    found = wrapped(*args, **kwargs)
    queue = str(args[0] if args else kwargs.get("queue") or "")
    _got(channel, "get", started, queue, found)
    return found


def _consume(
    wrapped: _Wrapped, channel: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[Any, None, None]:
    if suppressed():
        yield from wrapped(*args, **kwargs)
        return
    queue = str(args[0] if args else kwargs.get("queue") or "")
    messages = wrapped(*args, **kwargs)
    while True:
        started = asking(channel)
        try:
            found = next(messages)
        except StopIteration:
            return
        _got(channel, "consume", started, queue, found)
        # A loop that is left, by a break or a failure, lets go of this generator before it runs any handler: only
        # the channel's own ``cancel`` and ``close`` know what it was.
        yield found


def _got(channel: Any, operation: str, started: int, queue: str, found: Any) -> None:
    method, properties, _ = found
    if method is not None:
        got(channel, operation, started, lambda: (_client(channel), [_message(queue, method, properties)]))


def _close(wrapped: _Wrapped, channel: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    closing(channel)
    return wrapped(*args, **kwargs)
