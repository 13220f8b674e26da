"""Imports the application of a command in a process of its own, and checks what it finds there."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from eco2_tracing._doctor.finding import Facts, Finding

_IMPORT_S = 8.0
_MOST_ROUTES = 5
_WITH_APPLICATION = frozenset({"fastapi", "granian", "gunicorn", "hypercorn", "uvicorn"})
_LAUNCHERS = frozenset({"ddtrace-run", "elasticapm-run", "newrelic-admin", "opentelemetry-instrument"})
_PAGE = "docs/troubleshooting/index.md"
_FILE = Path(__file__).with_name("inspect_application.py")
# Loads the module by its file: an import would import the whole library before the application.
_START = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("eco2_tracing._doctor.inspect_application", sys.argv[1])
module = module_from_spec(spec)
spec.loader.exec_module(module)
module.main(*sys.argv[2:])
"""


class Target(NamedTuple):
    """Where an application is: ``module:attribute``, or a file; the folder to import from; True for a factory."""

    name: str
    folder: str = ""
    is_factory: bool = False


def target_of(command: Sequence[str]) -> Target | None:
    """Return the application that a server's command names; ``None`` if it does not name one."""
    words = [each for each in command if Path(each).name not in _LAUNCHERS]
    if len(words) > 2 and Path(words[0]).name.startswith(("python", "pypy")) and words[1] == "-m":
        words = words[2:]
    if not words or Path(words[0]).name not in _WITH_APPLICATION:
        return None
    name = next((each for each in words[1:] if _is_application(each)), None)
    if name is None and Path(words[0]).name == "fastapi":
        name = next((each for each in words[1:] if each.endswith(".py")), None)
    if name is None:
        return None
    return Target(name, _option(words, "--app-dir", "--chdir"), "--factory" in words or name.endswith("()"))


def _is_application(word: str) -> bool:
    module, colon, attribute = word.removesuffix("()").partition(":")
    return bool(colon) and all(part.isidentifier() for part in f"{module}.{attribute}".split("."))


def _option(words: Sequence[str], *names: str) -> str:
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in names:
            return value if equals else "".join(words[index + 1 : index + 2])
    return ""


def import_application(
    target: Target, environ: Mapping[str, str], limit_s: float = _IMPORT_S
) -> dict[str, Any]:
    """Import an application in another process, without serving it.

    Returns:
        What `inspect_application` reports; ``{"error": text}`` if it cannot be imported in time.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        arguments = [target.name, target.folder, str(int(target.is_factory)), str(report)]
        try:
            subprocess.run(  # noqa: S603 - this interpreter, with code of ours
                [sys.executable, "-P", "-c", _START, str(_FILE), *arguments],
                env={**environ},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=limit_s,
            )
            found: dict[str, Any] = json.loads(report.read_text())
        except subprocess.TimeoutExpired:
            return {"error": f"the import took longer than {limit_s:.0f} s"}
        except (OSError, ValueError):
            return {"error": "the process that imports it ended without a report"}
    return found


def check_application(facts: Facts) -> Iterator[Finding]:
    """Yield what is wrong with the application of the command."""
    application = facts.application
    if application is None:
        if facts.command:
            yield Finding(
                "no-application", "info", "COMMAND", " ".join(facts.command),
                "The command names no application of the form module:attribute, so none was imported.",
                "Write -- uvicorn module:app.", _PAGE,
            )  # fmt: skip
        return
    if error := application.get("error"):
        yield _of_import(str(error))
        return
    if not application["is_application"]:
        yield Finding(
            "not-fastapi", "error", "COMMAND", str(application["type"]),
            "The object is neither a FastAPI nor a Starlette application.",
            "Name the application itself. Other frameworks have instrumentations of their own.", "docs/servers.md",
        )  # fmt: skip
        return
    if not facts.is_run:
        yield from _of_set_up(application)
    yield from _of_excluded(application)
    yield from _of_logging(application)


def _of_import(error: str) -> Finding:
    if "ropagator" in error and "OTEL_PROPAGATORS" not in error and "not found" in error:
        return Finding(
            "propagator-stops-import", "error", "OTEL_PROPAGATORS", error,
            "FastAPI imports OpenTelemetry, which raises for an unknown propagator: the service does not start.",
            "Correct OTEL_PROPAGATORS, and import eco2_tracing before fastapi.", "docs/propagation.md",
        )  # fmt: skip
    return Finding(
        "import-failed", "error", "COMMAND", error, "The application cannot be imported.",
        "Run the command in the folder from which the server is started.", _PAGE,
    )  # fmt: skip


def _of_set_up(application: Mapping[str, Any]) -> Iterator[Finding]:
    if not application["is_configured"]:
        yield Finding(
            "not-configured", "error", "configure_tracing", "the application never calls configure_tracing()",
            "No span is recorded.",
            "Call configure_tracing() before FastAPI(), or start the server with eco2-tracing run.",
            "docs/getting-started.md",
        )  # fmt: skip
    if not application["is_instrumented"] and not application.get("is_contrib"):
        yield Finding(
            "not-instrumented", "error", "instrument_app",
            "instrument_app was not called with this application",
            "Its requests have no server span.",
            "Call instrument_app(app) after app = FastAPI(), or start the server with eco2-tracing run.",
            "docs/getting-started.md",
        )  # fmt: skip


def _of_excluded(application: Mapping[str, Any]) -> Iterator[Finding]:
    for entry, routes in application.get("excluded", {}).items():
        shown = ", ".join(routes[:_MOST_ROUTES]) + (" …" if len(routes) > _MOST_ROUTES else "")
        yield Finding(
            "excluded-route", "warning", "ECO2_TRACING_EXCLUDED_PATHS",
            f"{entry!r} excludes {len(routes)} routes: {shown}",
            "Requests to these routes have no spans, and their errors are not kept.",
            f"Remove {entry!r}, or name the paths of the probes alone, such as /health.", "docs/configuration.md",
        )  # fmt: skip


def _of_logging(application: Mapping[str, Any]) -> Iterator[Finding]:
    if formatters := application.get("formatters_without_ids"):
        yield Finding(
            "logs-without-trace-id", "warning", "logging", f"the root logger formats with {', '.join(formatters)}",
            "Log lines do not carry trace.id, so logs and traces cannot be joined.",
            "Call configure_logging(), or add eco2_tracing.logs.TraceContextFilter to the handler.", "docs/logs.md",
        )  # fmt: skip
