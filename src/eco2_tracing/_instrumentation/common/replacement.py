"""Changes to libraries that can be undone, and hooks that replace those of an OpenTelemetry instrumentation."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.instrumentation.utils import unwrap
from wrapt import wrap_function_wrapper

from eco2_tracing._compat.instrumentors import remove_hooks

if TYPE_CHECKING:
    from types import ModuleType

Args = tuple[Any, ...]
Kwargs = dict[str, Any]
Instance = Any
"""An object of an instrumented library. Libraries are imported by the service, and most of them have no types."""
Wrapped = Callable[..., Any]
Hook = Callable[[Wrapped, Instance, Args, Kwargs], object]
"""Called in place of a method, with the bound method, its object and the arguments."""


class Instrumentor(Protocol):
    """An OpenTelemetry instrumentation of a library: the public side of ``BaseInstrumentor``."""

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """True if it is switched on."""

    def instrument(self, **options: bool) -> None:
        """Switch it on."""

    def uninstrument(self) -> None:
        """Switch it off."""


class Adjustment:
    """A change of one OpenTelemetry instrumentation. Subclasses override what they need."""

    def prepare(self) -> None:
        """Run before ``instrument``."""

    def begin(self, instrumentor: Instrumentor) -> None:
        """Run after ``instrument``."""

    def end(self) -> None:
        """Undo both; runs before ``uninstrument``."""


class Patches:
    """The changes made to one library, which can be undone."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []

    @property
    def are_on(self) -> bool:
        """True if there are changes to undo."""
        return bool(self._undo)

    def wrap(self, owner: type | ModuleType, name: str, hook: Hook) -> None:
        """Call a hook in place of a function.

        Args:
            owner: The function's class or module.
            name: The function's name.
            hook: The hook.
        """
        wrap_function_wrapper(owner, name, hook)
        self.later(lambda: unwrap(owner, name))

    def later(self, undo: Callable[[], object]) -> None:
        """Register a function that undoes a change."""
        self._undo.append(undo)

    def undo(self) -> None:
        """Undo all changes, the last one first."""
        while self._undo:
            self._undo.pop()()


class Replacement(Adjustment):
    """Hooks of this library that replace those of an OpenTelemetry instrumentation.

    The instrumentation stays switched on by its own account, so that other code does not switch it on a second time.

    Args:
        instrument: ``module:function``; imported when it is needed. The function gets a `Patches`.
        keep: True if the hooks of the instrumentation stay as well.
    """

    def __init__(self, instrument: str, *, keep: bool = False) -> None:
        self._instrument = instrument
        self._keep = keep
        self._patches = Patches()

    def begin(self, instrumentor: Instrumentor) -> None:
        """Remove the instrumentation's hooks and add those of this library: all of them or none."""
        if not self._keep:
            remove_hooks(instrumentor)
        with ExitStack() as on_error:
            on_error.callback(self._patches.undo)
            resolve_name(self._instrument)(self._patches)
            on_error.pop_all()

    def end(self) -> None:
        """Remove the hooks of this library."""
        self._patches.undo()
