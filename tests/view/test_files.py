"""Exported traces, each opened again; and what a file may be."""

from __future__ import annotations

import json
import re
from urllib.request import Request, urlopen

import pytest

from eco2_tracing._view.files import exported, traces_of
from eco2_tracing._view.trace import StoredTrace
from tests.support.jaeger import jaeger, wait_for_trace
from tests.view.requests import OTHER, TRACE, logs, request, shop, span
from tests.view.test_trace import opened

__all__ = ["jaeger"]


def rich():
    """A trace with what each format must keep."""
    made = shop(error=True)
    first = made.resource_spans[0].scope_spans[0].spans[0]
    first.trace_state = "a=b"
    first.links.add(trace_id=bytes.fromhex(OTHER), span_id=b"\7" * 8)
    first.attributes.add(key="share").value.double_value = 0.5
    first.attributes.add(key="yes").value.bool_value = True
    first.attributes.add(key="size").value.int_value = 7
    first.status.message = "it broke"
    made.resource_spans[1].scope_spans[0].spans[0].status.code = 1
    made.resource_spans[1].scope_spans[0].ClearField("scope")
    return opened(made, logs())


def test_otlp_is_opened_again():
    """With its log records."""
    (again,) = traces_of(exported(rich(), "otlp"))
    assert again.spans == rich().spans
    assert again.lines == rich().lines


def test_jaeger_is_opened_again():
    """Kinds, statuses, events, links and resources come back."""
    (again,) = traces_of(exported(rich(), "jaeger"))
    assert list(again.spans) == list(rich().spans)


def comparable(trace):
    """A trace of Jaeger's JSON in one order, without what Jaeger adds."""
    processes = {
        key: (each["serviceName"], sorted((tag["key"], tag["value"]) for tag in each["tags"]))
        for key, each in trace["processes"].items()
    }
    return sorted(
        (
            span["spanID"], span["operationName"], span["startTime"], span["duration"], processes[span["processID"]],
            sorted((tag["key"], tag["type"], str(tag["value"])) for tag in span["tags"]),
            sorted((one["refType"], one["traceID"], one["spanID"]) for one in span["references"]),
            [sorted((field["key"], field["value"]) for field in log["fields"]) for log in span["logs"]],
        )
        for span in trace["spans"]
    )  # fmt: skip


def test_jaeger_gives_the_same_json(jaeger):
    """Jaeger receives the trace over OTLP; its API returns what is exported here. It takes the OTLP JSON too."""
    body = exported(opened(rich().request), "otlp")
    sent = Request(f"{jaeger.otlp_http}/v1/traces", body, {"content-type": "application/json"})
    with urlopen(sent, timeout=20) as response:
        assert response.status == 200
    wait_for_trace(jaeger, TRACE, 3)
    with urlopen(f"{jaeger.query}/api/traces/{TRACE}", timeout=20) as response:
        theirs = json.load(response)
    ours = json.loads(exported(rich(), "jaeger"))
    assert comparable(theirs["data"][0]) == comparable(ours["data"][0])
    assert theirs.keys() == ours.keys()


def test_markdown_is_text():
    """Names are no markup, and the fence is longer than what is in it."""
    made = request(span(1, name="<b>`x`</b> ````", error=True))
    text = exported(opened(made), "md").decode()
    title, *_ = text.splitlines()
    assert title == r"### \<b\>\`x\`\</b\> \`\`\`\`"
    fences = re.findall(r"^`{3,}", text, re.MULTILINE)
    assert [len(fence) for fence in fences] == [5, 5, 3, 3]
    assert f"- Trace: `{TRACE}`" in text
    assert "errors: 1" in text
    assert "ValueError: no coupon" in text


def test_markdown_without_spans():
    """A trace of log records has them, and remarks have their lines."""
    assert exported(opened(logs()), "md").decode().startswith("### Trace without spans")
    assert "- roots beside the first: 1" in exported(opened(request(span(1), span(2))), "md").decode()


def test_a_file_of_several_documents():
    """One on each line, as collectors write them."""
    body = b"\n".join(exported(one, "otlp").replace(b"\n", b"") for one in (opened(shop()), opened(logs())))
    body += (
        b"\n"
        + json.dumps(
            json.loads(
                exported(StoredTrace.of_chunks(OTHER, [("traces", shop(OTHER).SerializeToString())]), "otlp")
            )
        ).encode()
    )
    first, second = traces_of(b"\xef\xbb\xbf" + body)
    assert (first.trace_id, len(first.spans), len(first.lines)) == (TRACE, 3, 1)
    assert second.trace_id == OTHER


@pytest.mark.parametrize(
    "body",
    [
        b"no JSON",
        b"[]",
        b"{}",
        b'{"data": 7}',
        b'{"data": [7]}',
        b'{"data": [{"spans": [{}], "processes": {}}]}',
        b'{"resourceSpans": 7}',
    ],
)
def test_other_files_are_refused(body):
    """With an error of one class."""
    with pytest.raises(ValueError, match=r"JSON|OTLP"):
        traces_of(body)


def test_jaegers_own_tracers_are_read():
    """Short ids, the tag `error` without a status, and several references."""
    spans = [
        {
            "traceID": "1f", "spanID": "2", "operationName": "x", "startTime": 5, "duration": 2, "processID": "p1",
            "tags": [{"key": "error", "type": "bool", "value": True}, {"key": "f", "type": "float64", "value": 1}],
            "references": [
                {"refType": "CHILD_OF", "traceID": "1f", "spanID": "1"},
                {"refType": "CHILD_OF", "traceID": "1f", "spanID": "3"},
            ],
            "logs": [{"timestamp": 6, "fields": [{"key": "level", "type": "string", "value": "info"}]}],
        },
        {"traceID": "1f", "spanID": "3", "startTime": 5, "processID": "p2"},
    ]  # fmt: skip
    body = json.dumps(
        {"data": [{"traceID": "1f", "spans": spans, "processes": {"p1": {"serviceName": "old"}}}]}
    )
    (trace,) = traces_of(body.encode())
    first, second = trace.spans
    assert (trace.trace_id, first.is_error, first.service, first.attributes) == (
        "1f".zfill(32),
        True,
        "old",
        {"f": 1.0},
    )
    assert (first.parent_span_id, first.links[0].span_id) == ("1".zfill(16), "3".zfill(16))
    assert (first.events[0].name, second.service) == ("", "")
