"""Imports go down only, siblings do not import each other, and there are no cycles."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

import pytest

import eco2_tracing
from tests.repository.sources import PACKAGE, Function, Module, library, parse

LAYERS = {
    "_compat": 1,
    "_context": 1,
    "_native": -2,
    "_guard": -1,
    "_forks": 0,
    "_readable_span": 0,
    "_early": 0,
    "_errors": 1,
    "_pipes": 1,
    "_protobuf": 1,
    "_redaction": 1,
    "_tls": 1,
    "_untraced": 1,
    "_console": 2,
    "_lazy_imports": 2,
    "_settings": 2,
    "_resource": 2,
    "propagation": 3,
    "sampling": 3,
    "_export": 3,
    "logs": 3,
    "metrics": 3,
    "_spans": 3,
    "_instrumentation": 4,
    "_lifecycle": 5,
    "": 6,  # the top level only re-exports
    "_doctor": 7,
    "_run": 7,
    "_cli": 7,
    "_view": 7,
    "testing": 7,
    "__main__": 8,
}
# Within a package: parts of one level are siblings, and what is not named stands above its parts and composes them.
PARTS = {
    "_export.gil": 1,
    "_export.result": 1,
    "_export.signal": 1,
    "_export.otlp": 2,
    "_export.transport": 2,
    "_export.batch": 2,
    "_export": 3,
    "_instrumentation.common": 1,
    "_instrumentation.client": 2,
    "_instrumentation.contrib": 2,
    "_instrumentation.external": 2,
    "_instrumentation.libraries": 2,
    "_instrumentation.messaging": 2,
    "_instrumentation.server": 2,
    "_instrumentation": 3,
    "sampling._head": 1,
    "sampling._remote": 2,
    "sampling._tail": 2,
    "sampling": 3,
}
# (importer, imported): the demo shows what the testing helpers receive, and the viewer receives with their servers.
ALLOWED = {("_cli", "testing"), ("_cli", "_doctor"), ("_cli", "_view"), ("_view", "testing")}
# Optional or slow packages: imported by the function or module that needs them.
LAZY = {
    "google",
    "grpc",
    "h2",
    "httpcore",
    "httpx",
    "httpx2",
    "prometheus_client",
    "pytest",
    "requests",
    "urllib3",
    "uvicorn",
}
# An edge is imported by name, with its extra installed.
EDGES = {"_cli", "_doctor", "_run", "_view", "testing", "__main__"}


@dataclass(frozen=True)
class Import:
    """One import: source, target, line, and whether it is in a function or for types alone."""

    source: Module
    target: str
    line: int
    in_function: bool
    for_types: bool

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line} imports {self.target}"


def imports(module: Module, known: set[str]) -> Iterator[Import]:
    """The imports of a module; ``from a import b`` is ``a.b`` if that is a module."""
    spans = [
        (node.lineno, node.end_lineno or 0, isinstance(node, Function))
        for node in ast.walk(module.tree)
        if isinstance(node, Function)
        or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    ]
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        around = [in_function for first, last, in_function in spans if first <= node.lineno <= last]
        for target in _targets(module, node, known):
            yield Import(module, target, node.lineno, any(around), False in around)


def _targets(module: Module, node: ast.Import | ast.ImportFrom, known: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        package = module.name.split(".")
        package = package[: len(package) - node.level + module.is_package]
        base = ".".join([*package, base]).rstrip(".")
    for alias in node.names:
        full = f"{base}.{alias.name}"
        yield full if full in known else base


def internal(modules: Iterable[Module]) -> list[Import]:
    """The imports between the library's modules."""
    modules = tuple(modules)
    known = {module.name for module in modules}
    found = [one for module in modules for one in imports(module, known)]
    return [one for one in found if one.target.partition(".")[0] == PACKAGE]


def broken_layers(modules: Iterable[Module]) -> list[str]:
    """Imports that go up or sideways."""
    found = []
    for one in internal(modules):
        target = one.target.partition(".")[2].partition(".")[0]
        source = one.source.room
        if source == target or (source, target) in ALLOWED:
            continue
        if LAYERS.get(target, 99) >= LAYERS.get(source, 0):
            found.append(str(one))
    return found


