"""Manual spans: ``traced`` for a function, ``span`` for a block.

Both are safe to leave in code that runs without tracing, and neither lets a failure of tracing
reach the code inside.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextvars import Token
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, cast, overload

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, Span, SpanKind, Status, StatusCode
from starlette.exceptions import HTTPException

from eco2_tracing._guard import internal_failure
from eco2_tracing._spans._exceptions import exception_attributes, message

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.context import Context
    from opentelemetry.util.types import AttributeValue

# What the decorator takes it gives back, so that the type, overloads included, stays what it was.
_F = TypeVar("_F", bound="Callable[..., Any] | classmethod[Any, ..., Any] | staticmethod[..., Any]")

RECORDED_KEY = "__eco2_recorded_in__"
"""Where an exception object keeps the id of the trace that already has an event for it."""


class TracedDecorator(Protocol):
    """What ``traced(...)`` gives: a decorator that keeps the function's type."""

    def __call__(self, function: _F, /) -> _F:
        """Decorate a function."""
        ...


class _Tracers:
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


_tracers = _Tracers()


class Scope:
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
        try:
            return _tracers.get().start_span(self._name, kind=self._kind, attributes=self._attributes)
        except Exception:  # noqa: BLE001 - of samplers, processors and bad arguments alike
            internal_failure("starting a manual span")
            return NonRecordingSpan(trace.get_current_span().get_span_context())

    def __enter__(self) -> Span:
        self._span = self.start()
        self._token = otel_context.attach(trace.set_span_in_context(self._span))
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _detach(self._token)
        _finish(self._span, error)


def _detach(token: Token[Context]) -> None:
    try:
        token.var.reset(token)
    except ValueError:
        # Entered in another contextvars context, as a generator dependency of FastAPI that runs in
        # threads is: that context is gone, and this one was never changed.
        return


def _is_error(error: BaseException) -> bool:
    """Whether what left a block is an error, and not control flow or an answer below 500."""
    if isinstance(error, HTTPException):
        return error.status_code >= 500
    return isinstance(error, Exception) and not isinstance(error, StopIteration | StopAsyncIteration)


def _finish(span: Span, error: BaseException | None) -> None:
    try:
        if error is not None and span.is_recording() and _is_error(error):
            _record(span, error)
        span.end()
    except Exception:  # noqa: BLE001 - processors are anybody's
        internal_failure("ending a manual span")


def _record(span: Span, error: BaseException) -> None:
    """Mark the span; the event is written once in a trace, where the exception is seen first."""
    trace_id = span.get_span_context().trace_id
    # Past __setattr__, which frozen exception classes refuse.
    known = error.__dict__
    if known.get(RECORDED_KEY) != trace_id:
        known[RECORDED_KEY] = trace_id
        span.add_event("exception", exception_attributes(error))
    kind = type(error).__qualname__  # as on server and client spans
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, f"{kind}: {message(error)}"))


def span(
    name: str,
    /,
    *,
    attributes: Mapping[str, AttributeValue] | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
) -> Scope:
    """Make a span around a ``with`` block.

    An exception that leaves the block marks the span as failed, with ``error.type``, and goes on; its
    event is recorded once, on the innermost span. Cancellation, ``GeneratorExit`` and an
    ``HTTPException`` below 500 are no errors.

    Args:
        name: The span's name: few different ones, with no ids in them.
        attributes: What is known at the start; ``set_attribute`` on the span adds more.
        kind: The span's kind.

    Returns:
        A context manager that gives the span, to be entered once.
    """
    return Scope(name, attributes, kind)


@overload
def traced(name: _F, /) -> _F: ...


@overload
def traced(
    name: str | None = None,
    *,
    attributes: Mapping[str, AttributeValue] | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
) -> TracedDecorator: ...


