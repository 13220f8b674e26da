"""Processes of the demo are started, read and stopped."""

from __future__ import annotations

import os
import sys

import pytest

from eco2_tracing._cli.processes import Child, ProcessError


def child(program, **options):
    """A Python process that runs a program."""
    return Child("child", (sys.executable, "-uc", program), os.environ, **options)


def test_a_line_is_waited_for():
    """What is written before and after the wait began is found, on both streams."""
    program = "import signal, sys; print('one'); print('port 7', file=sys.stderr); signal.pause()"
    with child(program) as started:
        assert started.wait_for_line(r"port (\d)").group(1) == "7"
        assert started.wait_for_line("one")
        assert started.lines == ("one", "port 7")


def test_a_process_that_ends_is_told():
    """A process that ends before it is ready is an error with its last words."""
    with child("print('no way')") as ended, pytest.raises(ProcessError, match=r"(?s)child.*no way"):
        ended.wait_for_line("ready")


def test_a_process_that_never_gets_ready_is_told():
    """The wait is bounded."""
    with child("import signal; signal.pause()") as silent, pytest.raises(ProcessError, match="child"):
        silent.wait_for_line("ready", timeout_s=0.01)


def test_a_process_that_does_not_end_is_ended():
    """The end by force follows the grace."""
    program = "import signal; signal.signal(15, signal.SIG_IGN); print('ready'); signal.pause()"
    stubborn = child(program, grace_s=0.05)
    stubborn.wait_for_line("ready")
    stubborn.stop()
    assert stubborn.lines == ("ready",)
