"""Rewrite the installed OpenTelemetry SDK like a later release that changed only private names.

`python -m tests.support.canary ENVIRONMENT` rewrites `opentelemetry.sdk` and `opentelemetry.attributes` there:

- every private attribute and method is renamed, so code that uses one of today's names fails;
- the span classes get one more private field, set by the constructor and read by every method, so an object that
  skips the constructor and inherits a method fails.

`nox -s "tests_otel(canary)"` runs the suite against the result. Never run it on an environment that is still needed.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

FIELD = "_canary_state"
GUARDED = {
    "BoundedAttributes",
    "BoundedList",
    "Event",
    "EventBase",
    "ReadableSpan",
    "Span",
    "Tracer",
    "TracerProvider",
}
"""Classes that get the new field."""
KEPT = {"_fields", "_replace", "_asdict", "_make", "_missing_", "_value_", "_name_"}
"""Private by name, but the standard library's contract."""
_Function = (ast.FunctionDef, ast.AsyncFunctionDef)


def is_private(name: str) -> bool:
    """Whether a name has one leading underscore."""
    return name.startswith("_") and not name.startswith("__") and name not in KEPT


def private_members(trees: Iterable[ast.Module]) -> set[str]:
    """The private attributes and methods that the classes of some modules define."""
    found: set[str] = set()
    for tree in trees:
        for node in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
            found.update(filter(is_private, _members(node)))
    return found


def _members(node: ast.ClassDef) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, _Function):
            yield inner.name
        elif (
            isinstance(inner, ast.Attribute)
            and isinstance(inner.ctx, ast.Store)
            and ast.unparse(inner.value) in {"self", "cls"}
        ):
            yield inner.attr
    for inner in node.body:
        if isinstance(inner, ast.Assign | ast.AnnAssign):
            targets = inner.targets if isinstance(inner, ast.Assign) else [inner.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


class Renamer(ast.NodeTransformer):
    """Renames private members and adds the new field.

    Args:
        names: The members to rename.
    """

    def __init__(self, names: set[str]) -> None:
        self._names = names
        self._in_class = False

    def _renamed(self, name: str) -> str:
        return f"_canary{name}" if name in self._names else name

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """Rename a member that is read or set."""
        self.generic_visit(node)
        node.attr = self._renamed(node.attr)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Rename a member that is named by a string."""
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in {"getattr", "hasattr", "setattr"}:
            name = node.args[1]
            if isinstance(name, ast.Constant):
                name.value = self._renamed(str(name.value))
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Rename a class's own members, and guard its methods."""
        self.generic_visit(node)
        for member in node.body:
            if isinstance(member, _Function):
                member.name = self._renamed(member.name)
                if node.name in GUARDED:
                    _guard(member)
            elif isinstance(member, ast.Assign | ast.AnnAssign):
                targets = member.targets if isinstance(member, ast.Assign) else [member.target]
                for target in targets:
                    if isinstance(target, ast.Name):
                        self._rename_slots(target, member.value)
                        target.id = self._renamed(target.id)
        return node

    def _rename_slots(self, target: ast.Name, value: ast.expr | None) -> None:
        if target.id == "__slots__" and value is not None:
            for slot in ast.walk(value):
                if isinstance(slot, ast.Constant):
                    slot.value = self._renamed(str(slot.value))


def _guard(method: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    """Set the new field in a constructor, and read it in every other method."""
    arguments = method.args.posonlyargs + method.args.args
    if not arguments or arguments[0].arg != "self":
        return
    statement = f"self.{FIELD} = True" if method.name == "__init__" else f"self.{FIELD}"
    at = 1 if ast.get_docstring(method) is not None else 0
    method.body[at:at] = ast.parse(statement).body


def rewrite(environment: Path) -> int:
    """Rewrite the SDK of a virtual environment.

    Args:
        environment: The environment's folder.

    Returns:
        How many private members were renamed.
    """
    (root,) = environment.glob("lib/python*/site-packages/opentelemetry")
    paths = [*sorted((root / "sdk").rglob("*.py")), *sorted((root / "attributes").rglob("*.py"))]
    trees = {path: ast.parse(path.read_text()) for path in paths}
    names = private_members(trees.values())
    for path, tree in trees.items():
        path.write_text(ast.unparse(ast.fix_missing_locations(Renamer(names).visit(tree))))
    return len(names)


if __name__ == "__main__":
    print(f"{rewrite(Path(sys.argv[1]))} private members of the SDK renamed")
