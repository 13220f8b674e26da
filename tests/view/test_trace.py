"""A trace that is opened: its trees, whatever its spans say, and its text."""

from __future__ import annotations

import pytest

from eco2_tracing._console.terminal import Screen
from eco2_tracing._view import json_views
from eco2_tracing._view.draw import text_of_trace
from eco2_tracing._view.json_views import trace_view
from eco2_tracing._view.rows import forest_of, rows_of
from eco2_tracing._view.trace import StoredTrace
from tests.view.requests import BEGIN, CLIENT, SERVER, TRACE, logs, request, shop, span

PLAIN = Screen(colour=False, width=100)


def opened(*requests):
    """A trace of some requests."""
    chunks = [
        ("logs" if "resource_logs" in one.DESCRIPTOR.fields_by_name else "traces", one.SerializeToString())
        for one in requests
    ]
    return StoredTrace.of_chunks(TRACE, chunks)


def test_the_text_of_a_trace():
    """One line about it, its tree with services, log lines, and exceptions."""
    text = text_of_trace(opened(shop(error=True), logs()), PLAIN)
    first, *rest = text.splitlines()
    assert "GET /cart/{item}" in first
    assert "200" in first
    assert [word in text for word in ("shop GET /cart/{item}", "stock GET /stock", "the cart is empty")] == [
        True
    ] * 3
    assert "  ValueError: no coupon" in rest


def test_a_trace_of_log_records_alone():
    """They are shown without a tree."""
    text = text_of_trace(opened(logs(text="early")), PLAIN)
    assert text.startswith(f"{TRACE}\n")
    assert "early" in text


def test_log_records_become_log_lines():
    """Levels, bodies of any type, exceptions, and the latest time."""
    made = logs(**{"exception.type": "ValueError", "message": "other", "size": 7, "long": "x" * 20_000})
    records = made.resource_logs[0].scope_logs[0].log_records
    records.add(
        trace_id=bytes.fromhex(TRACE), time_unix_nano=2**64 - 1, severity_text="LOUD"
    ).body.int_value = 5
    records.add(trace_id=bytes.fromhex(TRACE), observed_time_unix_nano=BEGIN, severity_number=1)
    debug, first, last = opened(made).lines
    assert (first["error.type"], first["labels.message"], first["size"], len(first["long"])) == (
        "ValueError", "other", 7, 16_384,
    )  # fmt: skip
    assert (last["message"], last["log.level"], last["@timestamp"][:4]) == ("5", "loud", "2554")
    assert (debug["message"], debug["log.level"]) == ("", "debug")


def parents(*spans):
    """The index of each span's parent, and the remarks."""
    forest = forest_of(opened(request(*spans)))
    assert len(rows_of(forest)) == len({row.span_id for row in rows_of(forest)})
    text_of_trace(opened(request(*spans)), PLAIN)  # whatever it is, it can be drawn
    return list(forest.parents), list(forest.remarks)


@pytest.mark.parametrize(
    ("spans", "expected", "remark"),
    [
        ([span(1), span(2, 1)], [-1, 0], None),
        ([span(1), span(1)], [-1], "repetitions of spans: 1"),
        ([span(1, start=0), span(1, start=5)], [-1, -1], "spans with the id of another: 1"),
        ([span(2, 9), span(3, 2)], [-1, 0], "spans whose parent was not received: 1"),
        ([span(1), span(2)], [-1, -1], "roots beside the first: 1"),
        ([span(1, 1)], [-1], "spans whose parent was not received: 1"),
        ([span(1, 2, start=1), span(2, 3), span(3, 1, start=2)], [-1, 0, 1], "cycles of parents, which are cut: 1"),
        ([span(1, start=5), span(2, 1, start=1)], [1, -1], "spans that start before their parent, as with clocks"),
        ([span(1, end=-3)], [-1], "spans that end before their start: 1"),
    ],
)  # fmt: skip
def test_hostile_traces_are_trees_with_remarks(spans, expected, remark):
    """Repetitions, equal ids, missing parents, several roots, cycles and clocks that differ."""
    found, remarks = parents(*spans)
    assert found == expected
    assert (remark is None) is (not remarks)
    assert remark is None or any(each.startswith(remark) for each in remarks)


def test_a_shared_span_of_zipkin_is_below_its_client_span():
    """Both have one id; a child belongs to the span of its own service."""
    made = request(span(1, kind=CLIENT, end=90), service="edge")
    request(span(1, kind=SERVER, start=5, end=80), span(2, 1, start=6), service="shop", into=made)
    assert list(forest_of(opened(made)).parents) == [-1, 0, 1]


def test_deep_and_wide_traces_are_drawn():
    """Ten thousand spans below each other, and a thousand with one id."""
    deep = [span(at, at - 1 or "", start=at, end=20_000) for at in range(1, 10_001)]
    text = text_of_trace(opened(request(*deep)), PLAIN)
    assert "… 9900 more spans" in text
    wide = [span(1, start=at) for at in range(1000)]
    assert forest_of(opened(request(*wide))).remarks[0] == "spans with the id of another: 999"


def test_texts_are_escaped_and_cut():
    """A terminal acts on none of them."""
    hostile = "\x1b[31m<script>\u202e"
    made = request(span(1, name=hostile * 2000, error=True, **{f"a{at}": "x" * 20_000 for at in range(300)}))
    (row,) = rows_of(forest_of(opened(made)))
    assert len(row.name) == 16_384
    assert (len(row.attributes), row.attributes["…"]) == (257, "44 more attributes")
    assert len(row.attributes["a0"]) == 16_385
    text = text_of_trace(opened(made), PLAIN)
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_json_has_every_kind_of_value():
    """Numbers that JavaScript has not exactly are texts."""
    made = request(
        span(
            1,
            whole=7,
            large=2**60,
            nan=float("nan"),
            half=0.5,
            yes=True,
            raw=b"\x01",
            many=["a"],
            map={"k": 1},
            no=None,
        )
    )
    each = made.resource_spans[0].scope_spans[0].spans[0]
    each.links.add(trace_id=b"\1" * 16, span_id=b"\2" * 8)
    (found,) = trace_view(opened(made))["spans"]
    assert found["attributes"] == {
        "whole": 7, "large": str(2**60), "nan": "nan", "half": 0.5, "yes": True, "raw": "01", "many": ["a"],
        "map": {"k": 1}, "no": None,
    }  # fmt: skip
    assert found["links"][0]["span_id"] == "02" * 8


def test_json_of_a_trace_is_bounded(monkeypatch):
    """What is left out is counted."""
    monkeypatch.setattr(json_views, "_MOST_SPANS", 2)
    monkeypatch.setattr(json_views, "_MOST_LINES", 0)
    view = trace_view(opened(shop(), logs()))
    assert (len(view["spans"]), view["more_spans"], view["more_logs"]) == (2, 1, 1)
    assert trace_view(opened(logs()))["spans"] == []
