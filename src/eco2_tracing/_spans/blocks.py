"""Manual spans around a ``with`` block, and around the body of a generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import Token
from functools import lru_cache
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


@lru_cache(maxsize=1)
def _tracer_of(provider: trace.TracerProvider) -> trace.Tracer:
    return provider.get_tracer("eco2_tracing")


def start(
    name: str,
    kind: SpanKind,
    attributes: Mapping[str, AttributeValue] | None,
    *,
    context: Context | None = None,
    links: Sequence[Link] = (),
    start_time: int | None = None,
) -> Span:
    """Start a span of this library's tracer without making it current; ``finish`` ends it. Never raises.

    The default context is the current one; ``start_time`` is in nanoseconds since the epoch, by default now.
    """
    try:
        sanitized = sanitized_attributes(attributes)
        tracer = _tracer_of(trace.get_tracer_provider())
        return tracer.start_span(text_of(name), context, kind, sanitized, links, start_time)
    except Exception:  # noqa: BLE001 - samplers, processors and bad arguments may raise
        internal_failure("starting a manual span")
        return NonRecordingSpan(trace.get_current_span(context).get_span_context())


class SpanBlock:
    """A context manager that runs a block in a new span. ``span()`` returns it. It can be entered once."""

    __slots__ = ("_attributes", "_kind", "_name", "_span", "_token")

    def __init__(self, name: str, attributes: Mapping[str, AttributeValue] | None, kind: SpanKind) -> None:
        self._name = name
        self._attributes = attributes
        self._kind = kind

    def start(self) -> Span:
        """Start the span without making it current."""
        return start(self._name, self._kind, self._attributes)

    def __call__(self, function: Never, /) -> NoReturn:
        """Raise a `TypeError`, because ``traced`` is the decorator."""
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
    """Restore the context that was current before the ``attach`` that returned a token."""
    try:
        token.var.reset(token)
    except ValueError:
        # `attach` ran in another contextvars context, for example in a generator dependency of FastAPI that runs
        # in threads. That context no longer exists, and the present one was not changed.
        return


def _is_error(error: BaseException) -> bool:
    """Return False for control flow, responses below 500 and errors that the peer caused."""
    if isinstance(error, HTTPException):
        return error.status_code >= 500
    if not isinstance(error, Exception) or isinstance(error, StopIteration | StopAsyncIteration):
        return False
    return not is_peer_error(error)


def finish(span: Span, error: BaseException | None) -> None:
    """End a span. Set its status to ERROR if an error, and no control flow, left its block. Never raises."""
    if error is not None:
        with guarded("marking a manual span as failed"):  # a span of an external provider may raise
            fail(span, error)
    try:
        span.end()
    except Exception:  # noqa: BLE001 - the application's processors may raise
        internal_failure("ending a manual span")


def fail(span: Span, error: BaseException) -> None:
    """Set a span's status to ERROR without ending it. Control flow is ignored."""
    if span.is_recording() and _is_error(error):
        _record(span, error)


def _record(span: Span, error: BaseException) -> None:
    """Set status and ``error.type``. Only the innermost manual or client span gets the exception event."""
    if mark_recorded(error, span.get_span_context().trace_id):
        span.add_event("exception", exception_attributes(error))
    kind = class_qualname(type(error))  # the same value as on server and client spans
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, f"{kind}: {message(error)}"))


class GeneratorContext:
    """Attaches the context of a generator's body for each step. The generator's span ends when the body raises."""

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
        # A span that the body keeps open across a yield is current again in the next step.
        self._context = otel_context.get_current()
        detach(self._token)
        if error is not None:  # the body has ended
            finish(self._span, error)
