"""Patches of libraries that can be undone, and hooks that replace those of an OpenTelemetry instrumentation."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.instrumentation.utils import unwrap
from wrapt import wrap_function_wrapper

from eco2_tracing._compat.contrib import remove_hooks

if TYPE_CHECKING:
    from types import ModuleType

Args = tuple[Any, ...]
Kwargs = dict[str, Any]
Instance = Any
"""An object of an instrumented library. Most libraries have no types, and only the service imports them."""
Wrapped = Callable[..., Any]
Hook = Callable[[Wrapped, Instance, Args, Kwargs], object]
"""Called in place of a method, with the bound method, its object and the arguments."""


class Instrumentor(Protocol):
    """The public interface of ``BaseInstrumentor``, an OpenTelemetry instrumentation of a library."""

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """True if the instrumentation is on."""

    def instrument(self, **options: bool) -> None:
        """Switch the instrumentation on."""

    def uninstrument(self) -> None:
        """Switch the instrumentation off."""


class Adjustment:
    """A change of one OpenTelemetry instrumentation. Subclasses override what they need."""

    def prepare(self) -> None:
        """Run before ``instrument``."""

    def begin(self, instrumentor: Instrumentor) -> None:
        """Run after ``instrument``."""

    def end(self) -> None:
        """Undo ``prepare`` and ``begin``. Runs before ``uninstrument``."""


class Patches:
    """The patches of one library, which can be undone."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []

    @property
    def are_on(self) -> bool:
        """True if there are patches to undo."""
        return bool(self._undo)

    def wrap(self, owner: type | ModuleType, name: str, hook: Hook) -> None:
        """Patch a function: a hook is called in its place."""
        wrap_function_wrapper(owner, name, hook)
        self.later(lambda: unwrap(owner, name))

    def later(self, undo: Callable[[], object]) -> None:
        """Register a function that undoes a patch."""
        self._undo.append(undo)

    def undo(self) -> None:
        """Undo all patches, the last one first."""
        while self._undo:
            self._undo.pop()()


class Replacement(Adjustment):
    """Hooks of this library that replace those of an OpenTelemetry instrumentation.

    The instrumentation still reports that it is on. Therefore other code does not switch it on a second time.

    Args:
        instrument: ``module:function``, imported when needed. The function is called with a `Patches`.
        keep: True if the hooks of the instrumentation stay, too.
    """

    def __init__(self, instrument: str, *, keep: bool = False) -> None:
        self._instrument = instrument
        self._keep = keep
        self._patches = Patches()

    def begin(self, instrumentor: Instrumentor) -> None:
        """Remove the instrumentation's hooks and add those of this library. Adds all of them or none."""
        if not self._keep:
            remove_hooks(instrumentor)
        with ExitStack() as on_error:
            on_error.callback(self._patches.undo)
            resolve_name(self._instrument)(self._patches)
            on_error.pop_all()

    def end(self) -> None:
        """Remove the hooks of this library."""
        self._patches.undo()
