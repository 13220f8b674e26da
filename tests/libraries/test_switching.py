"""What is switched on, when, and what is said about the rest."""

from __future__ import annotations

import importlib
import logging
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

import eco2_tracing
from eco2_tracing._instrumentation import instrument
from eco2_tracing._instrumentation.instrument import instrument_libraries, uninstrument_libraries
from eco2_tracing._instrumentation.libraries import registry
from eco2_tracing._instrumentation.libraries.tested import REFUSED, TESTED, Library, key_of

ROOT = Path(__file__).parents[2]
INSTRUMENTATION = '''
"""A replacement of an instrumentation package."""


class Instrumentor:
    is_instrumented_by_opentelemetry = False
    _instance = None
    log = []
    fails = None

    def __new__(cls):
        cls._instance = cls._instance or object.__new__(cls)
        return cls._instance

    def instrument(self, **kwargs):
        if self.fails:
            raise self.fails
        assert kwargs == {"raise_exception_on_conflict": True}
        self.log.append("on")
        self.is_instrumented_by_opentelemetry = True

    def uninstrument(self):
        if self.fails:
            raise self.fails
        self.log.append("off")
        self.is_instrumented_by_opentelemetry = False
'''


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table of our own, over modules that nothing else uses; gives a function that adds a row."""
    added = []

    def add(name, *, library=True, instrumentation=True, tested=True):
        module = f"{name}_instrumentation"
        if library:
            (tmp_path / f"{name}.py").write_text("")
        if instrumentation:
            (tmp_path / f"{module}.py").write_text(INSTRUMENTATION)
        row = Library(name, name, f"opentelemetry-instrumentation-{name}", module, "Instrumentor", name)
        if tested:
            monkeypatch.setattr(registry, "TESTED", (*registry.TESTED, row))
        added.extend([name, module])
        return row

    monkeypatch.setattr(registry, "TESTED", ())
    monkeypatch.syspath_prepend(tmp_path)
    yield add
    uninstrument_libraries()
    for name in added:
        sys.modules.pop(name, None)
        instrument._registry._hooked.discard(name)


def log_of(name):
    """Return the calls of a replaced instrumentor."""
    return importlib.import_module(f"{name}_instrumentation").Instrumentor.log


def warnings(caplog):
    """What the library warned about."""
    return [
        r.getMessage() for r in caplog.records if r.name == "eco2_tracing" and r.levelno >= logging.WARNING
    ]


def test_waits_for_the_import(table):
    """Neither the library nor its instrumentation is imported before the service does it."""
    table("eagle")
    assert "eagle" in instrument_libraries()
    assert not {"eagle", "eagle_instrumentation"} & sys.modules.keys()
    importlib.import_module("eagle")
    assert log_of("eagle") == ["on"]


def test_is_on_at_once_where_imported(table):
    """A library that is in use already is switched on now."""
    table("falcon1")
    importlib.import_module("falcon1")
    instrument_libraries()
    assert log_of("falcon1") == ["on"]


def test_is_on_inside_the_import_of_a_submodule(table, tmp_path, monkeypatch):
    """``mysql.connector`` is not an attribute of ``mysql`` yet when it is switched on: it is made one."""
    row = table("crane", instrumentation=False)
    (tmp_path / "crane.py").unlink()
    (tmp_path / "crane").mkdir()
    (tmp_path / "crane" / "__init__.py").write_text("")
    (tmp_path / "crane" / "wing.py").write_text("")
    (tmp_path / "crane_instrumentation.py").write_text(
        INSTRUMENTATION.replace(
            "self.log.append(", "import crane.wing; crane.wing.__name__; self.log.append("
        )
    )
    monkeypatch.setattr(registry, "TESTED", (row._replace(watched="crane.wing"),))
    instrument_libraries()
    importlib.import_module("crane.wing")
    sys.modules.pop("crane.wing")
    assert log_of("crane") == ["on"]


def test_instrumentation_imported_first(table, tmp_path):
    """One that the service imports itself, before the library, is switched on when it is complete."""
    table("dipper")
    module = tmp_path / "dipper_instrumentation.py"
    module.write_text(f"import dipper\n{module.read_text()}")
    instrument_libraries()
    importlib.import_module("dipper_instrumentation")
    assert log_of("dipper") == ["on"]


def test_instrumentation_without_its_library(table):
    """One that is imported while its library is not in use stays off until then."""
    table("dunlin")
    instrument_libraries()
    assert log_of("dunlin") == []
    importlib.import_module("dunlin")
    assert log_of("dunlin") == ["on"]


def test_twice_and_again_after_undo(table):
    """A second call changes nothing; after the undo it switches on again, once the library is in use."""
    table("gull")
    instrument_libraries()
    instrument_libraries()
    importlib.import_module("gull")
    instrument_libraries()
    assert log_of("gull") == ["on"]
    uninstrument_libraries()
    uninstrument_libraries()
    assert log_of("gull") == ["on", "off"]
    instrument_libraries()
    assert log_of("gull") == ["on", "off", "on"]


def test_undo_before_the_import(table):
    """A library that is imported after the undo is not changed; it is watched again when it is wanted again."""
    table("hawk")
    instrument_libraries()
    uninstrument_libraries()
    instrument_libraries()
    uninstrument_libraries()
    importlib.import_module("hawk")
    assert log_of("hawk") == []


def test_somebody_elses_stays(table):
    """What ``opentelemetry-instrument`` or the app switched on is neither repeated nor undone."""
    table("ibis")
    importlib.import_module("ibis")
    importlib.import_module("ibis_instrumentation").Instrumentor().is_instrumented_by_opentelemetry = True
    assert "ibis" in instrument_libraries()
    uninstrument_libraries()
    assert log_of("ibis") == []


def test_absent_parts_are_no_news(table, caplog):
    """A tested library that is not installed, or whose instrumentation is not, is passed over in silence."""
    table("jay", library=False)
    table("kite", instrumentation=False)
    assert instrument_libraries() == ("executors",)
    assert warnings(caplog) == []


def test_missing_package_asked_for_by_name(table, caplog):
    """A name in the environment whose package is missing is one warning with its cure."""
    table("kite", instrumentation=False)
    for _ in range(2):
        assert instrument_libraries(more=["kite"]) == ("executors",)
    (warning,) = warnings(caplog)
    assert "pip install 'eco2-tracing[kite]'" in warning


def test_missing_library_asked_for_by_name(table, caplog):
    """A name whose library is missing is one warning."""
    table("jay", library=False)
    assert instrument_libraries(["jay"]) == ()
    (warning,) = warnings(caplog)
    assert "jay is not installed" in warning


def test_names_in_one_text(caplog):
    """A name alone, or a list as in a variable, is not taken letter by letter."""
    assert eco2_tracing.instrument_libraries("nothing_known,nor_this") == ()
    assert [message.split()[1] for message in warnings(caplog)] == ["nothing_known", "nor_this"]


def test_unknown_name(caplog):
    """A name that no installed package has is one warning with the package to look for."""
    assert instrument_libraries(["Nothing_Known"]) == ()
    (warning,) = warnings(caplog)
    assert (
        "Nothing_Known is not installed: pip install opentelemetry-instrumentation-nothing-known" in warning
    )


@pytest.mark.parametrize("name", ["nothing_known", "flask", "100%s"])
def test_warnings_name_the_variable_that_asked(name, caplog):
    """A name from the environment is reported with its variable, the value found and the value used."""
    instrument_libraries(more=[name], disabled=["executors", *(row.name for row in TESTED)])
    (warning,) = warnings(caplog)
    assert warning.startswith(f"ECO2_TRACING_INSTRUMENTATIONS={name!r}: Instrumentation {name} is not ")
    assert warning.endswith("; using nothing for it")
    uninstrument_libraries()


@pytest.mark.parametrize("name", [*REFUSED, "GRPC_SERVER", " flask "])
def test_refuses_servers_and_logging(name, caplog):
    """Server frameworks, logging and httpx are never switched on, however they are spelled."""
    assert instrument_libraries(more=[name], disabled=["executors", *(row.name for row in TESTED)]) == ()
    (warning,) = warnings(caplog)
    assert "is not switched on" in warning
    uninstrument_libraries()


def test_untested_name_from_its_entry_point(table, tmp_path):
    """A name outside the table is looked up among installed instrumentations, and on at once."""
    table("lark", tested=False)
    info = tmp_path / "lark_instrumentation-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lark-instrumentation\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[opentelemetry_instrumentor]\nlark_it = lark_instrumentation:Instrumentor\n"
    )
    importlib.invalidate_caches()
    assert instrument_libraries(["LARK-IT"]) == ("lark_it",)
    assert log_of("lark") == ["on"]


def test_disabled(table):
    """Disabled names stay off, in later calls by hand too, because operators have the last word."""
    table("martin")
    table("owl")
    assert instrument_libraries(disabled=["Martin", "threading"]) == ("owl",)
    assert instrument_libraries(["martin", "owl"]) == ("owl",)
    assert instrument_libraries(disabled=["*"]) == ()
    assert "martin" in instrument_libraries(disabled=[])


def test_failing_instrumentation(table, caplog):
    """One that fails costs its own spans and a warning; the service's import works."""
    table("pipit")
    table("quail")
    importlib.import_module("pipit_instrumentation").Instrumentor.fails = RuntimeError("cannot")
    assert set(instrument_libraries()) == {"pipit", "quail", "executors"}
    importlib.import_module("pipit")
    importlib.import_module("quail")
    assert log_of("quail") == ["on"]
    (warning,) = warnings(caplog)
    assert "pipit is not traced" in warning
    assert "RuntimeError: cannot" in warning


