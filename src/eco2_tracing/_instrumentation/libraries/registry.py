"""Switches other libraries' instrumentations on when the application imports the library.

No library is imported earlier, so that libraries that an application does not use add nothing to its start-up time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

from wrapt import register_post_import_hook

from eco2_tracing._compat.contrib import stable_semconv
from eco2_tracing._guard import result_or_error, warn_once
from eco2_tracing._instrumentation.common.attempts import patch_attempts
from eco2_tracing._instrumentation.common.replacement import Adjustment, Instrumentor, Replacement
from eco2_tracing._instrumentation.libraries.connections import CONNECTIONS, early_engines
from eco2_tracing._instrumentation.libraries.grpc_server import patch_grpc_servers
from eco2_tracing._instrumentation.libraries.hooks import (
    DRIVER_HOOKS,
    instrument_executors,
    uninstrument_executors,
)
from eco2_tracing._instrumentation.libraries.tested import REFUSED, TESTED, Library, key_of

if TYPE_CHECKING:
    from types import ModuleType

    from eco2_tracing._native import RLock

VARIABLE = "ECO2_TRACING_INSTRUMENTATIONS"
EXECUTORS = {"executors", "threading"}
"""The names of `instrument_executors`, which is no instrumentation of OpenTelemetry."""
_GROUP = "opentelemetry_instrumentor"


class UnusableError(Exception):
    """An instrumentation that cannot be switched on; the message says why and what to do."""


def find(name: str) -> Library:
    """Return an instrumentation by name.

    Raises:
        UnusableError: There is none, or a package is missing.
    """
    key = key_of(name)
    if key in REFUSED:
        raise UnusableError(f"{name} is not switched on: {REFUSED[key]}")
    for library in TESTED:
        if key_of(library.name) == key:
            _check(library)
            return library
    # Only names that are not tested search every installed package, which takes tens of milliseconds.
    for point in entry_points(group=_GROUP):
        if key_of(point.name) == key:
            module, _, instrumentor = point.value.partition(":")
            package = point.dist.name if point.dist else module
            return Library(point.name, "", package, module, instrumentor, "")
    raise UnusableError(f"{name} is not installed: pip install opentelemetry-instrumentation-{key}")


def _check(library: Library) -> None:
    if not _installed(library.module):
        raise UnusableError(
            f"{library.name} needs {library.package}, which is not installed: "
            f"pip install 'eco2-tracing[{library.extra}]'"
        )
    if not _installed(library.watched.partition(".")[0]):
        raise UnusableError(f"{library.name} has nothing to trace: {library.watched} is not installed")


def present() -> list[Library]:
    """Return the tested libraries that are installed with their instrumentation."""
    return [
        library
        for library in TESTED
        if _installed(library.watched.partition(".")[0]) and _installed(library.module)
    ]


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # the parent is missing, or the module was put there by hand
        return module in sys.modules


def unusable_instrumentations(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the names of ``ECO2_TRACING_INSTRUMENTATIONS`` that cannot be switched on, with a sentence each."""
    found: list[tuple[str, str]] = []
    for name in names:
        try:
            if key_of(name) not in EXECUTORS:
                find(name)
        except UnusableError as error:
            found.append((name, f"{VARIABLE}={name!r}: Instrumentation {error}"))
    return found


_GRPC = f"{__package__}.grpc_calls"
ADJUSTMENTS: Mapping[str, Adjustment] = {
    "sqlalchemy": early_engines,
    "grpc_client": Replacement(f"{_GRPC}:instrument"),
    "grpc_aio_client": Replacement(f"{_GRPC}:instrument_aio"),
    **CONNECTIONS,
    **DRIVER_HOOKS,
}
"""Corrections of instrumentations, by name."""

_Result = TypeVar("_Result")


def _attempt(name: str, package: str, work: Callable[[], _Result]) -> _Result | None:
    """Call into another package; a failure is one warning and ``None``."""
    result = result_or_error(work)
    if not isinstance(result, Exception):
        return result
    warn_once(f"library:{name}", "%s is not traced: %s: %s: %s", name, package, type(result).__name__, result)
    return None


