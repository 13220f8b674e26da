"""Other libraries' instrumentations, switched on when the service imports the library.

Nothing is imported here before the service does so itself: what a service does not use costs it
no start-up time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Protocol

from wrapt import register_post_import_hook

from eco2_tracing._compat.contrib import stable_semconv
from eco2_tracing._guard import warn_once
from eco2_tracing._instrumentation.common.attempts import patch_attempts
from eco2_tracing._instrumentation.libraries.connections import CONNECTIONS
from eco2_tracing._instrumentation.libraries.executors import instrument_executors, uninstrument_executors
from eco2_tracing._instrumentation.libraries.grpc_calls import patch_calls
from eco2_tracing._instrumentation.libraries.grpc_server import patch_grpc_servers
from eco2_tracing._instrumentation.libraries.hooks import guard_hooks
from eco2_tracing._instrumentation.libraries.sqlalchemy import early_engines
from eco2_tracing._instrumentation.libraries.tested import REFUSED, TESTED, Library, key_of
from eco2_tracing._instrumentation.messaging import MESSAGING
from eco2_tracing._native import RLock

_GROUP = "opentelemetry_instrumentor"
_VARIABLE = "ECO2_TRACING_INSTRUMENTATIONS"
_EXECUTORS = {"executors", "threading"}


class _Early(Protocol):
    """Traces what was made before, or past contrib's instrumentation."""

    def prepare(self) -> None:
        """Do what comes before contrib's part."""

    def begin(self, instrumentor: Any) -> None:
        """Do what comes after it."""

    def end(self) -> None:
        """Undo both."""


_EARLY: dict[str, _Early] = {"sqlalchemy": early_engines, **CONNECTIONS, **MESSAGING}


class _Registry:
    """What is wanted, and what is on.

    Args:
        lock: Guards the rest; nothing of anybody else's is called while it is held.
    """

    __slots__ = ("_hooked", "_lock", "_on", "_wanted", "disabled")

    def __init__(self, lock: RLock) -> None:
        self._lock = lock
        self._wanted: set[str] = set()
        self._hooked: set[str] = set()
        # The instrumentor, and whether it was we who switched it on; ``None`` where that failed.
        self._on: dict[str, tuple[Any, bool] | None] = {}
        self.disabled: frozenset[str] = frozenset()

    def want(self, library: Library) -> None:
        """Switch a library on now if it is imported, else when it will be."""
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
        """Switch a library on; runs inside the service's own import of it, so nothing is raised."""
        if module is not None and not _ready(library, module):
            return
        with self._lock:
            if library.name not in self._wanted or library.name in self._on:
                return
            self._on[library.name] = None
        found = _guarded(library.name, library.package, partial(_switch_on, library))
        with self._lock:
            self._on[library.name] = found

    def failed(self, name: str) -> bool:
        """Whether a library is in use and could not be switched on."""
        with self._lock:
            return self._on.get(name, ()) is None

    def forget(self) -> list[tuple[str, Any]]:
        """Want nothing more, and give what is to be switched off."""
        with self._lock:
            ours = [(name, found[0]) for name, found in self._on.items() if found is not None and found[1]]
            self._on.clear()
            self._wanted.clear()
            self.disabled = frozenset()
        return ours


_switchboard = _Registry(RLock())