@pytest.mark.parametrize(("version", "on"), [("2.1.9", True), ("2.2.0", False), ("2.0.58", True)])
def test_versions_that_are_tested_here(table, tmp_path, monkeypatch, version, on):
    """A version that we tested is traced, though its instrumentation has not heard of it; a newer one is not."""
    row = table("plover")
    (tmp_path / "plover.py").write_text(f"__version__ = {version!r}")
    instrumentation = tmp_path / "plover_instrumentation.py"
    refuses = (
        f"if 'raise_exception_on_conflict' in kwargs and {version!r} > '2.1': raise RuntimeError('too new')"
    )
    told = 'assert kwargs == {"raise_exception_on_conflict": True}'
    instrumentation.write_text(instrumentation.read_text().replace(told, refuses))
    monkeypatch.setattr(registry, "TESTED", (row._replace(newer="2.1."),))
    instrument_libraries()
    importlib.import_module("plover")
    assert log_of("plover") == (["on"] if on else [])


def test_failing_at_once(table):
    """One that fails while its library is in use is not among the names that are on."""
    table("raven")
    importlib.import_module("raven")
    importlib.import_module("raven_instrumentation").Instrumentor.fails = RuntimeError("cannot")
    assert instrument_libraries() == ("executors",)
    assert instrument_libraries(["raven"]) == ()


