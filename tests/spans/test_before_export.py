"""``before_export`` reads, edits and drops the spans that are exported."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry.trace import SpanKind, StatusCode

from eco2_tracing import TracingSettings, configure_tracing, instrument_app, span, tracing_status
from eco2_tracing.testing import CapturedSpans, b3_headers


def served(before_export, path="/items/7", **headers) -> CapturedSpans:
    """Serve one request with two manual spans; return what is exported."""
    captured, app = CapturedSpans(), FastAPI()

    @app.get("/items/{item}")
    def item(item: str) -> str:
        with span("outer", attributes={"customer": item}), span("inner"):
            return item

    @app.get("/boom")
    def boom() -> None:
        raise ValueError("no such luck")

    configure_tracing(
        "shop",
        settings=TracingSettings(traces_exporter="none"),
        span_processors=[captured],
        before_export=before_export,
    )
    instrument_app(app)
    with TestClient(app, raise_server_exceptions=False) as client:
        client.get(path, headers=b3_headers(**headers))
    return captured


def test_it_sees_every_exported_span():
    """Server and manual spans, ended, with all that is derived from the request."""
    seen = []
    served(lambda each: seen.append((each.name, each.kind, dict(each.attributes))))
    assert [name for name, _, _ in seen] == ["inner", "outer", "GET /items/{item}"]
    assert seen[2][1] is SpanKind.SERVER
    assert seen[2][2]["http.response.status_code"] == 200
    assert seen[1][2] == {"customer": "7"}


def test_what_it_sets_is_exported():
    """By the public methods of a span, also of one whose attributes are derived."""

    def edit(each) -> None:
        each.set_attribute("team", "shop")
        each.set_attribute("url.path", "/somewhere")
        each.update_name(f"shop {each.name}")
        each.set_status(StatusCode.OK)
        each.add_event("edited")

    captured = served(edit)
    assert [each.name for each in captured.spans] == ["shop inner", "shop outer", "shop GET /items/{item}"]
    for each in captured.spans:
        assert (each.attributes["team"], each.attributes["url.path"]) == ("shop", "/somewhere")
        assert (each.status, [event.name for event in each.events]) == (StatusCode.OK, ["edited"])
    assert captured.spans[2].attributes["http.route"] == "/items/{item}"


def test_secrets_that_it_sets_are_masked():
    """Redaction comes after it."""

    def leak(each) -> None:
        each.set_attribute("app.password", "hunter2")
        each.set_attribute("note", "token=abcdef1234567890")
        each.update_name("token=abcdef1234567890")

    for each in served(leak).spans:
        assert "hunter2" not in str(each)
        assert "abcdef1234567890" not in str(each)


def test_false_drops_a_span():
    """Only ``False`` does, and the status counts it."""
    captured = served(lambda each: each.name != "inner")
    assert [each.name for each in captured.spans] == ["outer", "GET /items/{item}"]
    assert tracing_status().spans_dropped == {"before_export": 1}


@pytest.mark.parametrize("answer", [None, True, 0, "", []])
def test_anything_else_exports_it(answer):
    """A function that returns nothing drops nothing."""
    assert len(served(lambda _: answer).spans) == 3
    assert tracing_status().spans_dropped == {}


def test_one_that_raises(caplog):
    """The spans are exported, and one line says so."""
    assert len(served(lambda _: 1 / 0).spans) == 3
    assert len([record for record in caplog.records if "before_export" in record.message]) == 1


def test_the_spans_of_an_unsampled_request():
    """It is called for what is kept alone."""
    seen = []
    assert served(seen.append, sampled=False).spans == ()
    assert seen == []


def test_a_kept_trace():
    """The failed request at an unsampled caller."""
    captured = served(lambda each: each.set_attribute("team", "shop"), "/boom", sampled=False)
    assert [(each.name, each.attributes["team"]) for each in captured.spans] == [("GET /boom", "shop")]


def test_a_span_is_closed_again():
    """What runs later can set nothing."""
    kept = []
    captured = served(kept.append)
    kept[0].set_attribute("late", 1)
    assert not kept[0].is_recording()
    assert "late" not in captured.spans[0].attributes


@pytest.mark.parametrize("wrong", [5, "function", object()])
def test_what_is_no_function(wrong, caplog):
    """It is reported by its name, and spans are exported."""
    assert len(served(wrong).spans) == 3
    assert [record for record in caplog.records if "before_export" in record.message]


def test_an_async_function(caplog):
    """Nothing would await it: that is reported once, and spans are exported."""

    async def edit(each) -> bool:
        return False

    assert len(served(edit).spans) == 3
    assert [record for record in caplog.records if "before_export" in record.message]
