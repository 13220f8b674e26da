"""Runs the command, and real receivers for it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eco2_tracing._cli import main
from tests.support.jaeger import jaeger

__all__ = ["jaeger"]
from tests.export.receivers import GrpcReceiver, HttpReceiver

Doctor = Callable[..., dict[str, Any]]
SETTINGS = ("OTEL_", "ECO2_", "K8S_", "KUBERNETES_", "POD_", "JAEGER_", "ZIPKIN_", "OTLP_")
PROXIES = ("grpc_proxy", "http_proxy", "https_proxy", "no_proxy")


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """The command with ``--json`` in an environment of its own: returns the report, with the exit code in it."""
    for name in [each for each in os.environ if each.startswith(SETTINGS)]:
        monkeypatch.delenv(name)
    for name in (*PROXIES, *map(str.upper, PROXIES), "PYTHONPATH"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str, **environ: object) -> dict[str, Any]:
        for name, value in environ.items():
            monkeypatch.setenv(name, str(value))
        code = main(["doctor", "--json", "--envoy", "http://127.0.0.1:9", *arguments])
        report: dict[str, Any] = json.loads(capsys.readouterr().out)
        report["ids"] = [each["id"] for each in report["findings"]]
        report["code"] = code
        return report

    return run


@pytest.fixture(scope="module")
def grpc_receiver() -> Iterator[GrpcReceiver]:
    """A receiver of OTLP over gRPC."""
    with GrpcReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def http_receiver() -> Iterator[HttpReceiver]:
    """A receiver of OTLP over HTTP."""
    with HttpReceiver() as receiver:
        yield receiver


@pytest.fixture
def collector(grpc_receiver: GrpcReceiver) -> dict[str, str]:
    """The variables of a service with a healthy collector."""
    return {
        "OTEL_SERVICE_NAME": "auth-api",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{grpc_receiver.endpoint}",
    }


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Writes the module of an application and returns the words that name it."""
    monkeypatch.chdir(tmp_path)

    def write(code: str) -> str:
        (tmp_path / "shop.py").write_text(code)
        return "shop:app"

    return write
