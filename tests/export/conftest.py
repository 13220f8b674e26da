"""Receivers, and batchers that end with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eco2_tracing._export import SpanBatcher, build_otlp
from eco2_tracing._forks import _forks
from eco2_tracing._settings.otlp import OtlpSettings
from tests.export.receivers import GrpcReceiver, HttpReceiver

Open = Callable[..., SpanBatcher]


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the proxies of the machine from the environment of the tests."""
    for name in ("grpc_proxy", "http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(autouse=True)
def _no_batchers() -> Iterator[None]:
    """Stop the threads of a failed test."""
    yield
    for batcher in list(_forks.owners):
        if isinstance(batcher, SpanBatcher) and batcher._thread is not None:
            batcher.shutdown(0)


@pytest.fixture
def open_batcher() -> Iterator[Open]:
    """Open batchers to an OTLP destination, which are shut down with the test."""
    opened: list[SpanBatcher] = []

    def open_one(endpoint: str, *, batcher: dict[str, Any] | None = None, **otlp: Any) -> SpanBatcher:
        protocol = "http/protobuf" if "://" in endpoint else "grpc"
        fields: dict[str, Any] = {"protocol": protocol, "insecure": True, **otlp}
        limits: dict[str, Any] = {"schedule_delay_s": 0.05, **(batcher or {})}
        opened.append(SpanBatcher(build_otlp(OtlpSettings(endpoint=endpoint, **fields)), **limits))
        return opened[-1]

    yield open_one
    for one in opened:
        one.shutdown(2000)


@pytest.fixture
def grpc_receiver() -> Iterator[GrpcReceiver]:
    """A gRPC receiver."""
    with GrpcReceiver() as receiver:
        yield receiver


@pytest.fixture
def http_receiver() -> Iterator[HttpReceiver]:
    """An HTTP receiver."""
    with HttpReceiver() as receiver:
        yield receiver


@pytest.fixture(params=["grpc", "http"])
def receiver(request: pytest.FixtureRequest) -> Any:
    """Each kind of receiver in turn."""
    return request.getfixturevalue(f"{request.param}_receiver")
