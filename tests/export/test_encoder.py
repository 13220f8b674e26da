"""The encoder: equal to the official one, and robust where that one fails."""

from __future__ import annotations

import math
from enum import IntEnum
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from eco2_tracing._export.otlp import values
from eco2_tracing._export.otlp.encoder import MAX_REQUEST_BYTES, SpanEncoder
from eco2_tracing._export.otlp.values import TEXT_LIMIT
from tests.export.spans import RESOURCE, SCOPE, make_span
from tests.support.hostile import Unreadable, UnreadableMapping


def parse(body: bytes) -> ExportTraceServiceRequest:
    """Parse a request as a receiver does."""
    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    return request


def encoded(*spans: ReadableSpan) -> ExportTraceServiceRequest:
    """Encode spans that fit into one request."""
    (request,), lost = SpanEncoder().encode(spans)
    assert (lost, request.spans) == (0, len(spans))
    return parse(request.content)


def only(*spans: ReadableSpan) -> Any:
    """Encode one span, and return its message."""
    return encoded(*spans).resource_spans[0].scope_spans[0].spans[0]


def attributes_of(message: Any) -> dict[str, Any]:
    """Return the attributes of a message, texts and numbers as they are."""
    return {a.key: getattr(a.value, a.value.WhichOneof("value") or "", None) for a in message.attributes}


TEXT = st.text(st.characters(codec="utf-8"), max_size=200)
SCALAR = st.one_of(
    TEXT,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.binary(max_size=200),
    st.none(),
)
VALUE = st.recursive(
    SCALAR, lambda v: st.lists(v, max_size=4) | st.dictionaries(TEXT, v, max_size=3), max_leaves=8
)
ATTRIBUTES = st.dictionaries(TEXT.filter(bool), VALUE, max_size=8)
TIME = st.integers(0, 2**64 - 1)
STATE = st.sampled_from([TraceState(), TraceState([("a", "1"), ("b@c", "x=y")])])
CONTEXT = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    st.sampled_from([TraceFlags(0), TraceFlags(1)]),
    STATE,
)
STATUS = st.one_of(
    st.sampled_from([Status(StatusCode.UNSET), Status(StatusCode.OK), Status(StatusCode.ERROR)]),
    TEXT.map(lambda text: Status(StatusCode.ERROR, text)),
)
EVENT = st.builds(Event, TEXT, ATTRIBUTES.map(lambda a: BoundedAttributes(4, a)), TIME)
# The official encoder leaves out the trace state of links.
LINK = st.builds(
    lambda c, a: Link(SpanContext(c.trace_id, c.span_id, c.is_remote), BoundedAttributes(4, a)),
    CONTEXT,
    ATTRIBUTES,
)
RESOURCES = [
    RESOURCE,
    Resource({"service.name": "é", "n": 1, "list": ["a", "b"]}, "https://schema/1"),
    Resource({}),
]
SCOPES = [
    SCOPE,
    None,
    InstrumentationScope("other", None, "https://schema/2", {"k": True}),
    InstrumentationScope("", "1"),  # without a version it would be the same on the wire as none
]
SPAN = st.builds(
    ReadableSpan,
    name=TEXT,
    context=CONTEXT,
    parent=st.none() | CONTEXT,
    resource=st.sampled_from(RESOURCES),
    attributes=ATTRIBUTES | ATTRIBUTES.map(lambda a: BoundedAttributes(4, a)) | st.none(),
    events=st.lists(EVENT, max_size=3),
    links=st.lists(LINK, max_size=3),
    kind=st.sampled_from(SpanKind),
    status=STATUS | st.none(),
    start_time=TIME | st.none(),
    end_time=TIME | st.none(),
    instrumentation_scope=st.sampled_from(SCOPES),
)


@given(st.lists(SPAN, min_size=1, max_size=3))
def test_same_message_as_the_official_encoder(spans: list[ReadableSpan]) -> None:
    """Whatever the official encoder can encode, ours encodes to an equal message."""
    assert encoded(*spans) == encode_spans(spans)


