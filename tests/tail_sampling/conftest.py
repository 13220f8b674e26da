"""Shared by the tests of the tail sampler: a provider whose exports are a list, and a clock that is set by hand."""

from __future__ import annotations

import random
import sys

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, StatusCode, TraceFlags, set_span_in_context

from eco2_tracing._spans.tracer import SpanFactory, TracerRegistry
from eco2_tracing.sampling import build_sampler
from eco2_tracing.sampling._tail.limits import TailLimits, TailRules
from eco2_tracing.sampling._tail.sampler import CallerDecision, ProviderSampler, TailSampler
from tests.repository.sources import ROOT

HALF = 1 << 63
"""The low half of a trace id: ids below are in an error rate of 0.5, the others are not."""


class Local:
    """One process: a tracer, what was exported, and the tail_sampler between them.

    Args:
        head: A name for ``OTEL_TRACES_SAMPLER``.
        arg: Its argument.
        limits: The bounds.
        built: A sampler in place of the named one.
        hears: Whether the application has processors, which fill ``started``.
        rules: What is worth keeping.
    """

    def __init__(
        self, head="parentbased_traceidratio", arg="0", limits=None, *, built=None, hears=True, **rules
    ):
        self.now = 0.0
        self.exported = []
        self.said = CallerDecision(deferred=False, denied=False)
        self.tick = lambda: None
        self.tail_sampler = TailSampler(
            built or build_sampler(head, arg),
            TailRules(**rules),
            limits or TailLimits(),
            self._emit,
            clock=self._clock,
        )
        sampler = ProviderSampler(self.tail_sampler, lambda _context: self.said, "a test's")
        self.started = []
        on_start = (lambda span, _context: self.started.append(span)) if hears else None
        factory = SpanFactory(Resource({}), SpanLimits(), RandomIdGenerator(), sampler.decide, on_start)
        self.sampler = sampler
        registry = TracerRegistry()
        registry.bind(factory)
        self.tracer = registry.get(InstrumentationScope("test"))

    def _emit(self, span):
        self.exported.append(span)

    def _clock(self):
        self.tick()
        return self.now

    def start(self, name, parent=None, **arguments):
        """Start a span below another one, below a context, or as a root."""
        if parent is not None and not isinstance(parent, Context):
            parent = set_span_in_context(parent, Context())
        return self.tracer.start_span(name, Context() if parent is None else parent, **arguments)

    def fail(self, name, parent):
        """Begin and end a span that fails."""
        span = self.start(name, parent)
        span.set_status(StatusCode.ERROR)
        span.end()

    @property
    def names(self):
        """The names of what was exported, sorted."""
        return sorted(span.name for span in self.exported)

    def named(self, name):
        """The one exported span of a name."""
        (span,) = [span for span in self.exported if span.name == name]
        return span

    @property
    def holds(self):
        """The number of local traces with buffered spans, and the number of buffered spans."""
        buffer = self.tail_sampler.buffer
        return len(buffer._holding), buffer._held_spans

    def is_empty(self):
        """Whether nothing is held any more."""
        return self.holds == (0, 0)


_ids = random.Random(4)


def caller(*, sampled=False, trace_id=None, remote=True):
    """The context of a caller; its trace is in the lower half unless said otherwise."""
    trace_id = trace_id or (_ids.getrandbits(64) << 64) | 1
    flags = TraceFlags(1 if sampled else 0)
    return set_span_in_context(NonRecordingSpan(SpanContext(trace_id, 7, remote, flags)), Context())


@pytest.fixture
def local():
    return Local()


@pytest.fixture
def benchmarks(monkeypatch):
    """The benchmarks' folder, where their modules find each other."""
    folder = ROOT / "benchmarks"
    if not folder.is_dir():
        pytest.skip("no checkout: the benchmarks are not installed")
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    yield folder
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
