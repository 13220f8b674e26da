"""For any bytes, nothing is raised and nothing invalid is sent on."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry import baggage
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import SpanContext, TraceFlags, get_current_span

from eco2_tracing.propagation import Propagation, read_server_timing, read_trace_response

from .test_vectors import raw
from .vectors import S1, T1, T2, multi, w3c

NAMES = [
    b"b3", b"x-b3-traceid", b"x-b3-spanid", b"x-b3-parentspanid", b"x-b3-sampled", b"x-b3-flags", b"traceparent",
    b"tracestate", b"baggage", b"x-request-id", b"host", b"cookie",
]  # fmt: skip
VALID = [
    T1.encode(), S1.encode(), b"0", b"1", b"d", b"true", f"{T1}-{S1}-1".encode(), f"00-{T1}-{S1}-01".encode(),
    f"00-{T2}-{S1}-00".encode(), b"a=1,b=2", b"", b"a=1;p=2", b"%", b"%EA%B9", b"=" * 50, b"," * 600, b"\x00",
]  # fmt: skip
PIECES = st.lists(st.sampled_from([*VALID, b"-", b",", b"=", b" ", b"\t", b"\xff", b"A", b";"]), max_size=6)
VALUES = st.one_of(st.binary(max_size=80), st.sampled_from(VALID), PIECES.map(b"".join))
HEADERS = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=14)
SENT = {
    "x-b3-traceid": r"[0-9a-f]{32}",
    "x-b3-spanid": r"[0-9a-f]{16}",
    "x-b3-sampled": r"[01]",
    "x-b3-flags": r"1",
    "traceparent": r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]",
    "tracestate": r"[ -~]{1,512}",
    "baggage": r"[!-~ \t]{1,8192}",
    "x-request-id": r"[!-~]{1,128}",
}
PROPAGATION = Propagation()


@pytest.fixture
def quiet(caplog):
    """Nothing is logged: the guard caught nothing."""
    yield
    assert caplog.records == []


@pytest.mark.usefixtures("quiet")
@given(HEADERS)
def test_any_headers(headers: list[tuple[bytes, bytes]]):
    """Any values: no exception, no warning, valid output, the same through both interfaces."""
    inbound = PROPAGATION.extract_headers(headers)
    carrier: dict[str, list[str]] = {}
    for name, value in headers:
        carrier.setdefault(name.decode(), []).append(value.decode("latin-1"))
    extracted = PROPAGATION.extract(carrier)
    if inbound is None:
        assert extracted == {}
        return
    context = PROPAGATION.context(inbound)
    span_context = get_current_span(context).get_span_context()
    assert get_current_span(extracted).get_span_context() == span_context
    for own in (True, False):
        for name, sent in PROPAGATION.inject_headers(span_context, context, internal=own):
            assert re.fullmatch(SENT[name.decode()], sent.decode("ascii"))


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("name", NAMES[:10], ids=bytes.decode)
def test_every_byte_in_every_header(name: bytes):
    """Every byte alone, inside and after a valid value, in every header that is read."""
    for byte in range(256):
        for value in VALID:
            for hostile in (bytes([byte]), value[:3] + bytes([byte]) + value[4:], value + bytes([byte])):
                beside = [pair for pair in raw(multi(sampled="1")) if pair[0] != name]
                PROPAGATION.extract_headers([(name, hostile), *beside])


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("name", NAMES[:10], ids=bytes.decode)
def test_huge_and_repeated(name: bytes):
    """A header of 10 MB, and one that is there 20 000 times."""
    for value in (b"a" * 10_000_000, b"1=" * 5_000_000, b"a=1," * 2_500_000):
        PROPAGATION.extract_headers([(name, value)])
    for value in (b"a=1", T1.encode(), b""):
        PROPAGATION.extract_headers([(name, value)] * 20_000)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"b3",)],
        [(b"b3", b"1", b"2")],
        [None],
        None,
        7,
        [(b"b3", None)],
        [(b"x-b3-traceid", 7), (b"x-b3-spanid", 7)],
        [([], b"1")],
        [("b3", "1")],
        [(b"traceparent", "00-")],
        ["ab"],
    ],
    ids=repr,
)
def test_what_no_server_sends(headers):
    """Nothing is extracted from objects that are no header lists."""
    assert PROPAGATION.extract_headers(headers) is None


def test_lists_as_pairs():
    """Some servers pass lists in place of tuples."""
    inbound = PROPAGATION.extract_headers([list(pair) for pair in raw(multi(sampled="1"))])  # type: ignore[arg-type]
    assert inbound is not None
    assert inbound.trace_id == int(T1, 16)
    assert PROPAGATION.extract_headers(tuple(raw(multi(sampled="1")))) is not None
    assert PROPAGATION.extract_headers(iter(raw(multi(sampled="1")))) is not None


class Awkward(Getter[dict]):
    """A getter that returns strings, as some libraries have it, or raises."""

    def get(self, carrier, key):
        return carrier.get(key)

    def keys(self, carrier):
        return carrier["keys"]


def test_carriers():
    """Getters that return a string, return no keys, or raise."""
    value = f"{T1}-{S1}-1"
    extracted = PROPAGATION.extract({"b3": value, "keys": []}, getter=Awkward())
    assert get_current_span(extracted).get_span_context().trace_id == int(T1, 16)
    assert PROPAGATION.extract({"b3": value}, getter=Awkward()) == {}
    assert PROPAGATION.extract({"b3": 7, "keys": []}, getter=Awkward()) == {}
    assert PROPAGATION.extract({"b3": "\ud800", "keys": ["\ud800"]}, getter=Awkward()) == {}


IDS = st.tuples(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 3))
KEYS = st.text(string.ascii_lowercase, min_size=1, max_size=8)


@given(IDS, st.dictionaries(KEYS, st.text(max_size=20), max_size=5))
@example((1, 1, 0), {})
def test_round_trip(ids: tuple[int, int, int], members: dict[str, str]):
    """Injected headers are extracted again: ids, decision, random flag and baggage."""
    trace_id, span_id, flags = ids
    context = Context()
    for key, value in members.items():
        context = baggage.set_baggage(key, value, context)
    pairs = PROPAGATION.inject_headers(
        SpanContext(trace_id, span_id, False, TraceFlags(flags)), context, internal=True
    )
    inbound = PROPAGATION.extract_headers(pairs)
    assert inbound is not None
    expected = SpanContext(trace_id, span_id, True, TraceFlags(flags))
    received = PROPAGATION.context(inbound)
    assert get_current_span(received).get_span_context() == expected
    clean = {key: value.encode("utf-8", "replace").decode() for key, value in members.items()}
    assert dict(baggage.get_all(received)) == clean


@given(st.lists(VALUES, max_size=5))
def test_any_response_header(values: list[bytes]):
    """A response never raises either."""
    read_server_timing([b"trace;desc=" + value for value in values])
    for value in values:
        read_trace_response(value)


ADDRESSES = st.tuples(st.sampled_from(["::1%", "fe80::1%", "127.0.0.1", "a.svc"]), st.text(max_size=9)).map(
    "".join
)


@given(st.text(max_size=300) | ADDRESSES)
def test_any_host(host: str):
    """No host raises; none with a character that is invalid in names is internal."""
    own = PROPAGATION.is_internal_host(host)
    assert not own or re.fullmatch(r"[a-z0-9._:%\[\]-]+", host.strip().lower())


def test_stale_w3c_is_not_parsed_in_vain():
    """A stale traceparent that can add nothing changes nothing."""
    for headers in (w3c(), [("traceparent", "junk-00")], [("traceparent", "")]):
        inbound = PROPAGATION.extract_headers(raw(multi(sampled="0") + headers))
        assert inbound is not None
        assert (inbound.trace_id, inbound.sampled, inbound.random) == (int(T1, 16), False, 0)
