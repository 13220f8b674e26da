"""Finding and starting Envoy."""

from __future__ import annotations

import os
import sys

import pytest

from eco2_tracing._cli.envoy import Envoy, cluster, find_envoy, gateway_config
from eco2_tracing._cli.processes import ProcessError


def test_envoy_beside_python_precedes_path(monkeypatch, tmp_path):
    """The command of the wheel is preferred to the one on PATH; without either, the result is `None`."""
    beside, elsewhere = tmp_path / "venv", tmp_path / "bin"
    monkeypatch.setattr(sys, "executable", str(beside / "python"))
    monkeypatch.setenv("PATH", str(elsewhere))
    assert find_envoy() is None
    for folder in (elsewhere, beside):
        folder.mkdir()
        (folder / "envoy").touch(mode=0o755)
        assert find_envoy() == str(folder / "envoy")


def test_failed_start_raises_with_the_output(tmp_path):
    """The error contains the last lines that Envoy wrote."""
    command = tmp_path / "envoy"
    command.write_text("#!/bin/sh\necho no such option\n")
    command.chmod(0o755)
    config = gateway_config(cluster("app", "127.0.0.1", 1), cluster("tracing", "127.0.0.1", 1))
    with pytest.raises(ProcessError, match=r"(?s)envoy.*no such option"):
        Envoy("envoy", str(command), config, os.environ)
