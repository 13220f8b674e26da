"""The lines of the parent of `uvicorn --reload`: text without the modules of the logs."""

from __future__ import annotations

import io
import logging
import subprocess
import sys

import pytest

from eco2_tracing._run import set_up, start
from eco2_tracing._run.reloader import ReloaderLines, writes_text

RELOAD = ["uvicorn", "app:app", "--reload"]


class Screen(io.StringIO):
    """A stdout that is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


@pytest.fixture
def server(monkeypatch):
    """The loggers as uvicorn configures them: a handler that writes to stderr."""
    logger, lines = logging.getLogger("uvicorn"), logging.getLogger("uvicorn.error")
    monkeypatch.setattr(logger, "handlers", [logging.StreamHandler(), logging.NullHandler()])
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(lines, "filters", [])
    # Other tests of this process may have changed the loggers.
    monkeypatch.setattr(lines, "handlers", [])
    monkeypatch.setattr(lines, "propagate", True)
    for each in (logger, lines):
        monkeypatch.setattr(each, "disabled", False)
    before = lines.level
    lines.setLevel(logging.INFO)  # unlike the attribute, it empties the loggers' caches of levels
    yield lines
    lines.setLevel(before)


def test_lines_are_text(server, monkeypatch):
    """Time, level, logger and message; a traceback follows in lines."""
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("NO_COLOR", "1")
    ReloaderLines().install()
    server.info("Will watch for changes in %s", "/app")
    assert screen.getvalue().partition(" ")[2] == "INFO    uvicorn.error  Will watch for changes in /app\n"
    try:
        raise OSError("no such folder")
    except OSError:
        server.exception("failed")
    assert screen.getvalue().endswith("    OSError: no such folder\n")


@pytest.mark.parametrize(
    ("argv", "variable", "default", "expected"),
    [
        (RELOAD, None, "auto", True),
        (RELOAD, "text", None, True),
        (RELOAD, "json", "auto", False),
        (RELOAD, None, None, False),
        (RELOAD[:2], None, "auto", False),
        ([*RELOAD, "--log-config=log.yaml"], None, "auto", False),
    ],
)
def test_which_processes(monkeypatch, argv, variable, default, expected):
    """Those of a reloader whose lines are text and that have no log configuration of their own."""
    monkeypatch.setattr(sys, "stdout", Screen())
    for name, value in (
        ("ECO2_TRACING_LOG_FORMAT", variable),
        ("_ECO2_TRACING_RUN_LOG_FORMAT", default),
    ):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert writes_text(argv) is expected


def test_auto_is_json_where_stdout_is_no_terminal(monkeypatch):
    """Those lines need the modules of the logs."""
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setenv("ECO2_TRACING_LOG_FORMAT", "auto")
    assert not writes_text(RELOAD)


@pytest.mark.parametrize(
    ("run", "argv", "filters"),
    [("logging", RELOAD, 1), ("logging", RELOAD[:2], 0), ("no-logging", RELOAD, 0)],
)
def test_the_parent_of_a_reloader(server, monkeypatch, run, argv, filters):
    """Its logger gets the filter, unless logging is left alone."""
    monkeypatch.setenv("_ECO2_TRACING_RUN", run)
    monkeypatch.setenv("ECO2_TRACING_LOG_FORMAT", "text")
    monkeypatch.setattr(sys, "argv", argv)
    assert set_up.set_reloader_up() is bool(filters)
    assert len(server.filters) == filters


def test_only_the_process_of_the_command(monkeypatch):
    """The child serves: it needs all of it."""
    called = []
    monkeypatch.setattr(set_up, "set_reloader_up", lambda: called.append("parent") or True)
    monkeypatch.setattr(set_up, "set_logging_up", lambda: called.append("all"))
    uvicorn = type(sys)("uvicorn")
    for process in (start.os.getpid(), None, 1):
        if process is not None:
            monkeypatch.setenv("_ECO2_TRACING_RUN_PROCESS", str(process))
        start._server_imported(uvicorn)
    assert called == ["parent", "all", "all"]


def test_it_imports_neither_settings_nor_logs():
    """They take a third of a second."""
    code = (
        "import sys, eco2_tracing._run.reloader; print({'pydantic', 'eco2_tracing.logs'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout == "set()\n"
