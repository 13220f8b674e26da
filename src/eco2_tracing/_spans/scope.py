"""A span around a block, or around a body that runs in steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import Token
from typing import TYPE_CHECKING, Never, NoReturn, Self

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanKind, Status, StatusCode
from starlette.exceptions import HTTPException

from eco2_tracing._guard import guarded, internal_failure
from eco2_tracing._spans.exceptions import exception_attributes, mark_recorded, message
from eco2_tracing._spans.peer import is_peer_error
from eco2_tracing._spans.sanitize import class_qualname, sanitized_attributes, text_of

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.context import Context
    from opentelemetry.util.types import AttributeValue


class _CachedTracer:
    """The tracer of the provider in charge, fetched again only when that changes."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: tuple[object, trace.Tracer | None] = (None, None)

    def get(self) -> trace.Tracer:
        provider = trace.get_tracer_provider()
        known, tracer = self._found
        if tracer is None or known is not provider:
            tracer = provider.get_tracer("eco2_tracing")
            self._found = (provider, tracer)
        return tracer


_tracer = _CachedTracer()


def start(
    name: str,
    kind: SpanKind,
    attributes: Mapping[str, AttributeValue] | None,
    *,
    context: Context | None = None,
    links: Sequence[Link] = (),
    start_time: int | None = None,
) -> Span:
    """Start a span of our own tracer without making it current. Never raises.

    Args:
        name: The span's name.
        kind: Its kind.
        attributes: Its attributes.
        context: Where its parent is; the current context unless given.
        links: What it is linked to.
        start_time: Nanoseconds since the epoch; now unless given.

    Returns:
        The span; ``finish`` ends it.
    """
    try:
        given = sanitized_attributes(attributes)
        return _tracer.get().start_span(text_of(name), context, kind, given, links, start_time)
    except Exception:  # noqa: BLE001 - of samplers, processors and bad arguments alike
        internal_failure("starting a manual span")
        return NonRecordingSpan(trace.get_current_span(context).get_span_context())


class SpanBlock:
    """A span around a block; ``span()`` makes it. Use it once.

    Args:
        name: The span's name.
        attributes: Its attributes.
        kind: Its kind.
    """

    __slots__ = ("_attributes", "_kind", "_name", "_span", "_token")

    def __init__(self, name: str, attributes: Mapping[str, AttributeValue] | None, kind: SpanKind) -> None:
        self._name = name
        self._attributes = attributes
        self._kind = kind

    def start(self) -> Span:
        """Start the span without making it current."""
        return start(self._name, self._kind, self._attributes)

    def __call__(self, function: Never, /) -> NoReturn:
        """Refuse to decorate: a span around each call of a function is what ``traced`` makes.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            f"span({self._name!r}) is a context manager and decorates nothing: write @traced({self._name!r})"
        )

    def __enter__(self) -> Span:
        self._span = self.start()
        self._token = otel_context.attach(trace.set_span_in_context(self._span))
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        detach(self._token)
        finish(self._span, error)


def detach(token: Token[Context]) -> None:
    """Put back the context that was current before, where this still is the place to do so.

    Args:
        token: What ``attach`` gave.
    """
    try:
        token.var.reset(token)
    except ValueError:
        # Entered in another contextvars context, as a generator dependency of FastAPI that runs in
        # threads is: that context is gone, and this one was never changed.
        return


def _is_error(error: BaseException) -> bool:
    """Whether what left a block is an error, and not control flow, an answer below 500 or the peer's end."""
    if isinstance(error, HTTPException):
        return error.status_code >= 500
    if not isinstance(error, Exception) or isinstance(error, StopIteration | StopAsyncIteration):
        return False
    return not is_peer_error(error)


def finish(span: Span, error: BaseException | None) -> None:
    """End a span; one that an error left is marked as failed. Never raises.

    Args:
        span: The span.
        error: What left its block, or ``None``. Control flow is no error.
    """
    if error is not None:
        with guarded("marking a manual span as failed"):  # a span of another provider may raise
            fail(span, error)
    try:
        span.end()
    except Exception:  # noqa: BLE001 - processors are anybody's
        internal_failure("ending a manual span")


def fail(span: Span, error: BaseException) -> None:
    """Mark a span as failed, without ending it, unless the error is control flow.

    Args:
        span: The span.
        error: What was raised.
    """
    if span.is_recording() and _is_error(error):
        _record(span, error)


def _record(span: Span, error: BaseException) -> None:
    """Mark the span; the event is written on the innermost span alone, manual or client."""
    if mark_recorded(error, span.get_span_context().trace_id):
        span.add_event("exception", exception_attributes(error))
    kind = class_qualname(type(error))  # as on server and client spans
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, f"{kind}: {message(error)}"))


class GeneratorContext:
    """The context of a generator's body, put in place for each of its steps.

    Args:
        span: The generator's span, ended with the body.
    """

    __slots__ = ("_context", "_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._context = trace.set_span_in_context(span)

    def __enter__(self) -> Self:
        self._token = otel_context.attach(self._context)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Spans that the body holds open across a yield are current again when it goes on.
        self._context = otel_context.get_current()
        detach(self._token)
        if error is not None:  # the body has ended
            finish(self._span, error)
