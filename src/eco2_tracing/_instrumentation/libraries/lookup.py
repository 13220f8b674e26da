"""Finds instrumentations by the names that users write."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.metadata import entry_points
from importlib.util import find_spec

from eco2_tracing._instrumentation.libraries.tested import REFUSED, TESTED, Library, key_of

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
