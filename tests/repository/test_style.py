"""Lengths of modules and functions: `python -m tests.repository.test_style` prints them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from statistics import median, quantiles

from tests.repository.sources import ROOT, Module, functions, library, parse

LONGEST_MODULE = 300
LONGEST_FUNCTION = 60


def module_lengths(modules: Iterable[Module]) -> dict[str, int]:
    """The lines of each module."""
    return {module.name: len(module.text.splitlines()) for module in modules}


def function_lengths(modules: Iterable[Module]) -> dict[str, int]:
    """The lines of each function, without decorators and docstring."""
    return {
        f"{module.name}:{function.lineno} {function.name}": _length(function)
        for module in modules
        for function in functions(module.tree)
    }


def _length(function) -> int:
    length = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is None:
        return length
    docstring = function.body[0]
    return length - (docstring.end_lineno - docstring.lineno + 1)


def figures(name: str, lengths: Sequence[int]) -> str:
    """One line: median, 90th percentile, longest."""
    ninetieth = quantiles(lengths, n=10)[-1] if len(lengths) > 1 else lengths[0]
    middle = f"median {median(lengths):g}, 90th percentile {ninetieth:g}"
    return f"{name}: {len(lengths)}, {middle}, longest {max(lengths)}"


def show(lengths: dict[str, int]) -> None:
    """Print the three longest."""
    for name in sorted(lengths, key=lengths.__getitem__, reverse=True)[:3]:
        print(f"  {lengths[name]} {name}")


def test_modules_are_short():
    """At most 300 lines, half of them at most 150."""
    lengths = module_lengths(library())
    show(lengths)
    print(figures("modules", list(lengths.values())))
    assert max(lengths.values()) <= LONGEST_MODULE
    assert median(lengths.values()) <= LONGEST_MODULE / 2


def test_functions_are_short():
    """At most 60 lines."""
    lengths = function_lengths(library())
    show(lengths)
    print(figures("functions", list(lengths.values())))
    assert max(lengths.values()) <= LONGEST_FUNCTION


def test_docstrings_are_not_counted():
    """A docstring does not make a function long."""
    module = parse("m", 'def f():\n    """Say.\n\n    More.\n    """\n    return 1\n')
    assert list(function_lengths([module]).values()) == [2]


def test_every_test_has_a_docstring():
    """It states what the test checks."""
    silent = [
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for function in functions(ast.parse(path.read_text()))
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]
    assert silent == []


if __name__ == "__main__":
    for kind, measure in (("modules", module_lengths), ("functions", function_lengths)):
        print(figures(kind, list(measure(library()).values())))
        show(measure(library()))