def test_same_message_from_the_sdk_with_dropped_counts() -> None:
    """Spans from a real tracer with tight limits carry their counts of what was dropped."""
    memory = InMemorySpanExporter()
    limits = SpanLimits(max_span_attributes=2, max_events=1, max_links=1)
    provider = TracerProvider(span_limits=limits, resource=RESOURCE)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    links = [Link(SpanContext(n, n, is_remote=True)) for n in (1, 2, 3)]
    tracer = provider.get_tracer("t", "1", attributes={"scope": 1})
    with tracer.start_as_current_span("a", links=links, attributes={"a": 1, "b": 2, "c": 3}) as span:
        for _ in range(4):
            span.add_event("e")
        with pytest.raises(ValueError, match="no"), tracer.start_as_current_span("b", kind=SpanKind.CLIENT):
            raise ValueError("no")
    spans = memory.get_finished_spans()
    message = encoded(*spans)
    assert message == encode_spans(spans)
    parent = message.resource_spans[0].scope_spans[0].spans[1]
    counts = (parent.dropped_attributes_count, parent.dropped_events_count, parent.dropped_links_count)
    assert counts == (1, 3, 2)


def test_links_keep_their_trace_state() -> None:
    """The trace state of a link is sent, which the official encoder forgets."""
    context = SpanContext(1, 2, is_remote=True, trace_state=TraceState([("a", "1")]))
    assert only(make_span(links=[Link(context)])).links[0].trace_state == "a=1"


def test_events_and_links_that_a_processor_put_there() -> None:
    """Events may be a plain tuple, as a filtering processor leaves them."""
    message = only(make_span(events=(Event("kept"),), links=(Link(SpanContext(1, 2, is_remote=True)),)))
    assert [event.name for event in message.events] == ["kept"]
    assert len(message.links) == 1


def test_whole_numbers_beyond_64_bits_go_as_text() -> None:
    """An integer beyond 64 bits is sent as decimal text, a huge one as hexadecimal text."""
    got = attributes_of(only(make_span(attributes={"a": 2**70, "b": -(2**63) - 1, "c": 1 << 100_000})))
    assert got["a"] == str(2**70)
    assert got["b"] == str(-(2**63) - 1)
    assert got["c"].startswith("0x1000")


def test_members_of_an_enumeration_are_the_numbers_that_they_are() -> None:
    """`HTTPStatus.OK` is no plain integer: looking for one in a range tries all of its numbers, which never ends."""
    extremes = IntEnum("extremes", {"least": -(2**63), "most": 2**63 - 1, "beyond": 2**63})
    values = {"code": HTTPStatus.OK, **extremes.__members__}
    got = attributes_of(only(make_span(attributes=values)))
    assert got == {"code": 200, "least": -(2**63), "most": 2**63 - 1, "beyond": str(2**63)}


def test_not_a_number_and_infinity() -> None:
    """NaN and infinities are sent as doubles."""
    got = attributes_of(only(make_span(attributes={"nan": math.nan, "inf": -math.inf})))
    assert math.isnan(got["nan"])
    assert got["inf"] == -math.inf


def test_true_and_one_are_not_mixed_up() -> None:
    """Values that are equal in Python keep their types, in whatever order they come."""
    encoder = SpanEncoder()
    for value in (1, True, 1.0, 0, False, 0.0):
        span = make_span(attributes={"k": value})
        (request,), _ = encoder.encode([span])
        assert parse(request.content) == encode_spans([span])


