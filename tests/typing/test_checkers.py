"""The typed API in a type checker other than mypy, and in an editor's completion."""

from __future__ import annotations

import inspect
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from eco2_tracing import TracingSettings

API = Path(__file__).with_name("api.py")


def test_pyright_agrees(tmp_path: Path) -> None:
    """Pyright reports the lines that mypy rejects, and no others."""
    pyright = shutil.which("pyright") or shutil.which("basedpyright")
    if pyright is None:
        pytest.skip("neither pyright nor basedpyright is installed")
    lines = API.read_text(encoding="utf-8").splitlines()
    copy = tmp_path / "api.py"
    copy.write_text("\n".join(line.partition("  # type: ignore[")[0] for line in lines), encoding="utf-8")
    command = [pyright, "--pythonpath", sys.executable, "--level", "error", "--outputjson", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    reported = {found["range"]["start"]["line"] for found in json.loads(done.stdout)["generalDiagnostics"]}
    assert reported == {number for number, line in enumerate(lines) if "# type: ignore[" in line}


def test_the_signature_names_every_field() -> None:
    """An interactive shell completes the arguments: the signature has one for each field, with its type."""
    parameters = inspect.signature(TracingSettings).parameters
    assert set(parameters) >= {"excluded_paths", "traces_exporter", "bsp_schedule_delay", "strict"}
    assert get_args(parameters["disabled"].annotation)[0] is bool
