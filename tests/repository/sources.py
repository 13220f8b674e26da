"""The repository's files, and the library's modules as syntax trees."""

from __future__ import annotations

import ast
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "eco2_tracing"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """A module of the library: its dotted name, whether it is a package, its text and its tree."""

    name: str
    is_package: bool
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """The package of the library that it belongs to; empty for the top level."""
        return self.name.partition(".")[2].partition(".")[0]


def parse(name: str, text: str, *, is_package: bool = False) -> Module:
    """Parse a text into a module."""
    return Module(name, is_package, text, ast.parse(text))


@cache
def library() -> tuple[Module, ...]:
    """Every module of the library, by name."""
    found = []
    for path in sorted((ROOT / "src" / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT / "src").with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        found.append(parse(name, path.read_text(), is_package=is_package))
    return tuple(found)


def functions(tree: ast.AST) -> Iterator[Function]:
    """Every function and method of a tree, inner ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def tracked() -> list[Path]:
    """Every text file of the repository, with new ones that are not ignored."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    return [path for name in names if name and (path := ROOT / name).is_file()]