def test_lone_surrogates_are_repaired_everywhere() -> None:
    """Text that is no valid UTF-8 is repaired; surrogate pairs become the character they stand for."""
    bad = "a\ud800b"
    span = make_span(
        bad,
        {bad: bad, "pair": "\ud83d\ude00", "list": [bad]},
        events=[Event(bad, {"e": bad}, 1)],
        status=Status(StatusCode.ERROR, bad),
    )
    message = only(span)
    good = "a\ufffdb"
    assert (message.name, message.status.message, message.events[0].name) == (good, good, good)
    assert attributes_of(message)["pair"] == "\U0001f600"
    assert message.attributes[0].key == good


def test_long_texts_are_cut() -> None:
    """No value is larger than the limit, nor a status description."""
    span = make_span(
        attributes={"text": "x" * 10_000_000, "bytes": b"y" * 10_000_000, "list": ["z" * 100] * 5000},
        status=Status(StatusCode.ERROR, "d" * 100_000),
    )
    message = only(span)
    got = attributes_of(message)
    assert len(got["text"]) == len(got["bytes"]) == values.TEXT_LIMIT
    assert len(got["list"].values) == values.ITEM_LIMIT
    assert len(message.status.message) == 4096


def test_values_of_other_kinds_go_as_text() -> None:
    """A value of another type is sent as text, or as the name of its type."""
    many = dict.fromkeys(range(5000), 1)
    got = attributes_of(
        only(make_span(attributes={"o": 1j, "h": Unreadable(), "s": {7}, "m": many, "a": bytearray(b"x")}))
    )
    assert got["o"] == "1j"
    assert got["h"] == "<Unreadable>"
    assert got["s"].values[0].int_value == 7
    assert len(got["m"].values) == values.ITEM_LIMIT
    assert got["a"] == b"x"


def test_a_value_that_contains_itself_ends() -> None:
    """Nesting is encoded to a depth; deeper values are replaced by the name of their type."""
    loop: list[Any] = []
    loop.append(loop)
    ring: dict[str, Any] = {}
    ring["ring"] = ring
    assert b"<list>" in only(make_span(attributes={"loop": loop})).SerializeToString()
    assert b"<dict>" in only(make_span(attributes={"ring": ring})).SerializeToString()


def test_keys_that_are_no_text() -> None:
    """A key of another type is sent as text."""
    assert attributes_of(only(make_span(attributes={5: 1}))) == {"5": 1}  # type: ignore[dict-item]  # what is tested


class Masked(ReadableSpan):
    """A view with attributes of its own, as a redacting processor may make."""

    @property
    def attributes(self) -> Any:
        """Hide what is inside."""
        return {"masked": True}


def test_a_property_of_a_subclass_is_respected() -> None:
    """Attributes are read from the property where a subclass defines one."""
    span = make_span(attributes={"secret": 1})
    masked = Masked("m", span.context, resource=RESOURCE, attributes={"secret": 1})
    assert attributes_of(only(masked)) == {"masked": True}


@pytest.mark.parametrize(
    "fields",
    [
        {"start_time": -5},
        {"end_time": 2**70},
        {"start_time": "soon"},
        {"name": None},
        {"name": Unreadable()},
        {"name": "n" * 10_000_000},
        {"links": [object()]},
        {"status": Status(StatusCode.OK), "end_time": 1.5},
        {"parent": SpanContext(1, 2, is_remote=True), "start_time": -1},
    ],
)
def test_a_span_with_an_impossible_part_is_sent_without_it(fields: dict[str, Any]) -> None:
    """A span with an invalid part keeps its ids and attributes, and the other spans of the batch are unchanged."""
    whole: dict[str, Any] = {
        "name": "x",
        "attributes": {"kept": 1},
        "status": Status(StatusCode.ERROR, "why"),
    }
    message = encoded(make_span("before"), make_span(**(whole | fields)), make_span("after"))
    before, broken, after = message.resource_spans[0].scope_spans[0].spans
    assert (before.name, after.name) == ("before", "after")
    assert attributes_of(broken) == {"kept": 1}
    assert broken.span_id == (0xDEF).to_bytes(8, "big")


