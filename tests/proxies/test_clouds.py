"""Behind emulated proxies: which trace the service continues, with and without trace headers of the client."""

from __future__ import annotations

import re
from fnmatch import fnmatch

import pytest
from fastapi.testclient import TestClient
from opentelemetry.trace import SpanKind

from eco2_tracing.testing import ReceivedSpan
from tests.proxies.app import app
from tests.proxies.clients import B3_MULTI, CLIENTS, DENY, JOINED, NOTHING, W3C, Client, Seen, outcome
from tests.proxies.clouds import CLOUDS, SPAN, TRACE, amazon, google
from tests.proxies.fronts import PAGE, dotenv
from tests.support.sections import row

CLOUD_TITLES = {cloud.title for cloud in CLOUDS}


def capturing(request, monkeypatch, setting):
    """Set variables, then capture spans."""
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    return request.getfixturevalue("captured_spans")


def send(headers):
    """Send a request to the service; return the context that it continued."""
    return Seen(**TestClient(app).get("/items/7", headers=headers).json())


def exported(cloud, headers):
    """The span of a proxy that exports to the same back end."""
    parts = headers.get("traceparent", "").split("-")
    ids = parts[1:3] or [headers.get("X-B3-TraceId"), headers.get("X-B3-SpanId")]
    if not cloud.exports or SPAN not in ids:
        return ()
    return (ReceivedSpan("proxy", SpanKind.SERVER, *ids),)


def outcomes(cloud):
    """What becomes of a request without trace headers, and of each client with headers."""
    found = []
    for number, kind in enumerate(CLIENTS, 1):
        client = Client(kind, number)
        headers = cloud.forward(client)
        found.append(outcome(client, send(headers), exported(cloud, headers)))
    return found


@pytest.mark.parametrize("cloud", CLOUDS, ids=lambda cloud: f"{cloud.title}, {cloud.shown}")
def test_table_has_what_the_service_continued(cloud, request, monkeypatch):
    """Each row is what the service does with that setting."""
    capturing(request, monkeypatch, cloud.setting)
    found = row([cloud.title, cloud.shown, *outcomes(cloud)])
    shown = [row(cells) for cells in PAGE.rows("Emulated")]
    assert found in shown, found


def test_table_has_no_other_rows():
    """Each row of the page is one of these."""
    shown = [cells[:2] for cells in PAGE.rows("Emulated")]
    assert shown == [[cloud.title, cloud.shown] for cloud in CLOUDS]


@pytest.mark.parametrize("cloud", CLOUDS, ids=lambda cloud: f"{cloud.title}, {cloud.shown}")
def test_decision_is_that_of_the_continued_context(cloud, request, monkeypatch):
    """A client's decision counts only where the client's trace is continued."""
    capturing(request, monkeypatch, cloud.setting)
    for kind in CLIENTS:
        sampled, unsampled = Client(kind, 1), Client(kind, 2, sampled=False)
        if kind in {NOTHING, DENY} or cloud.forward is google:
            continue
        first = send(cloud.forward(sampled))
        second = send(cloud.forward(unsampled))
        follows = outcome(sampled, first, exported(cloud, cloud.forward(sampled))) == JOINED
        assert second.sampled is not follows, kind


def sent_by(cloud):
    """The headers that it adds for a client without trace headers, or else for each client that has some."""
    names = set(cloud.forward(Client(NOTHING, 1)))
    return names or {name for kind in (W3C, B3_MULTI) for name in cloud.forward(Client(kind, 1))}


@pytest.mark.parametrize(
    "cells", PAGE.first_rows[6:], ids=lambda cells: cells[0].partition("]")[0].strip("[")
)
def test_first_table_has_what_it_sends_and_what_to_set(cells):
    """Each header of the first table is sent, and the setting is a row of the table of emulations."""
    link, sends, setting, _ = cells
    section = next(title for title in CLOUD_TITLES if f"(#{title.lower().replace(' ', '-')})" in link)
    rows = [cloud for cloud in CLOUDS if cloud.title == section]
    assert setting in {cloud.shown for cloud in rows}
    sent = sorted(name.lower() for name in sent_by(rows[0]))
    for name in re.findall("`([^`]+)`", sends):
        assert any(fnmatch(one, name.lower()) for one in sent), name


@pytest.mark.parametrize("title", ["AWS ALB", "Azure Front Door", "Cloudflare"])
def test_id_is_recorded(title, request, monkeypatch):
    """With the section's variables, the server span has the attribute that the section names."""
    (setting, *_) = map(dotenv, PAGE.blocks("dotenv", title))
    spans = capturing(request, monkeypatch, setting)
    (forward,) = {cloud.forward for cloud in CLOUDS if cloud.title == title}
    send(forward(Client(NOTHING, 1)))
    name = f"http.request.header.{setting['OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST']}"
    assert f"`{name}`" in PAGE.section(title)
    assert spans.spans[0].attributes[name]


def test_xray_parent_is_continued(request, monkeypatch):
    """With the propagator `xray`, a header that has a parent and a decision is continued, as from API Gateway."""
    pytest.importorskip(
        "opentelemetry.propagators.aws", reason="pip install opentelemetry-propagator-aws-xray"
    )
    *_, setting = map(dotenv, PAGE.blocks("dotenv", "AWS ALB"))
    capturing(request, monkeypatch, setting)
    header = amazon(Client(NOTHING, 1))["X-Amzn-Trace-Id"]
    seen = send({"X-Amzn-Trace-Id": f"{header};Parent={SPAN};Sampled=1"})
    assert (seen.trace, seen.parent, seen.sampled) == ("67891233abcdef012345678912345678", SPAN, True)


def test_google_decides_unless_the_sampler_ignores_it(request, monkeypatch):
    """Google's decision is followed; the sampler of the section samples by the trace id."""
    first, last = map(dotenv, PAGE.blocks("dotenv", "Google"))
    monkeypatch.setenv("OTEL_PROPAGATORS", first["OTEL_PROPAGATORS"])
    capturing(request, monkeypatch, {**last, "OTEL_TRACES_SAMPLER_ARG": "1"})
    seen = send(google(Client(NOTHING, 1, sampled=False)))
    assert (seen.trace, seen.parent, seen.sampled) == (TRACE, SPAN, True)


def test_google_is_followed(request, monkeypatch):
    """Without that sampler an unsampled request stays unsampled."""
    capturing(request, monkeypatch, dict([next(iter(dotenv(PAGE.blocks("dotenv", "Google")[0]).items()))]))
    assert not send(google(Client(NOTHING, 1, sampled=False))).sampled
