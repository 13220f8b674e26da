"""Manual spans: ``traced`` for a function, ``span`` for a block.

Both work without tracing, and neither raises an error of tracing into the code inside.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast, overload

from opentelemetry import trace
from opentelemetry.trace import SpanKind

from eco2_tracing._settings import report_arguments, shown_argument, unusable
from eco2_tracing._spans.blocks import GeneratorContext, SpanBlock
from eco2_tracing._spans.sanitize import sanitized_attributes, text_of

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

_DECORATED: tuple[type, ...] = (
    *(types.FunctionType, types.BuiltinFunctionType, types.MethodType),
    *(type, classmethod, staticmethod, property),
)
# The decorator returns the type of its argument, so that type checkers keep signatures and overloads.
_F = TypeVar("_F", bound="Callable[..., Any] | classmethod[Any, ..., Any] | staticmethod[..., Any]")


class TracedDecorator(Protocol):
    """The decorator that ``traced(...)`` returns; it keeps the function's type."""

    def __call__(self, function: _F, /) -> _F:
        """Decorate a function."""
        ...


def span(
    name: str,
    /,
    *,
    attributes: Mapping[str, AttributeValue] | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
) -> SpanBlock:
    """Return a context manager that makes a span around a ``with`` block. It also works while tracing is off.

    An exception that leaves the block sets the span's status to ERROR and its ``error.type``, and is raised again.
    These are not errors: cancellation, ``GeneratorExit``, an ``HTTPException`` below 500, and Starlette's
    ``WebSocketDisconnect`` and ``ClientDisconnect``. The exception event is recorded once on the innermost manual or
    client span, and once on the server span.

    Args:
        name: The span's name. Use few different names, without ids.
        attributes: The attributes at the start. ``set_attribute`` on the span adds more.
        kind: The span's kind. Default: ``SpanKind.INTERNAL``.

    Returns:
        A context manager whose ``with`` target is an OpenTelemetry ``Span``. It can be entered once.

    Raises:
        TypeError: ``span`` is used as a decorator. Use ``traced`` instead.

    Examples:
        >>> with span("count shelves", attributes={"shop.kind": "tea"}) as counting:
        ...     counting.set_attribute("shelf.count", 3)
    """
    # The type is checked, because `isinstance` reads the object's `__class__`, which may raise.
    if issubclass(type(name), _DECORATED):
        raise TypeError(
            f"span is a context manager and decorates nothing: write @traced above {_name_of(name)}"
        )
    if type(name) is not str or type(kind) is not SpanKind:
        kind = _checked("span", name, kind)
    return SpanBlock(name, attributes, kind)


def _checked(function: str, name: object, kind: object) -> SpanKind:
    """Report a name that is not a string and a kind that is not a `SpanKind`; return the kind to use."""
    if not issubclass(type(name), str):
        takes = "a string, such as 'charge card'"
        report_arguments(unusable(function, "name", name, takes, shown_argument(text_of(name))))
    if type(kind) is SpanKind:
        return kind
    report_arguments(
        unusable(function, "kind", kind, "a SpanKind, such as SpanKind.CLIENT", "SpanKind.INTERNAL")
    )
    return SpanKind.INTERNAL


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

    It works on functions, methods, coroutine functions, generators and async generators, above or below ``classmethod``
    and ``staticmethod``. A generator's span starts with the first item and ends with the generator. It is current only
    while the generator's body runs, not in the code that consumes the items. Exceptions are handled as by `span`.

    Args:
        name: The span's name. Default: the function's ``__qualname__``.
        attributes: Attributes of every span, in addition to ``code.function.name``.
        kind: The kind of the spans. Default: ``SpanKind.INTERNAL``.

    Returns:
        The decorated function with its type and signature, or a decorator.

    Raises:
        TypeError: The decorated object is a class or is not callable.

    Examples:
        >>> @traced("price tea", attributes={"shop.kind": "tea"})
        ... def price(amount: int) -> int:
        ...     return amount * 2
        >>> price(2)
        4
    """
    kind = _checked("traced", "", kind)
    if name is None or issubclass(type(name), str):
        return functools.partial(_decorate, name=name, attributes=attributes, kind=kind)
    return _decorate(name, name=None, attributes=attributes, kind=kind)


def _decorate(
    function: Any, *, name: str | None, attributes: Mapping[str, AttributeValue] | None, kind: SpanKind
) -> Any:
    if isinstance(function, classmethod | staticmethod):
        inner = _decorate(function.__func__, name=name, attributes=attributes, kind=kind)
        return type(function)(inner)
    if inspect.isclass(function) or not callable(function):
        raise TypeError(
            f"traced decorates functions and methods, not {shown_argument(function)}{_cure(function)}"
        )
    source = inspect.unwrap(function)
    qualname = getattr(source, "__qualname__", type(source).__qualname__)
    module = getattr(source, "__module__", type(source).__module__)
    known = {"code.function.name": f"{module}.{qualname}", **sanitized_attributes(attributes)}
    begin = functools.partial(SpanBlock, name or qualname, known, kind)
    return _wrapper(function)(function, begin)


def _cure(function: Any) -> str:
    if inspect.isclass(function):
        return ": decorate its methods"
    if isinstance(function, property | functools.cached_property):
        return f": write @traced below @{type(function).__name__}"
    return ""


def _name_of(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def _wrapper(function: Callable[..., Any]) -> Callable[[Callable[..., Any], Callable[[], SpanBlock]], Any]:
    for candidate in (function, type(function).__call__):  # an object may have an async __call__
        if inspect.iscoroutinefunction(candidate):
            return _traced_coroutine
        if inspect.isasyncgenfunction(candidate):
            return _traced_async_generator
        if inspect.isgeneratorfunction(candidate):
            return _traced_generator
    return _traced_function


def _traced_function(function: Callable[..., Any], begin: Callable[[], SpanBlock]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with begin():
            return function(*args, **kwargs)

    return wrapper


def _traced_coroutine(function: Callable[..., Any], begin: Callable[[], SpanBlock]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with begin():
            return await function(*args, **kwargs)

    return wrapper


def _traced_generator(function: Callable[..., Any], begin: Callable[[], SpanBlock]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        body = GeneratorContext(begin().start())
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
            except BaseException as thrown:  # noqa: BLE001 - the generator's body handles it, also GeneratorExit
                step = functools.partial(generator.throw, thrown)
            else:
                step = functools.partial(generator.send, sent)

    return wrapper


def _traced_async_generator(
    function: Callable[..., Any], begin: Callable[[], SpanBlock]
) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        body = GeneratorContext(begin().start())
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
            except BaseException as thrown:  # noqa: BLE001 - the generator's body handles it, also GeneratorExit
                step = functools.partial(generator.athrow, thrown)
            else:
                step = functools.partial(generator.asend, sent)

    return wrapper


def current_trace_id() -> str | None:
    """Return the id of the current trace as 32 hexadecimal digits.

    Returns:
        The id in lower case, or ``None`` outside a trace.

    Examples:
        >>> configure_tracing(service_name="shop")
        True
        >>> with span("work"):
        ...     trace_id = current_trace_id()
        >>> len(trace_id), current_trace_id()
        (32, None)
    """
    context = trace.get_current_span().get_span_context()
    return format(context.trace_id, "032x") if context.is_valid else None


def current_span_id() -> str | None:
    """Return the id of the current span as 16 hexadecimal digits.

    Returns:
        The id in lower case, or ``None`` outside a trace.
    """
    context = trace.get_current_span().get_span_context()
    return format(context.span_id, "016x") if context.is_valid else None
