"""confluent-kafka: ``produce``, ``poll`` and ``consume``, of the plain and the (de)serializing classes.

Its classes are written in C and cannot be changed, so each has a subclass that takes its place: in the package, and
in every module that has imported its name. A service imports its libraries before it configures tracing.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from eco2_tracing._instrumentation.messaging.kafka import (
    argument,
    client_of,
    guarded,
    message,
    with_headers,
)
from eco2_tracing._instrumentation.messaging.spans import asking, closing, got, sending, suppressed

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.messaging.model import Client, Message
    from eco2_tracing._instrumentation.messaging.switch import Patches

_PACKAGE = "confluent_kafka"


def instrument(patches: Patches) -> None:
    """Trace confluent-kafka.

    Args:
        patches: Remembers what to undo.
    """
    package: Any = import_module(_PACKAGE)
    traced = {}
    for name, mixin in _CLASSES.items():
        original = getattr(package, name)
        known = {"__module__": original.__module__, "__qualname__": name, "__doc__": original.__doc__}
        traced[original] = type(name, (mixin, original), known)
    patches.later(partial(_replace, {new: old for old, new in traced.items()}))
    _replace(traced)


def _replace(places: Mapping[type, type]) -> None:
    """Put classes in the places of others, wherever a module has them. Its own modules need the originals."""
    by_id = {id(old): new for old, new in places.items()}
    for module_name, module in list(sys.modules.items()):
        # What is no plain module, or is loaded when it is first asked for anything, is not asked.
        if not issubclass(type(module), ModuleType) or module_name.startswith(f"{_PACKAGE}."):
            continue
        names = object.__getattribute__(module, "__dict__")
        # A copy, made at one go: other threads are importing.
        for name, value in list(names.items()):
            if id(value) in by_id:
                names[name] = by_id[id(value)]


class _Configured:
    """Remembers the configuration, which a client written in C does not tell."""

    _eco2_client: Client

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._eco2_client = guarded(partial(_client, args, kwargs))


def _client(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Client:
    given = args[0] if args else kwargs.get("conf") or kwargs.get("config")
    config = {**given, **kwargs} if isinstance(given, dict) else kwargs
    servers = config.get("bootstrap.servers") or config.get("metadata.broker.list") or ""
    return client_of(servers, config.get("client.id"), config.get("group.id"))


class _Producer(_Configured):
    def produce(self, *args: Any, **kwargs: Any) -> Any:
        parent: Any = super()
        if suppressed():
            return parent.produce(*args, **kwargs)
        topic = str(argument(args, kwargs, 0, "topic"))
        with sending(self._eco2_client, "send", topic, topic, {}):
            args, kwargs = with_headers(args, kwargs, 6, self._eco2_client.host)
            return parent.produce(*args, **kwargs)


class _Consumer(_Configured):
    def poll(self, *args: Any, **kwargs: Any) -> Any:
        parent: Any = super()
        if suppressed():
            return parent.poll(*args, **kwargs)
        started = asking(self)
        found = parent.poll(*args, **kwargs)
        got(self, "poll", started, lambda: self._described([found]))
        return found

    def consume(self, *args: Any, **kwargs: Any) -> Any:
        parent: Any = super()
        if suppressed():
            return parent.consume(*args, **kwargs)
        started = asking(self)
        found = parent.consume(*args, **kwargs)
        got(self, "poll", started, lambda: self._described(found))
        return found

    def close(self, *args: Any, **kwargs: Any) -> Any:
        parent: Any = super()
        closing(self)
        return parent.close(*args, **kwargs)

    def __exit__(self, *args: object) -> Any:
        parent: Any = super()
        closing(self)
        return parent.__exit__(*args)

    def _described(self, found: list[Any]) -> tuple[Client, list[Message]]:
        messages = [
            message(one.topic(), one.partition(), one.offset(), one.headers())
            for one in found
            if one is not None and one.error() is None
        ]
        return self._eco2_client, messages


_CLASSES: Mapping[str, type] = {
    "Producer": _Producer,
    "SerializingProducer": _Producer,
    "Consumer": _Consumer,
    "DeserializingConsumer": _Consumer,
}
