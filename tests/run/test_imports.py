"""Functions that are called when modules are imported."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import pytest

from eco2_tracing._run.imports import ImportHooks


@pytest.fixture(autouse=True)
def _imports(monkeypatch, tmp_path):
    """Modules of this test, and the finders of before."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    (tmp_path / "hooked_module.py").write_text("import hooked_other\nvalue = 1\n")
    (tmp_path / "hooked_other.py").write_text("")
    (tmp_path / "hooked_folder").mkdir()
    yield
    for name in ("hooked_module", "hooked_other", "hooked_folder"):
        sys.modules.pop(name, None)


def test_functions_are_called_once():
    """With a module after its import; other modules, and those that do not exist, are found as ever."""
    called = []
    ImportHooks(
        {
            "hooked_module": lambda module: called.append(module.value),
            "hooked_absent": called.append,
            "hooked_folder": called.append,
        }
    ).install()
    module = importlib.import_module("hooked_module")
    importlib.reload(module)
    assert called == [1]
    assert type(module.__loader__).__name__ == "SourceFileLoader"
    assert (
        "exec_module" not in vars(module.__loader__)
        or module.__loader__.exec_module.__self__ is module.__loader__
    )
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("hooked_absent")
    importlib.import_module("hooked_folder")


def test_imported_modules_count_as_imported_now():
    """As a `.pth` file may have imported them."""
    called: list[ModuleType] = []
    ImportHooks({"json": called.append, "hooked_other": called.append}).install()
    assert [module.__name__ for module in called] == ["json"]
