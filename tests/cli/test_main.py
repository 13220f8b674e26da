"""The command line itself: what it offers, and how it says that it cannot."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.metadata import version

import pytest

from eco2_tracing import _cli
from eco2_tracing._cli import main


def test_help_names_the_commands(capsys):
    """`--help` tells what there is."""
    with pytest.raises(SystemExit) as raised:
        main(["--help"])
    assert raised.value.code == 0
    assert "demo" in capsys.readouterr().out


def test_a_command_is_needed(capsys):
    """Without a command the usage is shown, with the usual exit code."""
    with pytest.raises(SystemExit) as raised:
        main([])
    assert raised.value.code == 2
    assert "usage: eco2-tracing" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["rich", "uvicorn", "httpx"])
def test_a_missing_extra_names_its_cure(package, monkeypatch, capsys):
    """The demo without one of its packages says which, and how to get it."""
    found = importlib.util.find_spec
    monkeypatch.setattr(_cli, "find_spec", lambda name: None if name == package else found(name))
    assert main(["demo"]) == 2
    message = capsys.readouterr().err
    assert f"eco2-tracing demo needs {package}" in message
    assert "pip install 'eco2-tracing[demo]'" in message


def test_an_interrupt_is_no_traceback(monkeypatch):
    """Ctrl-C ends a command with the exit code that shells expect."""

    def interrupted(_name):
        raise KeyboardInterrupt

    monkeypatch.setattr(_cli, "find_spec", interrupted)
    assert main(["demo"]) == 130


def test_the_module_is_the_command():
    """`python -m eco2_tracing` does what `eco2-tracing` does."""
    command = [sys.executable, "-m", "eco2_tracing", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == version("eco2-tracing")
