"""A bad OTEL_PROPAGATORS and `import fastapi`, in both orders, each in a process of its own."""

from __future__ import annotations

import os
import sys

import pytest

from tests.support import programs

REPORT = """
from eco2_tracing._settings import load_settings, report_problems
settings = load_settings()
report_problems(settings)
print(os.environ.get("OTEL_PROPAGATORS"), *settings.propagators)
"""


def run(code: str, propagators: str | None, *, new: bool = False) -> tuple[str, str]:
    """Run code under a value of the variable; return what it wrote to both streams."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    if propagators is not None:
        environ["OTEL_PROPAGATORS"] = propagators
    done = programs.run([sys.executable, "-c", "import os, sys\n" + code], env=environ, new=new)
    done.check_returncode()
    return done.stdout.strip(), done.stderr.strip()


@pytest.mark.parametrize(
    ("value", "used", "told"),
    [
        ("b3,typo", "b3", True),
        ("typo", "b3 tracecontext baggage", True),
        ("B3,TraceContext", "b3 tracecontext", False),
        (" b3 , BAGGAGE", "b3 baggage", False),
        ("tracecontext", "tracecontext", False),
    ],
)
def test_eco2_tracing_first(value, used, told):
    """With any value FastAPI can be imported later; a bad one is reported, and child processes inherit it unchanged."""
    out, err = run("import eco2_tracing._settings\nimport fastapi" + REPORT, value)
    assert out == f"{value.strip()} {used}"
    assert ("OTEL_PROPAGATORS" in err) is told


@pytest.mark.parametrize(("value", "used"), [("b3,typo", "b3"), ("B3", "b3")])
def test_fastapi_first_where_it_survives(value, used):
    """A FastAPI that does not read the variable is not affected, and the settings report the same."""
    code = "value = os.environ.pop('OTEL_PROPAGATORS')\nimport fastapi, opentelemetry.propagate\n"
    out, err = run(
        code + "os.environ['OTEL_PROPAGATORS'] = value\nimport eco2_tracing._settings" + REPORT, value
    )
    assert out == f"{value} {used}"
    assert ("OTEL_PROPAGATORS" in err) is (value != "B3")


@pytest.mark.parametrize("limit", ["many", "-1", "9" * 5000])
def test_a_bad_limit_does_not_stop_the_sdk(limit):
    """OpenTelemetry's SDK can be imported with a bad limit; child processes inherit it unchanged."""
    code = f"os.environ['OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT'] = limit = {limit!r}\n"
    code += "import eco2_tracing._settings, opentelemetry.sdk.trace\n"
    assert run(code + "print(os.environ['OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT'] == limit)", None)[0] == "True"


PROVIDERS = """
import eco2_tracing._settings
from opentelemetry import _logs, metrics, trace
trace.get_tracer("early"), metrics.get_meter("early"), _logs.get_logger("early")
"""


@pytest.mark.parametrize("kind", ["TRACER", "METER", "LOGGER"])
@pytest.mark.parametrize(("name", "told"), [("nonsense", True), ("\udcff", True), ("", False), (" ", False)])
def test_a_provider_that_is_not_there(kind, name, told):
    """A variable that names a provider that no package has, or an empty name, is removed: the API would raise."""
    variable = f"OTEL_PYTHON_{kind}_PROVIDER"
    out, err = run(f"os.environ[{variable!r}] = {name!r}" + PROVIDERS + REPORT, None)
    assert out.startswith("None b3")
    assert err.count(variable) == told


def test_a_provider_that_is_there_is_left_alone():
    """The name of an installed provider stays in the environment, and nothing is reported."""
    code = "os.environ['OTEL_PYTHON_METER_PROVIDER'] = 'default_meter_provider'" + PROVIDERS + REPORT
    out, err = run(
        code + "print(os.environ['OTEL_PYTHON_METER_PROVIDER'], type(metrics.get_meter_provider()))", None
    )
    assert "default_meter_provider <class 'opentelemetry.metrics" in out
    assert err == ""


def test_upper_case_names_keep_their_meaning():
    """Names in upper case still select their propagators."""
    code = "import eco2_tracing._settings, opentelemetry.propagate as p\nprint(sorted(p.get_global_textmap().fields))"
    assert run(code, "B3")[0] == run(code, "b3")[0]


@pytest.mark.parametrize("value", [None, ""])
def test_nothing_is_imported_without_need(value):
    """An unset variable causes no import."""
    code = "import eco2_tracing._early as early\nbefore = set(sys.modules)\n"
    code += "early.protect_variables()\nprint(len(set(sys.modules) - before))"
    assert run(code, value, new=True)[0] == "0"
