"""Id generators that installed packages give by their entry points."""

from __future__ import annotations

import pytest

from eco2_tracing import TracingSettings, configure_tracing, span
from eco2_tracing.testing import CapturedSpans

PACKAGE = """
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

class Counting(RandomIdGenerator):
    def generate_trace_id(self):
        return 0xABC

def broken():
    raise RuntimeError("told to")
"""
ENTRY_POINTS = """
[opentelemetry_id_generator]
counting = given_ids:Counting
broken = given_ids:broken
absent = given_ids:Absent
other = builtins:object
"""


@pytest.fixture
def _package(tmp_path, monkeypatch):
    """A package with generators, good and bad, as pip installs it."""
    (tmp_path / "given_ids.py").write_text(PACKAGE)
    info = tmp_path / "given_ids-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: given-ids\nVersion: 1\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("_package")
@pytest.mark.parametrize(
    ("name", "told"),
    [("counting", ""), ("broken", "loading"), ("absent", "loading"), ("other", "no such id generator")],
)
def test_one_that_is_installed(name, told, caplog):
    """The generator is used; one that cannot be loaded or is of another type is a warning, and random ids are used."""
    captured = CapturedSpans()
    settings = TracingSettings(traces_exporter="none", id_generator=name)
    configure_tracing(settings=settings, span_processors=[captured])
    with span("one"):
        pass
    assert (captured.one().trace_id == f"{0xABC:032x}") is (name == "counting")
    assert told in caplog.text
    assert ("OTEL_PYTHON_ID_GENERATOR" in caplog.text) is (name != "counting")
