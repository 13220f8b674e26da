"""The spans of producers and consumers.

A message that is handed to a function has its span around the call. One that is asked for has its span until the
next one is asked for: that is how long a service works on it. Where a service asks in the middle of something else,
of a request for example, that goes on being the current span, and has a short span for the asking below it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from time import time_ns
from typing import Any, cast

from opentelemetry.context import Context, attach, create_key, get_current, set_value
from opentelemetry.trace import Link, SpanKind, get_current_span, set_span_in_context

from eco2_tracing._guard import internal_failure
from eco2_tracing._instrumentation.messaging.headers import incoming
from eco2_tracing._instrumentation.messaging.model import Client, Message, described, target_of
from eco2_tracing._spans.manual import span
from eco2_tracing._spans.scope import Scope, detach, fail, finish, start
from eco2_tracing._suppression import is_suppressed
from eco2_tracing.propagation import inbound_of

_WORK = "_eco2_work"
_WORK_KEY = create_key("eco2-work")
_LINKS_LIMIT = 128
"""Links that a span has at most by the specification's default."""


def suppressed() -> bool:
    """Whether somebody asked for no instrumentation here, as does a hook around another one."""
    return is_suppressed(get_current())


def sending(
    client: Client, operation: str, target: str, destination: str, details: Mapping[str, Any]
) -> Scope:
    """Make the span of a message that is being sent.

    Args:
        client: Who sends it.
        operation: What the system calls that.
        target: What the span is named after.
        destination: Where the message goes.
        details: More attributes.

    Returns:
        A context manager.
    """
    attributes = client.attributes(operation, "send", destination)
    attributes.update(details)
    return span(f"{operation} {target}", attributes=attributes, kind=SpanKind.PRODUCER)


class Work:
    """What a service does with messages: a span, and the context that it is current in.

    A single message continues its producer's trace. Several have a trace of their own, linked to each, and so has one
    from a producer that is not trusted.

    Args:
        client: Who got them.
        messages: At least one.
    """

    __slots__ = ("_before", "_current", "_inside", "_known_error", "_source", "_span", "_token")

    def __init__(self, client: Client, messages: Sequence[Message]) -> None:
        # Empty once the work has ended: the context refers to the work, and the work to the context.
        self._current = [self]
        contexts = [incoming(message.headers) for message in messages[:_LINKS_LIMIT]]
        base = contexts[0] if len(messages) == 1 else Context()
        self._span = start(
            f"process {target_of(messages)}",
            SpanKind.CONSUMER,
            described(client, "process", "process", messages),
            context=base,
            links=_links(contexts, strangers_only=len(messages) == 1),
        )
        self._before = get_current()
        self._source = messages[0].source
        self._inside = set_value(_WORK_KEY, self._current, set_span_in_context(self._span, base))
        self._known_error = sys.exception()

    def __enter__(self) -> None:
        self._token = attach(self._inside)

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        detach(self._token)
        self._finish(error)

    def begin(self) -> None:
        """Make the span the current one until ``end``."""
        attach(self._inside)

    def end(self, error: BaseException | None = None) -> None:
        """End the span, and put back what was current before, unless that is another thread's or task's.

        Nothing happens the second time.

        Args:
            error: What the work failed with.
        """
        if get_current() is self._inside:
            attach(self._before)
        self._finish(None if error is self._known_error else error)

    def processed(self, source: object, error: BaseException | None) -> None:
        """The client says that a message is done with: the work ends, unless it is a call that goes on.

        Args:
            source: The client's own object.
            error: What it failed with.
        """
        if source is not self._source:
            return
        if hasattr(self, "_token"):
            if error is not None:
                fail(self._span, error)
            return
        self.end(error)

    def _finish(self, error: BaseException | None) -> None:
        self._current.clear()
        self._known_error = None
        if self._span.is_recording():
            finish(self._span, error)

    def __del__(self) -> None:
        # A consumer that is dropped without being closed; once the interpreter ends nothing is exported any more.
        if hasattr(self, "_span") and not sys.is_finalizing():
            self._finish(None)


def _links(contexts: Sequence[Context], *, strangers_only: bool = False) -> list[Link]:
    """Link to producers: to all, or to those alone that are not trusted, whose spans can be no parents."""
    links = []
    for context in contexts:
        inbound = inbound_of(context)
        producer = get_current_span(context).get_span_context()
        if inbound is not None and inbound.link is not None:
            links.append(Link(inbound.link))
        elif producer.is_valid and not strangers_only:
            links.append(Link(producer))
    return links


def handed(client: Client, describe: Callable[[], Message]) -> Work | None:
    """Begin the work on a message that a function is called with.

    Whatever is current there is left alone: it is what the connection was opened in, as often as not.

    Args:
        client: Who got it.
        describe: Reads the message.

    Returns:
        A context manager for the call; ``None`` where that failed.
    """
    try:
        return Work(client, [describe()])
    except Exception:  # noqa: BLE001 - messages and their headers are anybody's
        internal_failure("the beginning of a message's span")
        return None


def asking(consumer: Any) -> int:
    """Say that a consumer asks for the next message: the work on what it had got is done.

    Args:
        consumer: Whoever asks; what it works on is kept with it.

    Returns:
        Now, for ``got``.
    """
    _end_work(consumer, None)
    return time_ns()


def processed(source: object, error: BaseException | None) -> None:
    """Say that a message is done with; there is nothing to say where its work is not the current one.

    Args:
        source: The client's own object.
        error: What it failed with.
    """
    for work in cast("list[Work]", get_current().get(_WORK_KEY, [])):
        work.processed(source, error)


def closing(consumer: Any) -> None:
    """Say that a consumer stops. An exception that is on its way is what its work failed with."""
    _end_work(consumer, sys.exception())


def _end_work(consumer: Any, error: BaseException | None) -> None:
    work: Work | None = getattr(consumer, _WORK, None)
    if work is not None:
        setattr(consumer, _WORK, None)
        work.end(error)


def got(
    consumer: Any, operation: str, started: int, describe: Callable[[], tuple[Client, Sequence[Message]]]
) -> None:
    """Begin the work on what a consumer asked for.

    Args:
        consumer: Whoever asked.
        operation: What the system calls asking.
        started: What ``asking`` gave.
        describe: Reads the client and the messages. It may fail; the service has its messages all the same.
    """
    try:
        if getattr(consumer, _WORK, None) is not None:
            return  # asked for by a method of its own, which is traced, too
        client, messages = describe()
        if not messages:
            return
        if get_current_span().get_span_context().is_valid:
            contexts = [incoming(message.headers) for message in messages[:_LINKS_LIMIT]]
            attributes = described(client, operation, "receive", messages)
            name = f"{operation} {target_of(messages)}"
            start(name, SpanKind.CLIENT, attributes, links=_links(contexts), start_time=started).end()
            return
        work = Work(client, messages)
        setattr(consumer, _WORK, work)
        work.begin()
    except Exception:  # noqa: BLE001 - messages, their headers and the client are anybody's
        internal_failure("the beginning of a message's span")
