"""Calls functions after modules were imported, without importing anything for it."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class ImportHooks:
    """A finder for ``sys.meta_path``. It finds no module.

    Args:
        hooks: Functions to call with a module, once it was imported, by its name. Each is called once.
    """

    def __init__(self, hooks: Mapping[str, Callable[[ModuleType], None]]) -> None:
        self._hooks = dict(hooks)

    def install(self) -> None:
        """Watch imports from now on. Modules that are imported already count as imported now."""
        sys.meta_path.insert(0, self)
        for name in [each for each in self._hooks if each in sys.modules]:
            self._hooks.pop(name)(sys.modules[name])

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Let the other finders find a module, and wrap its execution."""
        hook = self._hooks.pop(name, None)
        if hook is None:
            return None
        found = (each.find_spec(name, path, target) for each in sys.meta_path if each is not self)
        spec = next((each for each in found if each is not None), None)
        if spec is not None and spec.loader is not None:
            _call_afterwards(spec.loader, hook)
        return spec


def _call_afterwards(loader: object, hook: Callable[[ModuleType], None]) -> None:
    execute = loader.exec_module  # type: ignore[attr-defined]  # loaders of the import system have it

    def exec_module(module: ModuleType) -> None:
        execute(module)
        loader.exec_module = execute  # type: ignore[attr-defined]  # for reloads
        hook(module)

    loader.exec_module = exec_module  # type: ignore[attr-defined]  # of this loader, which serves one module
