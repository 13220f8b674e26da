"""confluent-kafka: ``produce``, ``poll`` and ``consume``, of plain and (de)serializing classes.

The classes are written in C and cannot be changed. Each is replaced by a subclass, in the package and in every module
that has imported its name: applications import their libraries before they configure tracing.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from eco2_tracing._instrumentation.common.state import current
from eco2_tracing._instrumentation.messaging.kafka import (
    client_of,
    known,
    message,
    sent_details,
    topic_of,
    with_headers,
)
from eco2_tracing._instrumentation.messaging.model import size_of
from eco2_tracing._instrumentation.messaging.spans import end_work, received, sending, suppressed

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.common.replacement import Args, Instance, Kwargs, Patches
    from eco2_tracing._instrumentation.messaging.model import Client, Message

_PACKAGE = "confluent_kafka"


def instrument(patches: Patches) -> None:
    """Trace confluent-kafka."""
    package = import_module(_PACKAGE)
    traced = {}
    for name, mixin in _CLASSES.items():
        original = getattr(package, name)
        namespace = {"__module__": original.__module__, "__qualname__": name, "__doc__": original.__doc__}
        traced[original] = type(name, (mixin, original), namespace)
    patches.later(partial(_replace, {new: old for old, new in traced.items()}))
    _replace(traced)


def _replace(classes: Mapping[type, type]) -> None:
    """Replace classes in every module that has them, except in the package's own modules, which need the originals."""
    by_id = {id(old): new for old, new in classes.items()}
    for module_name, module in list(sys.modules.items()):
        # Other objects, and modules that load at the first access, are skipped.
        if not issubclass(type(module), ModuleType) or module_name.startswith(f"{_PACKAGE}."):
            continue
        names = object.__getattribute__(module, "__dict__")
        # Copies in one step: other threads may be importing. Most modules have none of the classes.
        if by_id.keys().isdisjoint(map(id, list(names.values()))):
            continue
        for name, value in list(names.items()):
            if id(value) in by_id:
                names[name] = by_id[id(value)]


class _Configured:
    """Keeps the configuration, which cannot be read from a client."""

    _eco2_client: Client

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self._eco2_client = known(partial(_client, args, kwargs))


def _client(args: Args, kwargs: Kwargs) -> Client:
    given = args[0] if args else kwargs.get("conf") or kwargs.get("config")
    config = {**given, **kwargs} if isinstance(given, dict) else kwargs
    servers = config.get("bootstrap.servers") or config.get("metadata.broker.list") or ""
    return client_of(servers, config.get("client.id"), config.get("group.id"))


class _Producer(_Configured):
    def produce(self, *args: object, **kwargs: object) -> object:
        parent: Instance = super()
        if suppressed():
            return parent.produce(*args, **kwargs)
        topic = topic_of(args, kwargs)
        with sending(self._eco2_client, "send", topic, topic, sent_details(args, kwargs, 3)):
            args, kwargs = with_headers(args, kwargs, 6, self._eco2_client.host)
            return parent.produce(*args, **kwargs)


class _Consumer(_Configured):
    def poll(self, *args: object, **kwargs: object) -> object:
        parent: Instance = super()
        return received(
            self, "poll", partial(parent.poll, *args, **kwargs), lambda found: self._described([found])
        )

    def consume(self, *args: object, **kwargs: object) -> object:
        parent: Instance = super()
        return received(self, "poll", partial(parent.consume, *args, **kwargs), self._described)

    def close(self, *args: object, **kwargs: object) -> object:
        parent: Instance = super()
        end_work(self)
        return parent.close(*args, **kwargs)

    def __exit__(self, *args: object) -> object:
        parent: Instance = super()
        end_work(self)
        return parent.__exit__(*args)

    def _described(self, found: list[Instance]) -> tuple[Client, list[Message]]:
        messages = [
            message(
                one.topic(),
                one.partition(),
                one.offset(),
                one.headers(),
                size_of(one.value()) if current.sizes else None,
            )
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
