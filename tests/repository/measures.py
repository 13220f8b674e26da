"""The measures of the code, printed as one table: `python -m tests.repository.measures`.

Each row has its goal. The last row traces one sampled request in process, from the middleware to the export queue.
"""

from __future__ import annotations

import ast
import asyncio
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from statistics import median, quantiles

from tests.repository.sources import PACKAGE, Module, library
from tests.repository.test_layers import internal
from tests.repository.test_style import function_lengths, module_lengths

BROAD = {"Exception", "BaseException"}
OTHERS = ("_compat",)
"""The only package that may use private names of other packages."""


def broad_excepts(modules: Iterable[Module]) -> int:
    """Count the handlers of `Exception`, of `BaseException` and of everything."""
    found = 0
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ExceptHandler):
                names = ast.unparse(node.type) if node.type is not None else "BaseException"
                found += bool(BROAD & set(re.findall(r"\w+", names)))
    return found


def anys(modules: Iterable[Module]) -> int:
    """Count where `Any` is written, imports left out."""
    return sum(
        isinstance(node, ast.Name) and node.id == "Any"
        for module in modules
        for node in ast.walk(module.tree)
    )


def own_names(modules: Iterable[Module]) -> set[str]:
    """Every name that the library itself defines or assigns."""
    found: set[str] = set()
    for module in modules:
        found.update(module.name.split("."))
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                if isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}:
                    found.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
                found.add(node.value)  # __slots__
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add(node.target.id)
    return found


def private_names(modules: Iterable[Module]) -> dict[str, list[str]]:
    """Private names of other packages, with the modules that use them.

    A name counts that starts with one underscore, is read or imported, and that the library never defines.
    """
    modules = tuple(modules)
    own = own_names(modules)
    found: dict[str, list[str]] = {}
    for module in modules:
        for name in _used(module):
            if name not in own:
                found.setdefault(name, []).append(module.name)
    return found


def _used(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr):
            yield node.attr
        elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith(PACKAGE):
            for part in (node.module or "").split("."):
                if _is_private(part):
                    yield part
            yield from (alias.name for alias in node.names if _is_private(alias.name))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"getattr", "hasattr", "setattr"}:
            name = node.args[1]
            if isinstance(name, ast.Constant) and _is_private(str(name.value)):
                yield str(name.value)


DOCUMENTED = {"_exit", "_logs"}
"""Underscored names that their packages document: `os._exit`, and OpenTelemetry's module for logs."""


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in DOCUMENTED


def largest_cycle(modules: Iterable[Module], *, for_types: bool) -> int:
    """The number of modules in the largest import cycle; 0 if there is none.

    Args:
        modules: The library's modules.
        for_types: Whether imports under ``TYPE_CHECKING`` count.
    """
    graph: dict[str, set[str]] = {}
    for one in internal(modules):
        if for_types or not one.for_types:
            graph.setdefault(one.source.name, set()).add(one.target)
    sizes = [size for size in map(len, _components(graph)) if size > 1]
    return max(sizes, default=0)


def _components(graph: dict[str, set[str]]) -> list[set[str]]:
    reach = {node: _reachable(graph, node) for node in graph}
    return [{other for other in reach[node] if node in reach.get(other, ())} for node in graph]


def _reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for target in graph.get(waiting.pop(), ()):
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return seen


def request_path() -> tuple[int, int, Counter[str]]:
    """Serve one sampled request and count the library's calls up to the export queue, without those of its encoding.

    Returns:
        Calls, files, and the calls by file and function.
    """
    os.environ["OTEL_TRACES_EXPORTER"] = "otlp"
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:9"
    import eco2_tracing

    eco2_tracing.configure_tracing("measured")
    from fastapi import FastAPI

    app = FastAPI()
    app.get("/items/{item}")(_endpoint)
    eco2_tracing.instrument_app(app)
    for _ in range(3):
        asyncio.run(_serve(app))
    calls: Counter[str] = Counter()
    encoding: list[object] = []

    def count(frame, event, _argument):
        module = frame.f_globals.get("__name__", "")
        if event == "return" and encoding and encoding[-1] is frame:
            encoding.pop()
        if event == "call" and module.partition(".")[0] == PACKAGE and not encoding:
            calls[f"{module}.{frame.f_code.co_qualname}"] += 1
            if frame.f_code.co_name == "encode_span":
                encoding.append(frame)

    async def counted() -> None:
        sys.setprofile(count)
        try:
            await _serve(app)
        finally:
            sys.setprofile(None)

    asyncio.run(counted())
    eco2_tracing.shutdown_tracing(0)
    modules = {module.name for module in library()}
    files = {max((one for one in modules if name.startswith(one + ".")), key=len) for name in calls}
    return calls.total(), len(files), calls


async def _endpoint(item: str) -> dict[str, str]:
    return {"item": item}


async def _serve(app) -> None:
    headers = [
        (b"host", b"x"),
        (b"x-b3-traceid", b"1" * 32),
        (b"x-b3-spanid", b"2" * 16),
        (b"x-b3-sampled", b"1"),
    ]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": "/items/1", "raw_path": b"/items/1", "query_string": b"", "root_path": "", "headers": headers,
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {},
    }  # fmt: skip

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message):
        return None

    await app(scope, receive, send)


def _spread(lengths: Iterable[int]) -> tuple[float, float, int]:
    found = list(lengths)
    return median(found), quantiles(found, n=10)[-1], max(found)


def table() -> list[tuple[str, str, str]]:
    """Every measure: its name, its value and its goal."""
    modules = library()
    lines = sum(module_lengths(modules).values())
    by_module = _spread(module_lengths(modules).values())
    by_function = _spread(function_lengths(modules).values())
    private = private_names(modules)
    outside = {name for name, users in private.items() if any(not _in_compat(user) for user in users)}
    calls, files, _ = request_path()
    thousands = lines / 1000
    cycles = [largest_cycle(modules, for_types=for_types) for for_types in (False, True)]
    return [
        ("source lines", str(lines), "31 767 before the redesign, 28 764 after it"),
        ("module median / largest, lines", f"{by_module[0]:g} / {by_module[2]}", "≤ 150 / 300"),
        (
            "function median / p90 / longest",
            " / ".join(f"{value:g}" for value in by_function),
            "≤ 8 / 25 / 60",
        ),
        ("largest import cycle, run time / with types", f"{cycles[0]} / {cycles[1]}", "0 / 0"),
        ("broad except per 1 000 lines", f"{broad_excepts(modules) / thousands:.1f}", "≤ 2"),
        ("Any per 1 000 lines", f"{anys(modules) / thousands:.1f}", "≤ 10"),
        ("private names of others / outside _compat", f"{len(private)} / {len(outside)}", "≤ 20 / 0"),
        ("calls / files of a sampled request", f"{calls} / {files}", "≤ 30 / 9"),
    ]


def _in_compat(module: str) -> bool:
    return any(part in OTHERS for part in module.split("."))


def main() -> None:
    """Print the table; with ``-v`` the private names and the calls as well."""
    for name, value, goal in table():
        print(f"{name:52} {value:>16}   {goal}")
    if "-v" in sys.argv[1:]:
        for name, users in sorted(private_names(library()).items()):
            print(f"  {name}: {', '.join(sorted(set(users)))}")
        for call, count in request_path()[2].items():
            print(f"  {count} x {call}")


if __name__ == "__main__":
    main()
