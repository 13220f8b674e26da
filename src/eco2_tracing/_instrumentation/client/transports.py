"""Decides which transports of httpx pass requests to inner transports, and which send them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FunctionType
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from eco2_tracing._compat.httpx import sends_requests

_TEST_CLIENT = "_TestClientTransport"
_IN_PROCESS = frozenset({"ASGITransport", "WSGITransport"})
_POOLS = ("httpcore.", "httpcore2.")
_DEPTH = 8
_MANY = 100

hooked: set[Any] = set()
"""The patched methods of transport classes, which create the span of each attempt."""

delegating: WeakSet[type] = WeakSet()
"""Classes that have passed a request to an inner transport."""

# By class derived from a patched class: the patched method, and whether the derived class calls it.
_calls_hooked: WeakKeyDictionary[type, tuple[Any, bool]] = WeakKeyDictionary()


def is_test_client(kind: type) -> bool:
    """Return whether a transport is that of Starlette's ``TestClient``."""
    return any(base.__name__ == _TEST_CLIENT for base in kind.__mro__)


def is_in_process(kind: type) -> bool:
    """Return whether a transport calls an application of the same process."""
    return any(base.__name__ in _IN_PROCESS for base in kind.__mro__)


def is_hooked(transport: object, method: str) -> bool:
    """Return whether a transport creates the spans of its attempts."""
    # A mock or another package may have replaced the method on the class or on the object.
    return getattr(getattr(transport, method, None), "__func__", None) in hooked


def delegates(transport: object, method: str, hook: Callable[[type], bool], depth: int = _DEPTH) -> bool:
    """Return whether a transport has inner transports, all of which create the spans of their attempts.

    Inner transports of other packages are patched first.

    Args:
        transport: The outer transport.
        method: ``handle_request`` or ``handle_async_request``.
        hook: Patches a class of transports to create spans; returns ``False`` if it cannot be patched.
        depth: The maximum number of nested transports.
    """
    inner = [each for each in _inner_transports(transport, method) if each is not transport]
    return bool(inner and depth) and all(_is_traced(each, method, hook, depth - 1) for each in inner)


def calls_base(kind: type, method: str) -> bool:
    """Return whether a class overrides a patched method of its base class and calls it to send requests.

    Such a class may return a response from a cache without a call. A class that does not call the method sends
    requests itself.
    """
    overriding: list[type] = []
    for base in kind.__mro__:
        found = base.__dict__.get(method)
        if found is not None and found in hooked:
            cached = _calls_hooked.get(kind)
            if cached is None or cached[0] is not found:
                cached = _calls_hooked[kind] = (
                    found,
                    any(_refers(each, method, found) for each in overriding),
                )
            return cached[1]
        overriding.append(base)
    return False


def _refers(kind: type, method: str, hook: Any) -> bool:
    """Return whether the code of a class names the method, as in ``super().handle_request``, or holds its function."""
    for value in kind.__dict__.values():
        if value is hook:
            return True
        function = inspect.unwrap(value) if callable(value) else None
        if isinstance(function, FunctionType):
            inside = [each for each in _captured(function, _DEPTH) if isinstance(each, FunctionType)]
            if hook in inside or any(_names_method(each.__code__, method) for each in (function, *inside)):
                return True
    return False


def _names_method(code: CodeType, method: str) -> bool:
    return method in code.co_names or any(
        isinstance(each, CodeType) and _names_method(each, method) for each in code.co_consts
    )


def _is_traced(transport: Any, method: str, hook: Callable[[type], bool], depth: int) -> bool:
    if is_hooked(transport, method) or sends_requests(transport):
        return True
    kind = type(transport)
    if (
        is_test_client(kind)
        or kind in delegating
        or calls_base(kind, method)
        or delegates(transport, method, hook, depth)
    ):
        return True
    return method not in getattr(transport, "__dict__", ()) and hook(kind)


def _inner_transports(transport: Any, method: str) -> Iterator[Any]:
    """Yield the transports and clients that an object holds, also in collections, bound methods and closures."""
    for value in _attributes(transport):
        for each in _elements(value):
            owner = getattr(each, "__self__", each)
            if _is_transport(owner, method):
                yield owner


def _attributes(owner: Any) -> list[Any]:
    found = list(getattr(owner, "__dict__", {}).values())
    for kind in type(owner).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            found.append(getattr(owner, name, None))
    return found


def _elements(value: Any) -> Iterable[Any]:
    while isinstance(value, functools.partial):
        value = value.func
    if isinstance(value, dict):
        return list(value.values())[:_MANY]
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)[:_MANY]
    if isinstance(value, FunctionType):
        return list(_captured(value, _DEPTH))
    return (value,)


def _captured(function: FunctionType, depth: int) -> Iterator[Any]:
    """Yield the values in a function's closure. Retry libraries nest closures around a bound method."""
    for cell in function.__closure__ or ():
        try:
            value = cell.cell_contents
        except ValueError:  # the cell is empty
            continue
        yield value
        if isinstance(value, FunctionType) and depth:
            yield from _captured(value, depth - 1)


def _is_transport(value: object, method: str) -> bool:
    kind = type(value)
    if isinstance(value, type) or not hasattr(kind, method):
        is_async = method == "handle_async_request"
        return sends_requests(kind) and hasattr(kind, "aclose") == is_async
    # The connection pools below httpx's transports have a method of the same name.
    return not any(f"{base.__module__}.".startswith(_POOLS) for base in kind.__mro__)