def test_failing_undo(table, caplog):
    """One that cannot be undone does not keep the others on."""
    table("rook")
    table("stork")
    instrument_libraries()
    importlib.import_module("rook")
    importlib.import_module("stork")
    importlib.import_module("rook_instrumentation").Instrumentor.fails = RuntimeError("cannot")
    uninstrument_libraries()
    assert log_of("stork") == ["on", "off"]
    assert len(warnings(caplog)) == 1


def test_module_without_a_spec(table, monkeypatch):
    """A module that was put into ``sys.modules`` by hand counts as installed."""
    table("tern", library=False)
    stand_in = type(sys)("tern")
    stand_in.__spec__ = None
    monkeypatch.setitem(sys.modules, "tern", stand_in)
    assert "tern" in instrument_libraries()
    assert log_of("tern") == ["on"]


def test_names_compare_as_people_write_them():
    """Case, hyphens and underscores do not matter, and the table has no two names alike."""
    assert key_of(" Aiohttp_Client ") == "aiohttp-client"
    keys = [key_of(library.name) for library in TESTED]
    assert len(set(keys)) == len(keys)
    assert not set(keys) & REFUSED.keys()


def test_docs_have_a_row_for_each():
    """The page of libraries lists the whole table, with the extras that the distribution has."""
    page = (ROOT / "docs" / "libraries.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\S+)` \| `(\S+)` \|", page, re.MULTILINE)
    assert rows == [(library.name, library.extra) for library in TESTED]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    for library in TESTED:
        assert any(line.startswith(library.package) for line in extras[library.extra]), library.name


def test_configuring_imports_no_library():
    """In a fresh process, switching everything on imports no traced library and no instrumentation."""
    script = """
        import sys
        import eco2_tracing._instrumentation.instrument as libraries
        before = set(sys.modules)
        libraries.instrument_libraries()
        new = {name for name in set(sys.modules) - before}
        print(sorted(n for n in new if n.startswith("opentelemetry.instrumentation.")))
        print(sorted(n for n in new if n in {"redis", "sqlalchemy", "requests", "grpc", "aiohttp", "asyncpg"}))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]