def traced(
    name: Any = None,
    *,
    attributes: Mapping[str, AttributeValue] | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
) -> Any:
    """Make a span for each call of a function: ``@traced``, ``@traced()`` or ``@traced("name")``.

    Works on functions and methods, plain, ``async``, generator and async-generator ones, above or below
    ``classmethod`` and ``staticmethod``. A generator's span lasts from its first item to its end
    and is current only while its body runs, never in the code that consumes it.

    Args:
        name: The span's name; the function's ``__qualname__`` unless given.
        attributes: Attributes of every span, beside ``code.function.name``.
        kind: The spans' kind.

    Returns:
        The decorated function, or a decorator.

    Raises:
        TypeError: The thing to decorate is a class or cannot be called.
    """
    if name is None or isinstance(name, str):
        return functools.partial(_decorate, name=name, attributes=attributes, kind=kind)
    return _decorate(name, name=None, attributes=attributes, kind=kind)


def _decorate(
    function: Any, *, name: str | None, attributes: Mapping[str, AttributeValue] | None, kind: SpanKind
) -> Any:
    if isinstance(function, classmethod | staticmethod):
        inner = _decorate(function.__func__, name=name, attributes=attributes, kind=kind)
        return type(function)(inner)
    if inspect.isclass(function) or not callable(function):
        raise TypeError(f"traced decorates functions and methods, not {function!r}")
    source = inspect.unwrap(function)
    qualname = getattr(source, "__qualname__", type(source).__qualname__)
    module = getattr(source, "__module__", type(source).__module__)
    known = {"code.function.name": f"{module}.{qualname}", **(attributes or {})}
    begin = functools.partial(Scope, name or qualname, known, kind)
    return _wrapper(function)(function, begin)


def _wrapper(function: Callable[..., Any]) -> Callable[[Callable[..., Any], Callable[[], Scope]], Any]:
    for candidate in (function, type(function).__call__):  # the second for objects with an async __call__
        if inspect.iscoroutinefunction(candidate):
            return _traced_coroutine
        if inspect.isasyncgenfunction(candidate):
            return _traced_async_generator
        if inspect.isgeneratorfunction(candidate):
            return _traced_generator
    return _traced_function


def _traced_function(function: Callable[..., Any], begin: Callable[[], Scope]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with begin():
            return function(*args, **kwargs)

    return wrapper


def _traced_coroutine(function: Callable[..., Any], begin: Callable[[], Scope]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with begin():
            return await function(*args, **kwargs)

    return wrapper


class _Body:
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
        _detach(self._token)
        if error is not None:  # the body has ended
            _finish(self._span, error)


def _traced_generator(function: Callable[..., Any], begin: Callable[[], Scope]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        body = _Body(begin().start())
        with body:
            generator = cast("Generator[Any, Any, Any]", function(*args, **kwargs))
        step: Callable[[], Any] = generator.__next__
        while True:
            try:
                with body:
                    item = step()
            except StopIteration as stop:
                return stop.value
            try:
                sent = yield item
            except BaseException as thrown:  # noqa: BLE001 - the body's to handle, GeneratorExit too
                step = functools.partial(generator.throw, thrown)
            else:
                step = functools.partial(generator.send, sent)

    return wrapper


def _traced_async_generator(function: Callable[..., Any], begin: Callable[[], Scope]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        body = _Body(begin().start())
        with body:
            generator = cast("AsyncGenerator[Any, Any]", function(*args, **kwargs))
        step: Callable[[], Any] = generator.__anext__
        while True:
            try:
                with body:
                    item = await step()
            except StopAsyncIteration:
                return
            try:
                sent = yield item
            except BaseException as thrown:  # noqa: BLE001 - the body's to handle, GeneratorExit too
                step = functools.partial(generator.athrow, thrown)
            else:
                step = functools.partial(generator.asend, sent)

    return wrapper


def current_trace_id() -> str | None:
    """Give the current trace's id: 32 hex digits, or ``None`` outside a trace."""
    context = trace.get_current_span().get_span_context()
    return format(context.trace_id, "032x") if context.is_valid else None


def current_span_id() -> str | None:
    """Give the current span's id: 16 hex digits, or ``None`` outside a trace."""
    context = trace.get_current_span().get_span_context()
    return format(context.span_id, "016x") if context.is_valid else None
