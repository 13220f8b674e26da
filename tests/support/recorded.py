"""A provider of the SDK for one test, and its spans."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Recorded:
    """The spans of one test.

    Args:
        exporter: Where they end up.
    """

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    @property
    def names(self) -> list[str]:
        """Names, in the order in which the spans ended."""
        return [span.name for span in self._exporter.get_finished_spans()]

    @property
    def all(self) -> list[ReadableSpan]:
        """Every ended span, in that order."""
        return list(self._exporter.get_finished_spans())

    def __getitem__(self, name: str) -> ReadableSpan:
        (found,) = [s for s in self._exporter.get_finished_spans() if s.name == name]
        return found


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[TracerProvider]:
    """Install a provider of the SDK for this test."""
    provider = TracerProvider()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield provider
    provider.shutdown()


@pytest.fixture
def spans(provider: TracerProvider) -> Recorded:
    """The spans recorded so far."""
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Recorded(exporter)
