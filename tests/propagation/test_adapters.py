"""Propagators of other packages, found by their entry points."""

from __future__ import annotations

import logging

import pytest
from opentelemetry import baggage
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import INVALID_SPAN_CONTEXT, get_current_span

from eco2_tracing.propagation import Inbound, Propagation, inbound_of

from .test_sending import local, sent
from .test_vectors import extracted_fields, raw
from .vectors import S1, S2, T1, T2, Headers, Result, multi, w3c

MODULE = '''
from opentelemetry import baggage, trace
from opentelemetry.propagators.textmap import TextMapPropagator, default_getter, default_setter


class Acme(TextMapPropagator):
    """A small uber-trace-id propagator: <trace id>:<span id>:<flags>, and one header for each member of baggage."""

    fields = {"Uber-Trace-Id", "X-Acme", "baggage"}

    def extract(self, carrier, context=None, getter=default_getter):
        for key in getter.keys(carrier):
            if key.startswith("uberctx-"):
                context = baggage.set_baggage(key[8:], getter.get(carrier, key)[0], context)
        ids = getter.get(carrier, "Uber-Trace-Id")
        if not ids:
            return context
        trace_id, span_id, flags = (int(part, 16) for part in ids[0].split(":"))
        span_context = trace.SpanContext(trace_id, span_id, True, trace.TraceFlags(flags))
        return trace.set_span_in_context(trace.NonRecordingSpan(span_context), context)

    def inject(self, carrier, context=None, setter=default_setter):
        span_context = trace.get_current_span(context).get_span_context()
        if span_context.trace_id == 0xBAD:
            raise RuntimeError("cannot write")
        if span_context.is_valid:
            ids = f"{span_context.trace_id:x}:{span_context.span_id:x}:{span_context.trace_flags:x}"
            setter.set(carrier, "Uber-Trace-Id", ids)
            setter.set(carrier, "X-Acme", "1")
        for key, value in baggage.get_all(context).items():
            setter.set(carrier, f"uberctx-{key}", value)


class Broken(Acme):
    def __init__(self):
        raise RuntimeError("no licence")
'''


@pytest.fixture
def acme(tmp_path, monkeypatch):
    """An installed package with two propagators."""
    info = tmp_path / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[opentelemetry_propagator]\nAcme = acme_propagator:Acme\nbroken = acme_propagator:Broken\n"
    )
    (tmp_path / "acme_propagator.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)


def acme_header(trace_id: str = T2, span_id: str = S2, flags: int = 1) -> Headers:
    """The headers that this package injects."""
    return [("uber-trace-id", f"{trace_id}:{span_id}:{flags}")]


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("names", "headers", "expected"),
    [
        (("acme",), acme_header(), Result(T2, S2, True)),
        (("ACME",), acme_header(flags=2), Result(T2, S2, False, random=True)),
        (("acme", "b3"), multi(sampled="0") + acme_header(), Result(T2, S2, True)),
        (("b3", "acme"), multi(sampled="0") + acme_header(), Result(T1, S1, False)),
        (("b3", "acme"), multi() + acme_header(T1), Result(T1, S1, True)),
        (("b3", "acme"), acme_header(), Result(T2, S2, True)),
        (("acme", "tracecontext"), acme_header() + w3c(state="a=1"), Result(T2, S2, True, state="a=1")),
        (("acme",), multi(), None),
        (("acme",), [], None),
        (("acme", "b3"), [("uber-trace-id", "junk"), *multi(sampled="1")], Result(T1, S1, True)),
    ],
)
def test_read_at_its_place(names: tuple[str, ...], headers: Headers, expected: Result | None):
    """The propagator of another package is used at its place in the order."""
    propagation = Propagation(names)
    inbound = propagation.extract_headers(iter(raw(headers)))
    assert extracted_fields(inbound) == expected
    assert extracted_fields(inbound_of(propagation.extract(dict(headers)))) == expected


@pytest.mark.usefixtures("acme")
def test_failing_to_read_is_logged_once(caplog):
    """An exception of it is one warning; the other formats are extracted."""
    propagation = Propagation(("acme", "b3"))
    for _ in range(3):
        assert propagation.extract_headers(raw([("uber-trace-id", "junk")])) is None
    assert [record.name for record in caplog.records] == ["eco2_tracing"]
    assert caplog.records[0].exc_info is not None


