"""The spans of producers and consumers.

A message that the client passes to a callback has its span around the callback. The span of a message that is polled
ends when the consumer polls again or closes: that is the time of its processing. If another span is current
while the consumer polls, such as that of a request, it stays the current one and gets a short child for the poll.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import time_ns
from typing import TYPE_CHECKING, TypeVar, cast

from opentelemetry.context import Context, attach, create_key, get_current, set_value
from opentelemetry.trace import Link, SpanKind, get_current_span, set_span_in_context

from eco2_tracing._guard import guarded
from eco2_tracing._instrumentation.messaging.model import Client, Message, described, incoming, target_of
from eco2_tracing._spans.blocks import SpanBlock, detach, fail, finish, start
from eco2_tracing._spans.manual import span
from eco2_tracing._untraced import is_suppressed
from eco2_tracing.propagation import inbound_of

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.util.types import AttributeValue

    from eco2_tracing._instrumentation.common.replacement import Args, Instance, Kwargs, Wrapped

_WORK = "_eco2_work"
_WORK_KEY = create_key("eco2-work")
_LINKS_LIMIT = 128
"""The specification's default limit of links."""

_Found = TypeVar("_Found")


def suppressed() -> bool:
    """Return True if instrumentation is suppressed in the current context."""
    return is_suppressed(get_current())


def sending(
    client: Client, operation: str, target: str, destination: str, details: Mapping[str, AttributeValue]
) -> SpanBlock:
    """Return a context manager that makes the span of a message that is sent."""
    attributes = {**client.attributes(operation, "send", destination), **details}
    return span(f"{operation} {target}", attributes=attributes, kind=SpanKind.PRODUCER)


class Work:
    """The processing of messages: a span, and the context in which it is current.

    A single message continues its producer's trace. Several messages, and one of a producer that is not trusted, have
    a trace of their own with a link to each producer.
    """

    __slots__ = ("_before", "_current", "_inside", "_known_error", "_source", "_span", "_token")

    def __init__(self, client: Client, messages: Sequence[Message]) -> None:
        # Emptied at the end: the context refers to the work, and the work to the context.
        self._current = [self]
        contexts = [incoming(message.headers) for message in messages[:_LINKS_LIMIT]]
        base = contexts[0] if len(messages) == 1 else Context()
        self._span = start(
            f"process {target_of(messages)}",
            SpanKind.CONSUMER,
            described(client, "process", "process", messages),
            context=base,
            links=_links(contexts, untrusted_only=len(messages) == 1),
        )
        self._before = get_current()
        self._source = messages[0].source
        self._inside = set_value(_WORK_KEY, self._current, set_span_in_context(self._span, base))
        self._known_error = sys.exception()

    def __enter__(self) -> None:
        self._token = attach(self._inside)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        detach(self._token)
        self._finish(error)

    def begin(self) -> None:
        """Make the span the current one until `end`."""
        attach(self._inside)

    def end(self, error: BaseException | None = None) -> None:
        """End the span, and restore the former context if the current one is the work's. Safe to call twice."""
        if get_current() is self._inside:
            attach(self._before)
        self._finish(None if error is self._known_error else error)

    def processed(self, source: object, error: BaseException | None) -> None:
        """Take the client's report that a message is processed: end the work, unless it is a callback's."""
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
        # The consumer was deleted without being closed. At the end of the interpreter nothing is exported any more.
        if hasattr(self, "_span") and not sys.is_finalizing():
            self._finish(None)


def _links(contexts: Sequence[Context], *, untrusted_only: bool = False) -> list[Link]:
    """Return links to all producers, or to those that are not trusted: their spans cannot be parents."""
    links = []
    for context in contexts:
        inbound = inbound_of(context)
        producer = get_current_span(context).get_span_context()
        if inbound is not None and inbound.link is not None:
            links.append(Link(inbound.link))
        elif producer.is_valid and not untrusted_only:
            links.append(Link(producer))
    return links


def handed(describe: Callable[[], tuple[Client, Message]]) -> Work | None:
    """Begin the work on a message that a callback is called with.

    The current span is ignored: often it is the one in which the connection was opened.

    Returns:
        A context manager for the call; ``None`` if instrumentation is suppressed or the message cannot be read.
    """
    if not suppressed():
        with guarded("the beginning of a message's span"):
            client, message = describe()
            return Work(client, [message])
    return None


def processed(source: object, error: BaseException | None) -> None:
    """End the current work on a message, if there is one."""
    for work in cast("list[Work]", get_current().get(_WORK_KEY, [])):
        work.processed(source, error)


def end_work(consumer: Instance) -> None:
    """End the work of a consumer that stops; an exception that is being handled counts as its error."""
    _end_work(consumer, sys.exception())


def closing(wrapped: Wrapped, consumer: Instance, args: Args, kwargs: Kwargs) -> object:
    """Hook of a consumer's method that stops it; returns what the method returns, also a coroutine."""
    end_work(consumer)
    return wrapped(*args, **kwargs)


def _end_work(consumer: Instance, error: BaseException | None) -> None:
    work: Work | None = getattr(consumer, _WORK, None)
    if work is not None:
        setattr(consumer, _WORK, None)
        work.end(error)


def polling(consumer: Instance) -> int:
    """End the work on the messages of the last poll; return the time in nanoseconds since the epoch, for `polled`."""
    _end_work(consumer, None)
    return time_ns()


def received(
    consumer: Instance,
    operation: str,
    call: Callable[[], _Found],
    describe: Callable[[_Found], tuple[Client, Sequence[Message]]],
) -> _Found:
    """Poll messages and begin the work on them.

    Args:
        consumer: The object that is polled; it gets an attribute with the work.
        operation: The operation's name.
        call: Polls.
        describe: Returns the client and the messages. The caller gets the result of the poll even if this fails.

    Returns:
        The result of the poll.
    """
    if suppressed():
        return call()
    started = polling(consumer)
    found = call()
    polled(consumer, operation, started, lambda: describe(found))
    return found


async def received_async(
    consumer: Instance,
    operation: str,
    call: Callable[[], Awaitable[_Found]],
    describe: Callable[[_Found], tuple[Client, Sequence[Message]]],
) -> _Found:
    """Poll messages and begin the work on them; see `received`."""
    if suppressed():
        return await call()
    started = polling(consumer)
    found = await call()
    polled(consumer, operation, started, lambda: describe(found))
    return found


def polled(
    consumer: Instance,
    operation: str,
    started: int,
    describe: Callable[[], tuple[Client, Sequence[Message]]],
) -> None:
    """Begin the work on polled messages."""
    with guarded("the beginning of a message's span"):
        if getattr(consumer, _WORK, None) is not None:
            return  # polled by another method of the consumer, which is traced too
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
