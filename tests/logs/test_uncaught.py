"""Uncaught exceptions and warnings are log lines; other hooks still run."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import subprocess
import sys
import threading
import warnings
from functools import partial

import pytest

from eco2_tracing import logs

BEGIN = "import sys, logging\nfrom eco2_tracing import configure_logging\n"


def run(program):
    """Run a program in another process; return its lines, its stderr and its exit code."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program], capture_output=True, text=True, check=False
    )
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr, done.returncode


def test_the_end_of_a_program():
    """One line with the traceback and masked secrets; nothing on stderr; Python's exit code."""
    lines, err, code = run("configure_logging(service_name='s')\nraise RuntimeError('password=planted')")
    (line,) = lines
    assert (line["log.logger"], line["log.level"], line["service.name"]) == (
        "sys.excepthook",
        "critical",
        "s",
    )
    assert (line["error.type"], line["error.message"]) == ("RuntimeError", "password=REDACTED")
    assert line["error.stack_trace"].startswith("Traceback")
    assert "planted" not in str(line)
    assert (err, code) == ("", 1)


@pytest.mark.parametrize(
    "program",
    [
        "configure_logging(); sys.stdout.close(); raise RuntimeError('x')",
        "configure_logging(); logging.getLogger().handlers.clear(); raise RuntimeError('x')",
        "configure_logging(); sys.ps1 = '>'; raise RuntimeError('x')",
        "configure_logging(); raise KeyboardInterrupt",
    ],
    ids=["no stdout", "no handler", "prompt", "Ctrl-C"],
)
def test_what_python_writes_itself(program):
    """Python writes exceptions that are not logged, Ctrl-C, and those at a prompt."""
    lines, err, _ = run(program)
    assert lines == []
    assert "Traceback" in err


def test_hooks_of_others_run_too():
    """Hooks that were installed before ours or later still run."""
    program = (
        "sys.excepthook = lambda *args: sys.stderr.write('before')\n"
        "configure_logging()\nconfigure_logging()\n"
        "ours = sys.excepthook\n"
        "def later(*args): sys.stderr.write('later '); ours(*args)\n"
        "sys.excepthook = later\n"
        "raise RuntimeError('x')"
    )
    lines, err, _ = run(program)
    assert len(lines) == 1
    assert err == "later before"


@pytest.fixture
def hooks(monkeypatch, capsys):
    """Use Python's hooks instead of pytest's; return a reader of stderr."""
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    return lambda: capsys.readouterr().err


def test_threads(hooks, out):
    """The line has the name of the thread; `SystemExit` ends one without output."""
    logs.configure_logging()
    for ends in (ZeroDivisionError("token=planted"), SystemExit(1)):
        thread = threading.Thread(target=raising(ends), name="worker-1")
        thread.start()
        thread.join()
    (line,) = out()
    assert (line["log.logger"], line["error.type"]) == ("threading.excepthook", "ZeroDivisionError")
    assert line["message"] == "uncaught exception in thread worker-1"
    assert line["error.message"] == "token=REDACTED"
    assert hooks() == ""


def raising(error):
    """Make a function that raises."""

    def target():
        raise error

    return target


class Finalised:
    """An object whose finalizer and ``__repr__`` raise."""

    def __del__(self):
        raise ValueError("in __del__")


def test_finalisers(hooks, out):
    """An exception of a finalizer, with the object as text."""
    logs.configure_logging()
    Finalised()
    (line,) = out()
    assert (line["log.logger"], line["error.type"]) == ("sys.unraisablehook", "ValueError")
    assert "Finalised.__del__" in line["message"]
    assert hooks() == ""


def test_thread_and_finaliser_hooks_of_others(hooks, out):
    """They are called, even if our line is not written."""
    seen = []
    threading.excepthook = sys.unraisablehook = lambda args: seen.append(args.exc_type)
    logs.configure_logging()
    thread = threading.Thread(target=raising(KeyError("k")))
    thread.start()
    thread.join()
    Finalised()
    assert (len(out()), seen) == (2, [KeyError, ValueError])
    logging.getLogger().handlers.clear()
    Finalised()
    assert seen == [KeyError, ValueError, ValueError]


def test_the_undo(hooks):
    """The former hooks are restored, unless others were installed since; ours then do nothing."""
    before = sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning
    logs.configure_logging()
    assert before != (sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning)
    logs.reset_logging()
    assert before == (sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning)
    logs.configure_logging()
    ours = threading.excepthook
    others = [partial(ours) for _ in range(3)]
    sys.excepthook, threading.excepthook, sys.unraisablehook = others
    logs.reset_logging()
    assert [sys.excepthook, threading.excepthook, sys.unraisablehook] == others
    sys.excepthook = before[0]
    thread = threading.Thread(target=raising(KeyError("k")))
    thread.start()
    thread.join()
    assert "KeyError" in hooks()


def test_event_loops(out):
    """The event loop logs a callback that fails, and a task that is not awaited."""
    logs.configure_logging()

    async def fails():
        raise KeyError("task")

    async def main():
        loop = asyncio.get_running_loop()
        loop.call_soon(raising(ValueError("callback")))
        task = asyncio.create_task(fails())
        await asyncio.wait([task])
        del task
        gc.collect()

    asyncio.run(main())
    assert {line["error.type"] for line in out() if line["log.logger"] == "asyncio"} == {
        "ValueError",
        "KeyError",
    }


def test_warnings(out):
    """One line of logger `py.warnings`; warning filters still apply."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        logs.configure_logging()
        warnings.warn("token=planted", UserWarning, stacklevel=1)
        warnings.simplefilter("ignore")
        warnings.warn("ignored", UserWarning, stacklevel=1)
        logs.reset_logging()
    (line,) = out()
    assert (line["log.logger"], line["log.level"]) == ("py.warnings", "warning")
    assert "UserWarning: token=REDACTED" in line["message"]


def test_warnings_that_the_application_captures_itself(out):
    """Undoing leaves them captured."""
    with warnings.catch_warnings():
        logging.captureWarnings(True)
        shown = warnings.showwarning
        logs.configure_logging()
        logs.reset_logging()
        assert warnings.showwarning is shown
        logging.captureWarnings(False)