def _part(name: str) -> str:
    """The part of a package that a module belongs to: the longest name in `PARTS`."""
    inner = name.partition(".")[2].split(".")
    for count in range(len(inner), 0, -1):
        if ".".join(inner[:count]) in PARTS:
            return ".".join(inner[:count])
    return ""


def broken_parts(modules: Iterable[Module]) -> list[str]:
    """Imports between the parts of one package that go up or sideways."""
    found = []
    for one in internal(modules):
        source, target = _part(one.source.name), _part(one.target)
        if source == target or source.partition(".")[0] != target.partition(".")[0]:
            continue
        if PARTS[target] >= PARTS[source]:
            found.append(str(one))
    return found


def cycle(modules: Iterable[Module]) -> list[str]:
    """The modules of one import cycle; imports for types count."""
    graph: dict[str, set[str]] = {}
    for one in internal(modules):
        graph.setdefault(one.source.name, set()).add(one.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_package_has_a_layer():
    """A new package must be assigned to one."""
    assert {module.room for module in library()} <= set(LAYERS)


def test_imports_go_down():
    """No module imports from its own layer or from one above."""
    assert broken_layers(library()) == []


def test_imports_within_a_package_go_down():
    """No part of a package imports a sibling, nor what composes them."""
    assert broken_parts(library()) == []


def test_no_cycles():
    """The modules have an order; imports in functions count."""
    assert cycle(library()) == []


def loaded_at_start(modules: Iterable[Module]) -> set[str]:
    """The modules that the use of the public names loads, with their packages."""
    found: set[str] = set()
    waiting = [PACKAGE, *(f"{PACKAGE}.{name}" for name in eco2_tracing._MODULES)]
    edges: dict[str, list[str]] = {}
    for one in internal(modules):
        if not one.in_function and not one.for_types:
            edges.setdefault(one.source.name, []).append(one.target)
    while waiting:
        name = waiting.pop()
        if name and name not in found:
            found.add(name)
            waiting += [name.rpartition(".")[0], *edges.get(name, ())]
    return found


def test_optional_packages_are_imported_where_they_are_needed():
    """Optional and slow packages are not loaded with the library, and no other import is in a function."""
    at_start = loaded_at_start(library())
    known = {module.name for module in library()}
    wrong = []
    for one in (one for module in library() if module.room not in EDGES for one in imports(module, known)):
        top = one.target.partition(".")[0]
        if one.for_types or top in sys.stdlib_module_names:
            continue
        own_room = one.target.startswith(f"{PACKAGE}.{one.source.room}.")
        if one.in_function and top not in LAZY and not top.startswith("opentelemetry") and not own_room:
            wrong.append(f"{one} in a function")
        elif not one.in_function and top in LAZY and one.source.name in at_start:
            wrong.append(f"{one} at start-up")
    assert wrong == []


@pytest.mark.parametrize(
    ("source", "broken"),
    [
        ("from eco2_tracing._lifecycle import x", True),
        ("from eco2_tracing import _lifecycle", True),
        ("from eco2_tracing import configure_tracing", True),
        ("def f():\n    from eco2_tracing.sampling import y", True),
        ("from ..sampling import y", True),
        ("from eco2_tracing._settings import z", False),
        ("from eco2_tracing.logs._other import z", False),
        ("import logging", False),
    ],
)
def test_broken_layers_are_found(source, broken):
    """Imports up or sideways, relative or in a function."""
    modules = [
        parse("eco2_tracing.logs._ecs", source),
        parse("eco2_tracing._lifecycle", "", is_package=True),
        parse("eco2_tracing.logs", "", is_package=True),
    ]
    assert bool(broken_layers(modules)) is broken


def test_cycles_are_found():
    """Through an import in a function, and through one for types."""
    first = parse("eco2_tracing.a", "import eco2_tracing.b")
    assert cycle([first, parse("eco2_tracing.b", "def f():\n    import eco2_tracing.a")])
    assert cycle([first, parse("eco2_tracing.b", "if TYPE_CHECKING:\n    import eco2_tracing.a")])
