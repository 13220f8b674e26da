"""What the application of a command has wrong; it is imported and not served."""

from __future__ import annotations

import os

import pytest

from eco2_tracing._doctor.application import Target, import_application, target_of

RIGHT = """
from eco2_tracing import configure_tracing, instrument_app, configure_logging
from fastapi import APIRouter, FastAPI
configure_logging()
configure_tracing(service_name="shop")
app = FastAPI()
instrument_app(app)
router = APIRouter(prefix="/orders")
@router.get("/{order}")
def order(order: str): return order
@app.get("/health")
def health(): return 1
app.include_router(router)
inner = FastAPI()
@inner.get("/things")
def things(): return 1
app.mount("/inner", inner)
"""


@pytest.mark.parametrize(
    ("command", "target"),
    [
        ("uvicorn shop.main:app --reload", Target("shop.main:app")),
        ("uvicorn --factory shop:make --app-dir src", Target("shop:make", "src", True)),
        ("gunicorn -k uvicorn_worker.UvicornWorker shop:app --chdir=src", Target("shop:app", "src")),
        ("python -m uvicorn shop:app", Target("shop:app")),
        ("ddtrace-run uvicorn shop:app", Target("shop:app")),
        ("gunicorn shop:make()", Target("shop:make()", "", True)),
        ("fastapi run shop.py", Target("shop.py")),
        ("fastapi run", None),
        ("uvicorn --host 0.0.0.0:80", None),
        ("python shop.py", None),
        ("", None),
    ],
)
def test_targets(command, target):
    """The command of a server names its application."""
    assert target_of(command.split()) == target


def test_a_right_application(doctor, collector, shop):
    """An application with tracing and logging has no finding."""
    report = doctor("--", "uvicorn", shop(RIGHT), **collector)
    assert report["ok"], report["findings"]
    assert {"name": "OTEL_SERVICE_NAME", "value": "auth-api", "source": "environment"} in report["settings"]


@pytest.mark.parametrize(
    ("code", "kinds"),
    [
        ("from fastapi import FastAPI\napp = FastAPI()", ["not-configured", "not-instrumented"]),
        ("from fastapi import FastAPI\nimport eco2_tracing\neco2_tracing.configure_tracing()\napp = FastAPI()",
         ["not-instrumented"]),
        ("app = 1", ["not-fastapi"]),
        ("import no_such_module", ["import-failed"]),
        ("raise SystemExit(3)", ["import-failed"]),
        ("import os\nos._exit(0)", ["import-failed"]),
        (RIGHT.replace("configure_logging()\n", "import logging\nlogging.basicConfig(format='%(message)s')\n"),
         ["logs-without-trace-id"]),
        (RIGHT.replace("configure_logging()\n", "import logging\nfrom eco2_tracing.logs import TraceContextFilter\n"
         "logging.basicConfig()\nlogging.getLogger().handlers[0].addFilter(TraceContextFilter())\n"), []),
        ("from opentelemetry import trace\nfrom opentelemetry.sdk.trace import TracerProvider\n"
         "trace.set_tracer_provider(TracerProvider())\n" + RIGHT, ["two-sdks"]),
        (RIGHT.replace("instrument_app(app)", "from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor\n"
         "FastAPIInstrumentor.instrument_app(app)\ninstrument_app(app)"), ["double-instrumentation"]),
        ("import sys, types\nsys.modules['ddtrace'] = types.ModuleType('ddtrace')\n" + RIGHT, ["other-agent"]),
        ("import sys, types\nsentry = sys.modules['sentry_sdk'] = types.ModuleType('sentry_sdk')\n"
         "class Client: options = {'traces_sample_rate': 0.1}\nsentry.get_client = Client\n" + RIGHT, ["other-agent"]),
    ],
    ids=["bare", "not instrumented", "no application", "import", "exit", "end", "basicConfig", "filter", "two SDKs",
         "contrib", "ddtrace", "sentry"],
)  # fmt: skip
def test_a_wrong_application(doctor, collector, shop, code, kinds):
    """Each fault of an application is found and named."""
    report = doctor("--", "uvicorn", shop(code), **collector)
    assert sorted(report["ids"]) == kinds, report["findings"]


def test_run_instruments_by_itself(doctor, collector, shop):
    """Below `eco2-tracing run` an application needs no line."""
    target = shop("from fastapi import FastAPI\napp = FastAPI()")
    assert doctor("--", "eco2-tracing", "run", "uvicorn", target, **collector)["ok"]


def test_fastapi_is_imported_first(doctor, collector, shop):
    """FastAPI raises for an unknown propagator if this library is not imported before it."""
    target = shop("from fastapi import FastAPI\n" + RIGHT)
    report = doctor("--", "uvicorn", target, **collector, OTEL_PROPAGATORS="b4")
    assert set(report["ids"]) == {"bad-propagator", "propagator-stops-import"}


@pytest.mark.parametrize(
    ("name", "value", "route"),
    [
        ("ECO2_TRACING_EXCLUDED_PATHS", "health,/orders", "/orders/{order}"),
        ("OTEL_PYTHON_EXCLUDED_URLS", "inner", "/inner/things"),
        ("OTEL_PYTHON_FASTAPI_EXCLUDED_URLS", "^http://[^/]*/ord.*", "/orders/{order}"),
    ],
)
def test_an_excluded_route(doctor, collector, shop, name, value, route):
    """An excluded path covers a route that is no probe."""
    report = doctor("--", "uvicorn", shop(RIGHT), **collector, **{name: value})
    assert report["ids"] == ["excluded-route"]
    assert route in report["findings"][0]["found"]


def test_a_command_without_application(doctor, collector):
    """A script cannot be imported without running it: that is said, and is no problem."""
    report = doctor("--", "python", "serve.py", **collector)
    assert (report["ids"], report["ok"], report["code"]) == (["no-application"], True, 0)


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("opentelemetry-instrument uvicorn shop:app", "two-sdks"),
        ("ddtrace-run uvicorn shop:app", "other-agent"),
        ("uwsgi --module shop --die-on-term", "uwsgi-exit"),
        ("uwsgi --module shop --gevent 10", "uwsgi-exit"),
    ],
)
def test_programs(doctor, collector, shop, command, kind):
    """Programs and options that start another tracer, or lose spans, are findings."""
    shop(RIGHT)
    assert kind in doctor("--", *command.split(), **collector)["ids"]


def test_an_injected_sdk(doctor, collector):
    """The Operator's inject-python puts its own set-up on the path."""
    path = "/otel-auto-instrumentation-python/opentelemetry/instrumentation/auto_instrumentation"
    report = doctor(**collector, PYTHONPATH=path)
    assert report["ids"] == ["two-sdks"]
    assert "inject-sdk" in report["findings"][0]["cure"]


def test_a_factory_and_a_file(shop, tmp_path):
    """An application may be made by a function, and be in a file."""
    shop("from fastapi import FastAPI\ndef make(): return FastAPI()\napp = make()")
    assert import_application(Target("shop:make", "", True), os.environ)["is_application"]
    assert import_application(Target(f"{tmp_path}/shop.py"), os.environ)["is_application"]
    assert "error" in import_application(Target(f"{tmp_path}/none.py"), os.environ)


def test_an_import_that_takes_long(shop):
    """An import is given up after some seconds."""
    shop("import threading\nthreading.Event().wait(60)")
    assert "longer" in import_application(Target("shop:app"), {}, 0.5)["error"]