@pytest.mark.usefixtures("acme")
def test_what_else_it_reads():
    """Its baggage is in the context; baggage of an earlier name is kept."""
    propagation = Propagation(("acme", "acme"))
    inbound = propagation.extract_headers(raw([("uberctx-user", "kim")]))
    assert inbound is not None
    assert dict(baggage.get_all(propagation.context(inbound))) == {"user": "kim"}
    assert inbound.trace_id == 0


@pytest.mark.usefixtures("acme")
def test_written():
    """It injects beside the others; external hosts get its trace context alone."""
    propagation = Propagation(("acme", "baggage"))
    passed = baggage.set_baggage("user", "kim", Context())
    ids = {"uber-trace-id": f"{T1}:ff:1"}
    own = sent(propagation.inject_headers(local(), passed, internal=True))
    assert own == ids | {"x-acme": "1", "uberctx-user": "kim", "baggage": "user=kim"}
    assert sent(propagation.inject_headers(local(), passed, internal=False)) == ids
    assert sent(propagation.inject_headers(INVALID_SPAN_CONTEXT, passed, internal=False)) == {}
    assert {"uber-trace-id", "x-acme", "baggage"} <= propagation.fields
    assert propagation.trace_headers >= {b"x-acme", b"uber-trace-id", b"traceparent"}
    assert b"baggage" not in propagation.trace_headers


@pytest.mark.usefixtures("acme")
def test_its_headers_are_stripped():
    """Its headers and its baggage are removed at a redirect."""
    propagation = Propagation(("acme",))
    passed = baggage.set_baggage("user", "kim", Context())
    first = propagation.reinject_headers([(b"Host", b"a")], local(), passed, internal=True)
    assert len(first) == 4
    redirected = propagation.reinject_headers(first, local(), passed, internal=False)
    assert redirected == [(b"Host", b"a"), (b"uber-trace-id", f"{T1}:ff:1".encode())]


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(("host", "internal"), [("api.example.com", False), ("backend", True)])
def test_its_baggage_does_not_follow_a_redirect_outside(host, internal):
    """A library copies all headers of the first attempt to the next one; ``X-Acme`` is no known trace header."""
    propagation = Propagation(["acme"])
    context = propagation.context(propagation.extract_headers(raw([*acme_header(), ("uberctx-user", "kim")])))
    headers: dict[str, str] = {}
    token = attach(context)
    try:
        propagation.inject(headers)
        changes = propagation.calls.changes(headers.items(), host)
    finally:
        detach(token)
    assert ("uberctx-user" in headers, b"uberctx-user" in changes.removed) == (True, not internal)
    assert (b"uber-trace-id" in changes.removed, changes.added) == (False, [])


@pytest.mark.usefixtures("acme")
def test_failing_to_write_is_logged_once(caplog):
    """An exception of it is one warning; the other formats are injected."""
    propagation = Propagation(("acme", "b3"))
    for _ in range(3):
        pairs = propagation.inject_headers(local(f"{0xBAD:032x}"), Context(), internal=True)
        assert "x-b3-traceid" in sent(pairs)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@pytest.mark.usefixtures("acme")
def test_not_loading_is_a_warning(caplog):
    """A propagator that does not load is left out, with a warning that has its name and the reason."""
    propagation = Propagation(("broken", "b3"))
    assert propagation.names == ("b3",)
    assert "'broken'" in caplog.text
    assert "no licence" in caplog.text


@pytest.mark.usefixtures("acme")
def test_unknown_name_is_left_out(caplog):
    """An unknown name is left out; the settings warn of it."""
    assert Propagation(("nosuch", " B3 ", "b3multi")).names == ("b3",)
    assert caplog.records == []


@pytest.mark.usefixtures("acme")
def test_not_trusted():
    """The ids that it extracts of a caller that is not trusted become a link."""
    propagation = Propagation(("acme",), trust_inbound=False)
    inbound = propagation.extract_headers(raw([*acme_header(), ("uberctx-user", "kim")]))
    assert inbound is not None
    assert inbound.link is not None
    passed = propagation.context(inbound)
    assert dict(baggage.get_all(passed)) == {}
    assert not get_current_span(passed).get_span_context().is_valid
    assert isinstance(inbound_of(passed), Inbound)
