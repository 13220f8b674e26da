"""Processors built from settings: exporter names, destinations and warnings."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from eco2_tracing._export import SpanBatcher, build_otlp, build_processors, factory
from eco2_tracing._settings.hosts import Address, parse_target
from eco2_tracing._settings.otlp import OtlpSettings
from tests.export.spans import make_span

if TYPE_CHECKING:
    from tests.export.receivers import GrpcReceiver


@dataclass(frozen=True)
class Settings:
    """What the factory reads."""

    traces_exporter: tuple[str, ...] = ("otlp",)
    otlp: OtlpSettings = field(default_factory=OtlpSettings)
    bsp_schedule_delay: int = 50
    bsp_max_queue_size: int = 100
    bsp_max_export_batch_size: int = 512
    bsp_export_timeout: int = 1000


def built(*names: str) -> list[SpanBatcher]:
    """Build the processors of these exporters."""
    processors = build_processors(Settings(names))
    return [processor for processor in processors if isinstance(processor, SpanBatcher)]


def test_no_exporter() -> None:
    """``none`` and an empty list build no processor."""
    assert built("none") == built() == []


def test_otlp(grpc_receiver: GrpcReceiver) -> None:
    """The OTLP exporter sends to the destination, with the limits of the settings."""
    (batcher,) = build_processors(Settings(otlp=OtlpSettings(endpoint=grpc_receiver.endpoint)))
    batcher.on_end(make_span("a"))
    assert batcher.force_flush(20_000)
    assert grpc_receiver.names == ["a"]
    batcher.shutdown()


def test_the_exporter_by_itself(grpc_receiver: GrpcReceiver) -> None:
    """The OTLP exporter works as an SDK exporter and returns whether everything arrived."""
    exporter = build_otlp(OtlpSettings(endpoint=grpc_receiver.endpoint))
    assert exporter.export([make_span("a")]).name == "SUCCESS"
    assert exporter.export([make_span(context=None)]).name == "FAILURE"
    exporter.shutdown()
    assert grpc_receiver.names == ["a"]


def test_console(capsys: pytest.CaptureFixture[str]) -> None:
    """The console exporter writes to stdout as it is when the processor is built."""
    (batcher,) = built("console", "console")
    batcher.on_end(make_span("shown"))
    assert batcher.force_flush(20_000)
    assert '"name": "shown"' in capsys.readouterr().out
    assert batcher.shutdown()
    assert batcher.stats().endpoint == "ConsoleSpanExporter"


def test_a_closed_console(monkeypatch: pytest.MonkeyPatch) -> None:
    """If stdout cannot be written to, the spans are dropped and nothing is raised."""
    with open("/dev/null") as unwritable:  # noqa: PTH123 - any unwritable file
        monkeypatch.setattr(sys, "stdout", unwritable)
        (batcher,) = built("console")
        monkeypatch.undo()
        batcher.on_end(make_span())
        assert not batcher.force_flush(20_000)
        assert batcher.stats().dropped["export_failed"] == 1
        batcher.shutdown()


def test_several() -> None:
    """Each name in the list has its processor, once."""
    assert [b.stats().endpoint for b in built("otlp", "console", "otlp")] == [
        "localhost:4317",
        "ConsoleSpanExporter",
    ]


def test_an_installed_exporter() -> None:
    """Other names are entry points of installed packages."""
    (batcher,) = built("otlp_proto_http")
    assert batcher.stats().endpoint == "OTLPSpanExporter"
    assert batcher.shutdown()


def test_an_exporter_that_is_not_installed(caplog: pytest.LogCaptureFixture) -> None:
    """An unknown name is one warning that says what to install; the other names are used."""
    assert len(built("zipkin_json", "otlp")) == 1
    (line,) = caplog.messages
    assert "'zipkin_json'" in line
    assert "pip install opentelemetry-exporter-zipkin-json" in line


def test_an_exporter_that_cannot_be_built(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that raises is a warning."""

    def explode() -> Any:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(factory, "entry_points", lambda **_: [SimpleNamespace(load=lambda: explode)])
    assert built("mine") == []
    assert "'mine' cannot be used and is left out: RuntimeError: no such thing" in caplog.text


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("collector:4317", Address("collector", 4317)),
        ("collector", Address("collector", 80)),
        ("[::1]:4317", Address("::1", 4317)),
        ("dns:collector:4317", Address("collector", 4317)),
        ("dns:///collector:4317", Address("collector", 4317)),
        ("dns:4317", Address("dns", 4317)),
        ("ipv4:10.0.0.1:4317,10.0.0.2:4317", Address("10.0.0.1", 4317)),
        ("ipv6:[::1]:4317", Address("::1", 4317)),
        ("unix:relative.sock", Address("relative.sock", 0)),
        ("unix:///run/otlp.sock", Address("/run/otlp.sock", 0)),
        ("unix-abstract:otlp", Address("\0otlp", 0)),
    ],
)
def test_grpc_targets(target: str, address: Address) -> None:
    """The target schemes of gRPC are parsed as gRPC parses them."""
    assert parse_target(target, 80).addresses[0] == address


def test_a_target_that_is_not_supported(caplog: pytest.LogCaptureFixture) -> None:
    """A target scheme that is not supported is a warning."""
    assert build_processors(Settings(otlp=OtlpSettings(endpoint="xds:///collector"))) == []
    assert "xds" in caplog.text


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [
        ("http://user:pass@host:4318/v1/traces", "http://host:4318/v1/traces"),
        ("user:pass@host:4317", "host:4317"),
        ("host:4317", "host:4317"),
    ],
)
def test_endpoints_are_shown_without_credentials(endpoint: str, shown: str) -> None:
    """The status never shows a password of the endpoint."""
    protocol = "http/protobuf" if "//" in endpoint else "grpc"
    assert build_otlp(OtlpSettings(protocol=protocol, endpoint=endpoint)).endpoint == shown  # type: ignore[arg-type]
