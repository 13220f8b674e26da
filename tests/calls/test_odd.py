"""Rare httpx calls: samplers of other packages, limits, responses that cannot be read."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

import eco2_tracing
from eco2_tracing.testing import TRACE_ID, b3_headers
from tests.calls.conftest import configure, inside


class Picky(Sampler):
    """Samples the calls of one path, by their attributes."""

    seen = ()

    def __init__(self, _argument=None):
        Picky.seen = []

    def should_sample(
        self, parent_context, trace_id, name, kind=None, attributes=None, links=None, trace_state=None
    ):
        Picky.seen.append((name, kind, dict(attributes or {})))
        chosen = "wanted" in str((attributes or {}).get("url.full"))
        return SamplingResult(Decision.RECORD_AND_SAMPLE if chosen else Decision.DROP, {"picked": True})

    def get_description(self):
        return "Picky"


@pytest.fixture
def picky(tmp_path, monkeypatch):
    """An installed package with that sampler."""
    info = tmp_path / "picky-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: picky\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[opentelemetry_traces_sampler]\npicky = {__name__}:Picky\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("picky")
def test_custom_sampler_receives_the_attributes_of_the_call(one, callee):
    """Those that the conventions call sampling-relevant, before the call."""
    captured = configure(traces_sampler="picky", error_sampling_rate=0)
    one.get(callee.url("/wanted"))
    one.get(callee.url("/other"))
    assert [seen["x-b3-sampled"] for seen in callee.seen] == ["1", "0"]
    span = captured.one()
    assert (span.attributes["picked"], span.attributes["url.full"]) == (True, callee.url("/wanted"))
    name, kind, attributes = Picky.seen[0]
    assert (name, kind) == ("GET", SpanKind.CLIENT)
    assert attributes["http.request.method"] == "GET"
    assert attributes["server.address"] == "127.0.0.1"
    assert attributes["server.port"] == callee.port


def test_call_follows_a_context_set_by_hand(one, callee):
    """Its decision applies, remote or not."""
    captured = configure()
    for remote in (True, False):
        for flag in (0, 1):
            context = SpanContext(int(TRACE_ID, 16), 7, remote, TraceFlags(flag))
            token = attach(set_span_in_context(NonRecordingSpan(context), Context()))
            one.get(callee.url())
            detach(token)
            assert callee.last["x-b3-traceid"] == TRACE_ID
            assert callee.last["x-b3-sampled"] == str(flag)
    assert len(captured.spans) == 1  # below the remote one that is sampled


def test_calls_beyond_the_cap(one, callee):
    """They are sent, not recorded, and injected as unsampled."""
    captured = configure(
        traces_sampler="parentbased_always_off", error_sampling_rate=1.0, max_kept_traces_per_second=1
    )
    callee.answer("/fails", 500)

    def work():
        one.get(callee.url("/fails"))
        one.get(callee.url("/after"))

    def broken():
        with pytest.raises(one.module.ConnectError):
            one.get("http://127.0.0.1:1/")

    for _ in range(3):
        inside(work, b3_headers(sampled=False))
    assert [seen["x-b3-sampled"] for seen in callee.seen if seen.path == "/after"] == ["1", "0", "0"]
    inside(broken, b3_headers(sampled=False))
    assert len(captured.spans) == 3
    assert eco2_tracing.tracing_status().spans_dropped["kept_traces_cap"]


def test_call_after_its_parent_ended_is_sampled_in_a_kept_trace(one, callee):
    """The parent's context is from before the failure."""
    captured = configure(traces_sampler="parentbased_always_off", error_sampling_rate=1.0)

    def work():
        with eco2_tracing.span("early") as early:
            pass
        trace.get_current_span().set_status(StatusCode.ERROR)
        with trace.use_span(early):
            one.get(callee.url())

    inside(work, b3_headers(sampled=False))
    assert callee.last["x-b3-sampled"] == "1"
    assert captured.one("GET", kind=SpanKind.CLIENT).parent_span_id == captured.one("early").span_id


def test_status_of_the_application_stays(one, callee, captured_spans):
    """A transport sets OK on a 404."""

    def answer(request):
        trace.get_current_span().set_status(StatusCode.OK)
        return one.module.Response(404)

    inside(lambda: one.client(transport=one.module.MockTransport(answer)).get(callee.url()))
    assert captured_spans.one(kind=SpanKind.CLIENT).status is StatusCode.OK


def test_url_without_a_host_fails_as_untraced(one, captured_spans):
    """The exception is httpx's, on the span as well."""
    with pytest.raises(one.module.UnsupportedProtocol):
        one.get("/nowhere")
    span = captured_spans.one()
    assert span.attributes["error.type"] == "UnsupportedProtocol"
    assert "server.address" not in span.attributes


def test_internal_failures_do_not_reach_the_application(one, callee, captured_spans, monkeypatch, caplog):
    """Neither the response nor the exception is lost."""
    from eco2_tracing._instrumentation.client.call import ClientCall

    def broken(*_args):
        raise RuntimeError("ours")

    monkeypatch.setattr(ClientCall, "answered", broken)
    monkeypatch.setattr(ClientCall, "raised", broken)
    assert one.get(callee.url()).status_code == 200
    with pytest.raises(one.module.ConnectError):
        one.get("http://127.0.0.1:1/")
    assert len([record for record in caplog.records if "eco2-tracing failed" in record.message]) == 2


def test_client_without_the_inspected_attributes(one, callee, captured_spans):
    """The transport creates the span."""

    class Odd(one.module.Client):
        @property
        def _mounts(self):
            import sys

            if sys._getframe(1).f_globals["__name__"].startswith("eco2_tracing"):
                raise AttributeError("_mounts")
            return {}

        @_mounts.setter
        def _mounts(self, value):
            """Ignore the value."""

    with Odd(trust_env=False) as client:
        assert client.get(callee.url()).status_code == 200
    assert callee.last["x-b3-spanid"] == captured_spans.one(kind=SpanKind.CLIENT).span_id


def test_calls_are_exported_without_user_processors(one, callee, otlp_receiver):
    """As in production, over the wire."""
    eco2_tracing.configure_tracing(
        settings=eco2_tracing.TracingSettings(exporter_otlp_endpoint=otlp_receiver.grpc_endpoint)
    )
    inside(lambda: one.get(callee.url()), b3_headers())
    assert eco2_tracing.flush_tracing(10)
    span = otlp_receiver.one("GET", kind=SpanKind.CLIENT)
    assert (span.trace_id, span.scope) == (TRACE_ID, "eco2_tracing.httpx")
