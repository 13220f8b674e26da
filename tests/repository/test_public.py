"""The public names are the contract, and each is documented."""

from __future__ import annotations

import ast
import importlib
import inspect

import pytest

import eco2_tracing
import eco2_tracing.logs
from tests.repository.sources import ROOT, library

TOP_LEVEL = [
    "ConfigurationError",
    "TracingSettings",
    "TracingStatus",
    "bind_log_fields",
    "configure_logging",
    "configure_tracing",
    "current_exemplar",
    "current_span_id",
    "current_trace_id",
    "flush_tracing",
    "instrument_app",
    "instrument_httpx",
    "instrument_libraries",
    "record_metric",
    "shutdown_tracing",
    "span",
    "traced",
    "tracing_status",
]
SUBMODULES = ["logs", "metrics", "propagation", "sampling", "testing"]
PUBLIC = ["eco2_tracing", *(f"eco2_tracing.{name}" for name in SUBMODULES)]


def members(name: str) -> list[tuple[str, object]]:
    """The public names of a module and of its classes."""
    module = importlib.import_module(name)
    found = []
    for public in module.__all__:
        thing = getattr(module, public)
        found.append((f"{name}.{public}", thing))
        if inspect.isclass(thing):
            own = [key for key in vars(thing) if not key.startswith("_")]
            found += [(f"{name}.{public}.{key}", getattr(thing, key)) for key in own]
    return found


def _is_code(value: object) -> bool:
    return inspect.isroutine(value) or isinstance(value, property)


def test_top_level():
    """The top level has the contract's names, sorted, and no others."""
    assert eco2_tracing.__all__ == TOP_LEVEL
    assert not [name for name in TOP_LEVEL if not hasattr(eco2_tracing, name)]


@pytest.mark.parametrize(
    ("module", "name"), [("eco2_tracing", "TracingSettings"), ("eco2_tracing.sampling", "JaegerRemote")]
)
def test_lazy_names_are_listed(module, name):
    """A name that is imported lazily exists, and no other."""
    found = importlib.import_module(module)
    assert name in dir(found)
    assert inspect.isclass(getattr(found, name))
    for each in (found, eco2_tracing._settings):
        with pytest.raises(AttributeError, match="TracingSetings"):
            each.TracingSetings


def test_top_level_shows_no_other_names():
    """Completion shows the contract and submodules."""
    shown = {name for name in dir(eco2_tracing) if not name.startswith(("_", "@"))}
    assert shown - set(TOP_LEVEL) <= set(SUBMODULES)


@pytest.mark.parametrize("name", SUBMODULES)
def test_submodules_have_all(name):
    """Their `__all__` names exist."""
    module = importlib.import_module(f"eco2_tracing.{name}")
    assert [public for public in module.__all__ if not hasattr(module, public)] == []


@pytest.mark.parametrize("name", PUBLIC)
def test_everything_public_is_documented(name):
    """Each public name and method has a docstring, its own or an inherited one."""
    undocumented = [path for path, thing in members(name) if _needs(thing) and not inspect.getdoc(thing)]
    assert undocumented == []


def test_the_names_of_logs_are_on_its_page():
    """The page on logs shows each public name, and no internal one is public."""
    page = (ROOT / "docs" / "logs.md").read_text(encoding="utf-8")
    assert [name for name in eco2_tracing.logs.__all__ if name not in page] == []


def _needs(thing: object) -> bool:
    return inspect.isclass(thing) or _is_code(thing)


def test_modules_have_docstrings():
    """Each module begins with one."""
    assert [module.name for module in library() if not ast.get_docstring(module.tree)] == []