class LibraryRegistry:
    """The instrumentations that are wanted and those that are on.

    Args:
        lock: Guards the state. No code of other packages is called while it is held.
        adjustments: Corrections of instrumentations, by name.
    """

    def __init__(self, lock: RLock, adjustments: Mapping[str, Adjustment]) -> None:
        self._lock = lock
        self._adjustments = adjustments
        self._wanted: set[str] = set()
        self._hooked: set[str] = set()
        # By name: the instrumentor, and True if it was switched on here; ``None`` if that failed.
        self._on: dict[str, tuple[Instrumentor, bool] | None] = {}
        self._disabled: frozenset[str] = frozenset()

    def instrument(
        self,
        names: Iterable[str] | None = None,
        *,
        more: Iterable[str] = (),
        disabled: Iterable[str] | None = None,
    ) -> tuple[str, ...]:
        """Trace other libraries: databases, caches, brokers, HTTP and gRPC clients.

        A library is switched on when the application imports it, or now if it is imported already. It needs its
        OpenTelemetry instrumentation, which the extra of the same name installs. Safe to call twice. Server frameworks
        and logging are never switched on: `instrument_app` and `configure_logging` do that. Never raises.

        Args:
            names: Names of OpenTelemetry's entry points, in any case, with ``-`` or ``_``. Default: every tested one
                that is installed.
            more: Further names, from ``ECO2_TRACING_INSTRUMENTATIONS``.
            disabled: Names that stay off, ``*`` for all; they stay off in later calls. ``None`` keeps the former ones.

        Returns:
            The names that are on, or will be when their library is imported.
        """
        stable_semconv()
        patch_grpc_servers()
        if disabled is not None:
            self._disabled = frozenset(map(key_of, disabled))
        off = self._disabled
        if "*" in off:
            return ()
        asked = [
            (name.encode("utf-8", "backslashreplace").decode(), False) for name in names or () if name.strip()
        ] + [(name, True) for name in more]
        wanted = _found(asked, off)
        if names is None:
            wanted += [library for library in present() if library not in wanted]
        on = dict.fromkeys(library.name for library in wanted if key_of(library.name) not in off)
        for library in wanted:
            if library.name in on:
                _attempt(library.name, library.package, partial(self._want, library))
                if self._has_failed(library.name):
                    del on[library.name]
        if not off & EXECUTORS and (
            names is None or EXECUTORS.intersection(key_of(name) for name, _ in asked)
        ):
            instrument_executors()
            on["executors"] = None
        return tuple(on)

    def uninstrument(self) -> None:
        """Undo `instrument`; instrumentations that other code switched on stay on."""
        with self._lock:
            ours = [(name, found[0]) for name, found in self._on.items() if found is not None and found[1]]
            self._on.clear()
            self._wanted.clear()
            self._disabled = frozenset()
        for name, instrumentor in ours:
            if name in self._adjustments:
                _attempt(name, name, self._adjustments[name].end)
            _attempt(name, name, instrumentor.uninstrument)
        uninstrument_executors()

    def _want(self, library: Library) -> None:
        """Switch a library on now if it is imported, otherwise at its import."""
        with self._lock:
            self._wanted.add(library.name)
            first = library.name not in self._hooked
            self._hooked.add(library.name)
        if not library.watched:
            self._imported(library)
        elif first:
            for module in (library.watched, library.module):
                register_post_import_hook(partial(self._imported, library), module)
        elif library.watched in sys.modules:
            self._imported(library)

    def _imported(self, library: Library, module: ModuleType | None = None) -> None:
        """Switch a library on. It runs in the application's import of the library, so that it must not raise."""
        if module is not None and not _is_ready(library, module):
            return
        with self._lock:
            if library.name not in self._wanted or library.name in self._on:
                return
            self._on[library.name] = None
        found = _attempt(library.name, library.package, partial(self._switch_on, library))
        with self._lock:
            self._on[library.name] = found

    def _has_failed(self, name: str) -> bool:
        with self._lock:
            return self._on.get(name, ()) is None

    def _switch_on(self, library: Library) -> tuple[Instrumentor, bool]:
        """Return the instrumentor, and True unless other code has switched it on before."""
        instrumentor: Instrumentor = getattr(import_module(library.module), library.instrumentor)()
        patch_attempts(library.name)
        if instrumentor.is_instrumented_by_opentelemetry:
            return instrumentor, False
        adjustment = self._adjustments.get(library.name)
        if adjustment is not None:
            adjustment.prepare()
        version = getattr(sys.modules.get(library.watched), "__version__", "")
        if library.newer and version.startswith(library.newer):
            instrumentor.instrument(skip_dep_check=True)
        else:
            instrumentor.instrument(raise_exception_on_conflict=True)
        if adjustment is not None:
            adjustment.begin(instrumentor)
        return instrumentor, True


def _found(asked: Iterable[tuple[str, bool]], off: frozenset[str]) -> list[Library]:
    """Return the instrumentations of names; one warning for each that cannot be switched on."""
    wanted = []
    for name, by_variable in asked:
        if key_of(name) in off | EXECUTORS:
            continue
        try:
            wanted.append(find(name))
        except UnusableError as error:
            start, end = (f"{VARIABLE}={name!r}: ", "; using nothing for it") if by_variable else ("", "")
            warn_once(f"library:{key_of(name)}", "%sInstrumentation %s%s", start, error, end)
    return wanted


def _is_ready(library: Library, module: ModuleType) -> bool:
    """Return True if a library can be switched on after the import of a module."""
    parent, _, child = library.watched.rpartition(".")
    if parent in sys.modules and module.__name__ == library.watched:
        # The import system sets the attribute after this hook; the instrumentation needs ``mysql.connector`` now.
        setattr(sys.modules[parent], child, module)
    if module.__name__ == library.module:
        return library.watched in sys.modules
    # If the application imports the instrumentation first, that imports the library and is not complete yet.
    instrumentation = sys.modules.get(library.module)
    return instrumentation is None or hasattr(instrumentation, library.instrumentor)