def test_a_span_of_too_much_is_sent_with_less() -> None:
    """A span beyond the size of a request keeps its first attributes and its latest events, shortened."""
    attributes = {f"k{n}": "v" * 30_000 for n in range(200)}
    events = [Event("e" * 30_000, {"n": n}, n) for n in range(500)]
    message = only(make_span("large", attributes, events=events))
    assert message.ByteSize() < MAX_REQUEST_BYTES
    assert [len(message.attributes), len(message.events)] == [128, 32]
    assert attributes_of(message.events[-1]) == {"n": 499}


def test_a_span_too_large_even_so_is_sent_bare() -> None:
    """A span that is still too large is sent without attributes, which are counted as dropped."""
    wide = {f"k{n}": [["v" * 1024] * 8] * 8 for n in range(200)}
    message = only(make_span("huge", wide))
    assert message.name == "huge"
    assert message.dropped_attributes_count == 200


def test_attributes_that_cannot_be_read() -> None:
    """A span whose attributes raise is sent without them."""
    message = only(make_span("bare", UnreadableMapping(a=1)))
    assert (message.name, message.dropped_attributes_count) == ("bare", 1)


def test_a_span_without_ids_is_lost_alone(caplog: pytest.LogCaptureFixture) -> None:
    """A span without ids is dropped and counted; the rest of the batch is encoded."""
    requests, lost = SpanEncoder().encode([make_span("a"), make_span("x", context=None), make_span("b")])
    assert lost == 1
    names = [s.name for s in parse(requests[0].content).resource_spans[0].scope_spans[0].spans]
    assert names == ["a", "b"]
    assert "is dropped" in caplog.text


def test_a_span_that_would_end_the_process_is_lost_alone() -> None:
    """An exception that is not an `Exception` loses that span only."""

    class Ending(ReadableSpan):
        @property
        def context(self) -> Any:
            raise SystemExit

    requests, lost = SpanEncoder().encode([make_span("a"), Ending("x"), make_span("b")])
    assert (lost, requests[0].spans) == (1, 2)


def test_requests_are_split_by_size() -> None:
    """Requests stay within the size limit, and no span is lost."""
    spans = [make_span(f"s{n}", {"text": "x" * 900}) for n in range(100)]
    requests, lost = SpanEncoder(max_request_bytes=40_000).encode(spans)
    assert lost == 0
    assert all(len(request.content) <= 40_000 for request in requests)
    assert len(requests) == 3
    names = [s.name for r in requests for s in parse(r.content).resource_spans[0].scope_spans[0].spans]
    assert names == [f"s{n}" for n in range(100)]


def test_nothing_to_encode() -> None:
    """An empty batch is no request."""
    assert SpanEncoder().encode([]) == ([], 0)


def test_what_is_long_is_not_remembered() -> None:
    """A long key is not cached."""
    encoder = SpanEncoder()
    long = "k" * 300
    span = make_span(attributes={long: 1})
    for _ in range(2):
        (request,), _ = encoder.encode([span])
        assert parse(request.content) == encode_spans([span])
    assert long not in encoder._values._keys


def test_caches_are_bounded() -> None:
    """The caches have a size limit, and the encoding stays correct beyond it."""
    encoder = SpanEncoder()
    for n in range(6000):
        encoder.encode([make_span(attributes={f"key{n}": n, "id": f"v{n}"})])
    assert len(encoder._values._keys) <= 4096
    for n in range(300):
        encoder.encode([make_span(resource=Resource({"n": n}))])
    assert len(encoder._headers) <= 256
    span = make_span(attributes={"id": "v5999", "key1": 1})
    (request,), _ = encoder.encode([span])
    assert parse(request.content) == encode_spans([span])


def test_a_name_is_cut() -> None:
    """A span name is truncated like other text."""
    (request,), lost = SpanEncoder().encode([make_span("n" * 100_000)])
    assert lost == 0
    assert TEXT_LIMIT < len(request.content) < TEXT_LIMIT + 1000