def _guarded(name: str, package: str, work: Callable[[], Any]) -> Any:
    """Do what another package may fail at; a failure is one warning."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - the package is anybody's, and start-up goes on
        warn_once(
            f"library:{name}", "%s is not traced: %s: %s: %s", name, package, type(error).__name__, error
        )
        return None


def _ready(library: Library, module: ModuleType) -> bool:
    """Whether the import of a module is the moment to switch a library on."""
    parent, _, child = library.watched.rpartition(".")
    if parent in sys.modules and module.__name__ == library.watched:
        # The import system does it as soon as we are done; an instrumentation needs ``mysql.connector`` now.
        setattr(sys.modules[parent], child, module)
    if module.__name__ == library.module:
        return library.watched in sys.modules
    # An application that imports the instrumentation first: it imports the library itself, and is not complete.
    instrumentation = sys.modules.get(library.module)
    return instrumentation is None or hasattr(instrumentation, library.instrumentor)


def _switch_on(library: Library) -> tuple[Any, bool]:
    """Give the instrumentor, and whether nobody else had switched it on before."""
    instrumentor = getattr(import_module(library.module), library.instrumentor)()
    others = bool(instrumentor.is_instrumented_by_opentelemetry)
    patch_attempts(library.name, wrapped=others)
    guard_hooks(library.name)
    patch_calls(library.name)
    if others:
        return instrumentor, False
    early = _EARLY.get(library.name)
    if early is not None:
        early.prepare()
    version = getattr(sys.modules.get(library.watched), "__version__", "")
    if library.newer and version.startswith(library.newer):
        instrumentor.instrument(skip_dep_check=True)
    else:
        instrumentor.instrument(raise_exception_on_conflict=True)
    if early is not None:
        early.begin(instrumentor)
    return instrumentor, True


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # a parent that is missing, or a module put there by hand
        return module in sys.modules


def _tell(name: str, by_variable: bool, complaint: str, *args: object) -> None:
    """Warn of an instrumentation that stays off, with the variable where one asked for it."""
    start, end = (f"{_VARIABLE}={name!r}: ", "; using nothing for it") if by_variable else ("", "")
    warn_once(f"library:{key_of(name)}", f"%sInstrumentation {complaint}%s", start, *args, end)


def unusable_instrumentations(names: Iterable[str]) -> list[tuple[str, str]]:
    """Tell what is wrong with names of ``ECO2_TRACING_INSTRUMENTATIONS``, for strict mode.

    Args:
        names: As the variable has them.

    Returns:
        Each name that cannot be switched on, and a sentence about it.
    """
    found: list[tuple[str, str]] = []
    for name in names:

        def tell(name: str, by_variable: bool, complaint: str, *args: object) -> None:
            found.append((name, f"{_VARIABLE}={name!r}: Instrumentation {complaint % args}"))

        if key_of(name) not in _EXECUTORS and (library := _find(name, True, tell)):
            _asked(library, True, tell)
    return found


def _find(name: str, by_variable: bool, tell: Callable[..., None] = _tell) -> Library | None:
    """Find an instrumentation that was asked for by name; tell why there is none."""
    key = key_of(name)
    if key in REFUSED:
        tell(name, by_variable, "%s is not switched on: %s", name, REFUSED[key])
        return None
    for library in TESTED:
        if key_of(library.name) == key:
            return library
    # Scanning every installed package costs tens of milliseconds; only names that are not tested pay it.
    for point in entry_points(group=_GROUP):
        if key_of(point.name) == key:
            module, _, instrumentor = point.value.partition(":")
            package = point.dist.name if point.dist else module
            return Library(point.name, "", package, module, instrumentor, "")
    tell(name, by_variable, "%s is not installed: pip install opentelemetry-instrumentation-%s", name, key)
    return None


def _asked(library: Library, by_variable: bool, tell: Callable[..., None] = _tell) -> bool:
    """Whether what was asked for by name is there; a warning tells what is missing."""
    if not library.watched:
        return True
    if not _installed(library.module):
        tell(
            library.name,
            by_variable,
            "%s needs %s, which is not installed: pip install 'eco2-tracing[%s]'",
            library.name,
            library.package,
            library.extra,
        )
        return False
    if not _installed(library.watched.partition(".")[0]):
        tell(
            library.name,
            by_variable,
            "%s has nothing to trace: %s is not installed",
            library.name,
            library.watched,
        )
        return False
    return True


def _present(library: Library) -> bool:
    """Whether a tested library is there, in silence."""
    return _installed(library.watched.partition(".")[0]) and _installed(library.module)


def instrument_libraries(
    names: Iterable[str] | None = None, *, more: Iterable[str] = (), disabled: Iterable[str] | None = None
) -> tuple[str, ...]:
    """Trace other libraries: databases, caches, brokers, HTTP and gRPC clients.

    A library is switched on when the service imports it, or now if it has. Needs its OpenTelemetry
    instrumentation, which the extra of the same name brings. Safe to call twice. Never server frameworks, and
    not logging: ``instrument_app`` and ``configure_logging`` do that. Nothing is raised.

    Args:
        names: Which ones, by the names of OpenTelemetry's entry points, in any case, with ``-`` or ``_``.
            Unless given, every tested one that is installed.
        more: Names beside the tested ones, from ``ECO2_TRACING_INSTRUMENTATIONS``.
        disabled: Names to leave off, ``*`` for all; kept for later calls, because operators have the last
            word. ``None`` leaves it as it was.

    Returns:
        The names that are on, or will be when their library is imported.
    """
    stable_semconv()
    patch_grpc_servers()
    if disabled is not None:
        _switchboard.disabled = frozenset(map(key_of, disabled))
    off = _switchboard.disabled
    if "*" in off:
        return ()
    asked = [
        (name.encode("utf-8", "backslashreplace").decode(), False) for name in names or () if name.strip()
    ] + [(name, True) for name in more]
    wanted = [
        library
        for name, by_variable in asked
        if key_of(name) not in off | _EXECUTORS
        and (library := _find(name, by_variable))
        and _asked(library, by_variable)
    ]
    if names is None:
        wanted += [library for library in TESTED if library not in wanted and _present(library)]
    on = dict.fromkeys(library.name for library in wanted if key_of(library.name) not in off)
    for library in wanted:
        if library.name in on:
            _guarded(library.name, library.package, partial(_switchboard.want, library))
            if _switchboard.failed(library.name):
                del on[library.name]
    if (names is None or _EXECUTORS.intersection(key_of(name) for name, _ in asked)) and not off & _EXECUTORS:
        instrument_executors()
        on["executors"] = None
    return tuple(on)


def uninstrument_libraries() -> None:
    """Undo ``instrument_libraries``; what somebody else switched on stays on."""
    for name, instrumentor in _switchboard.forget():
        if name in _EARLY:
            _guarded(name, name, _EARLY[name].end)
        _guarded(name, name, instrumentor.uninstrument)
    uninstrument_executors()
