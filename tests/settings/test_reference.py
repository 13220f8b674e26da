"""The table of settings has every variable and field, feeds `TracingSettings`, and its examples work."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from eco2_tracing import TracingSettings
from eco2_tracing._instrumentation.common.excluded import DEFAULT_EXCLUDED_PATHS
from eco2_tracing._resource.build import _KUBERNETES
from eco2_tracing._settings.fields import SOURCES, VARIABLES, Settings
from eco2_tracing._settings.near_misses import _UNSUPPORTED
from eco2_tracing._settings.reference import SECTIONS, Setting
from tests.repository.sources import Module, library

ROWS = {row.name: row for rows in SECTIONS.values() for row in rows}
NAMED = {variable for row in ROWS.values() for variable in row.variables}
FIELDS = [row for row in ROWS.values() if row.name in SOURCES]
OURS = re.compile(r"(?:OTEL|ECO2_TRACING)_[A-Z0-9_]+")
# Names that are only recognized as mistakes, and variables of other programs.
NOT_READ = ("_settings.near_misses", "_settings.intents", "_cli.services")
# Found in the environment, and of no use to a person who configures tracing.
INTERNAL = {
    "CHARACTER_API_URL",
    "GUNICORN_PID",
    "KUBERNETES_SERVICE_HOST",
    "PATH",
    "PYTHONPATH",
    "REQUEST_METHOD",
    "TERM",
}
COMPANIONS = {
    "exporter_otlp_client_certificate": ["exporter_otlp_client_key"],
    "exporter_otlp_client_key": ["exporter_otlp_client_certificate"],
    "exporter_otlp_metrics_client_certificate": ["exporter_otlp_metrics_client_key"],
    "exporter_otlp_metrics_client_key": ["exporter_otlp_metrics_client_certificate"],
    "exporter_otlp_logs_client_certificate": ["exporter_otlp_logs_client_key"],
    "exporter_otlp_logs_client_key": ["exporter_otlp_logs_client_certificate"],
}
"""Settings that are used together alone."""


def keys(module: Module) -> Iterator[str]:
    """The keys that a module looks up in an environment."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("environ"):
            yield from _text(node.slice)
        elif isinstance(node, ast.Call) and re.search(r"environ\.(?:get|pop)$", ast.unparse(node.func)):
            yield from _text(node.args[0])
        elif isinstance(node, ast.Compare) and ast.unparse(node.comparators[0]).endswith("environ"):
            yield from _text(node.left)


def _text(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def variables_in_code() -> set[str]:
    """The variables that the code names, and those that it looks up in an environment."""
    found = set(VARIABLES)
    for module in library():
        if module.name.removeprefix("eco2_tracing.") in NOT_READ:
            continue
        constants = (node.value for node in ast.walk(module.tree) if isinstance(node, ast.Constant))
        found.update(each for each in constants if isinstance(each, str) and OURS.fullmatch(each))
        found.update(key.upper() for key in keys(module) if not key.startswith("_"))
    kubernetes = {name for names in _KUBERNETES.values() for name in names.split()}
    return {name for name in found - kubernetes - INTERNAL if not name.endswith("_")}


def test_every_variable_is_in_the_table():
    """Each variable that the code reads has a row, and each row a variable or a field that exists."""
    assert variables_in_code() - NAMED == set()
    assert {names.split()[0] for names in _KUBERNETES.values()} <= NAMED
    unread = {name for name in NAMED if OURS.fullmatch(name)} - variables_in_code()
    assert unread <= set(_UNSUPPORTED)


def test_every_field_is_in_the_table():
    """Each argument of `TracingSettings` has a row, and no row another name."""
    fields = {row.name for row in ROWS.values() if not row.name.isupper()}
    assert fields == set(TracingSettings.model_fields)


@pytest.mark.parametrize("name", TracingSettings.model_fields)
def test_the_table_describes_the_fields(name):
    """The effect is the description of the field, and of its property in the JSON schema."""
    assert TracingSettings.model_fields[name].description == ROWS[name].effect
    properties = TracingSettings.model_json_schema()["properties"]
    assert name not in properties or properties[name]["description"] == ROWS[name].effect


@pytest.mark.parametrize("row", [row for row in FIELDS if row.example], ids=lambda row: row.name)
def test_examples_are_valid_and_change_something(row: Setting, monkeypatch):
    """The example is accepted, and is not the default."""
    monkeypatch.setenv(row.variables[0], row.example)
    for name in COMPANIONS.get(row.name, ()):
        monkeypatch.setenv(ROWS[name].variables[0], ROWS[name].example)
    settings = TracingSettings()
    assert [each for each in settings.problems if each.variable in row.variables and not each.advisory] == []
    assert row.name == "id_generator" or getattr(settings, row.name) != getattr(Settings, row.name)


def test_every_setting_has_an_effect_and_an_example():
    """Effects are sentences; a variable of ours has an example."""
    assert [row.name for row in ROWS.values() if not row.effect.endswith(".")] == []
    assert [row.name for row in FIELDS if not row.example] == []


def test_written_defaults_are_those_of_the_code():
    """A default that the field does not have is compared by hand."""
    assert ROWS["excluded_paths"].default == f"`{','.join(DEFAULT_EXCLUDED_PATHS)}`"
    assert ROWS["exporter_otlp_endpoint"].default.startswith(f"`{Settings.exporter_otlp_endpoint}`")
    assert ROWS["bsp_schedule_delay"].shown_default == "`1000`"
    assert ROWS["error_sampling_rate"].shown_default == "`1`"
    assert ROWS["trust_inbound"].shown_default == "`true`"
    assert ROWS["propagators"].shown_default == "`b3,tracecontext,baggage`"
    assert ROWS["resource_attributes"].shown_default == ROWS["WEB_CONCURRENCY"].shown_default == ""


def test_origins():
    """The prefix of a variable says who defines it, unless the row does."""
    assert ROWS["propagators"].defined_by == "the OpenTelemetry specification"
    assert ROWS["id_generator"].defined_by == "OpenTelemetry Python"
    assert ROWS["workers"].defined_by == ROWS["OTEL_ENABLED"].defined_by == "eco2-tracing"


def test_a_start_does_not_import_the_table():
    """The table is imported with `TracingSettings` alone."""
    program = (
        "import sys, eco2_tracing; eco2_tracing.configure_tracing('shop'); "
        "assert 'eco2_tracing._settings.reference' not in sys.modules; eco2_tracing.TracingSettings; "
        "assert 'eco2_tracing._settings.reference' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={"OTEL_TRACES_EXPORTER": "none"})
