"""Child processes: started, read and stopped."""

from __future__ import annotations

import os
import sys

import pytest

from eco2_tracing._cli.processes import Child, ProcessError


def child(program, **options):
    """A Python process that runs a program."""
    return Child("child", (sys.executable, "-uc", program), os.environ, **options)


def test_wait_for_line():
    """Earlier and later lines are found, on both streams."""
    program = "import signal, sys; print('one'); print('port 7', file=sys.stderr); signal.pause()"
    with child(program) as started:
        assert started.wait_for_line(r"port (\d)").group(1) == "7"
        assert started.wait_for_line("one")
        assert started.lines == ("one", "port 7")


def test_wait_for_line_of_an_ended_process():
    """The error has its last output."""
    with child("print('no way')") as ended, pytest.raises(ProcessError, match=r"(?s)child.*no way"):
        ended.wait_for_line("ready")


def test_wait_for_line_times_out():
    """The wait has a limit."""
    with child("import signal; signal.pause()") as silent, pytest.raises(ProcessError, match="child"):
        silent.wait_for_line("ready", timeout_s=0.01)


def test_process_that_ignores_sigterm_is_killed():
    """After the grace period."""
    program = "import signal; signal.signal(15, signal.SIG_IGN); print('ready'); signal.pause()"
    stubborn = child(program, grace_s=0.05)
    stubborn.wait_for_line("ready")
    stubborn.stop()
    assert stubborn.lines == ("ready",)
