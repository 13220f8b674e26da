"""Envoy is found, and told of when it does not start."""

from __future__ import annotations

import os
import sys

import pytest

from eco2_tracing._cli.envoy import Envoy, cluster, find_envoy, gateway_config, zipkin_tracer
from eco2_tracing._cli.processes import ProcessError


def test_envoy_is_found_beside_python_before_the_path(monkeypatch, tmp_path):
    """The wheel's command wins over the PATH's; without either there is none."""
    beside, elsewhere = tmp_path / "venv", tmp_path / "bin"
    monkeypatch.setattr(sys, "executable", str(beside / "python"))
    monkeypatch.setenv("PATH", str(elsewhere))
    assert find_envoy() is None
    for folder in (elsewhere, beside):
        folder.mkdir()
        (folder / "envoy").touch(mode=0o755)
        assert find_envoy() == str(folder / "envoy")


def test_an_envoy_that_does_not_start_is_told(tmp_path):
    """Its last words are in the error."""
    command = tmp_path / "envoy"
    command.write_text("#!/bin/sh\necho no such option\n")
    command.chmod(0o755)
    config = gateway_config(zipkin_tracer(), [cluster("app", "127.0.0.1", 1)])
    with pytest.raises(ProcessError, match=r"(?s)envoy.*no such option"):
        Envoy(str(command), config, os.environ)
