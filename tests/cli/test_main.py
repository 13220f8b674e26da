"""The command line: help, errors, exit codes."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.metadata import version

import pytest

from eco2_tracing import _cli
from eco2_tracing._cli import main


def test_help_lists_the_commands(capsys):
    """`--help` prints them."""
    with pytest.raises(SystemExit) as raised:
        main(["--help"])
    assert raised.value.code == 0
    assert "demo" in capsys.readouterr().out


def test_command_is_required(capsys):
    """Without one the usage is printed, with exit code 2."""
    with pytest.raises(SystemExit) as raised:
        main([])
    assert raised.value.code == 2
    assert "usage: eco2-tracing" in capsys.readouterr().err


def test_a_reader_that_ends(tmp_path):
    """A closed pipe ends the command without a traceback."""
    command = [sys.executable, "-m", "eco2_tracing", "doctor", "--no-send", "--envoy", "http://127.0.0.1:9"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as errors:
        assert errors.read() == b""
    assert process.wait() == 1


@pytest.mark.parametrize("package", ["uvicorn", "httpx"])
def test_missing_package_names_its_extra(package, monkeypatch, capsys):
    """The message has the command to run."""
    found = importlib.util.find_spec
    monkeypatch.setattr(_cli, "find_spec", lambda name: None if name == package else found(name))
    assert main(["demo"]) == 2
    message = capsys.readouterr().err
    assert f"eco2-tracing demo needs {package}" in message
    assert "pip install 'eco2-tracing[demo]'" in message


def test_interrupt_exits_with_130(monkeypatch):
    """Ctrl-C prints no traceback."""

    def interrupted(_name):
        raise KeyboardInterrupt

    monkeypatch.setattr(_cli, "find_spec", interrupted)
    assert main(["demo"]) == 130


def test_module_is_the_command():
    """`python -m eco2_tracing` runs it."""
    command = [sys.executable, "-m", "eco2_tracing", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == version("eco2-tracing")


def test_the_version_is_read_when_it_is_asked_for(capsys):
    """In this process too."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.strip() == version("eco2-tracing")
