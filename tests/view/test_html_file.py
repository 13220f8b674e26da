"""A trace as one HTML file: what it shows, and that nothing in it is markup or script."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser

from eco2_tracing._view import html_file
from eco2_tracing._view.html_file import html_of
from tests.view.requests import BEGIN, TRACE, logs, request, shop, span
from tests.view.test_files import rich
from tests.view.test_trace import opened

_VOID = {"meta", "rect"}
_ELEMENTS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "main",
        "section",
        "h1",
        "h2",
        "p",
        "a",
        "b",
        "div",
    ),
    *("dl", "dt", "dd", "ol", "li", "details", "summary", "span", "pre", "svg", "rect"),
    *("table", "caption", "tr", "th", "td"),
}
_ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "class", "id", "href", "scope", "open"),
    *("viewbox", "preserveaspectratio", "aria-hidden", "x", "y", "width", "height"),
}


class Reader(HTMLParser):
    """Holds a document's elements, attributes and text, and how deep they are nested."""

    def __init__(self):
        super().__init__()
        self.elements, self.attributes, self.texts, self.lists = set(), {}, [], []
        self.stack, self.deepest = [], 0

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value)
        if tag not in _VOID and not self.get_starttag_text().endswith("/>"):
            self.stack.append(tag)
            self.deepest = max(self.deepest, len(self.stack))

    def handle_endtag(self, tag):
        if tag not in _VOID:
            assert self.stack.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def read(trace):
    """The document of a trace, with every element closed."""
    reader = Reader()
    text = html_of(trace)
    reader.feed(text)
    reader.close()
    assert reader.stack == []
    assert reader.elements <= _ELEMENTS
    assert reader.attributes.keys() <= _ATTRIBUTES
    return text, reader


def in_order(text, *parts):
    """Whether texts follow each other."""
    return re.search(".*?".join(map(re.escape, parts)), unescape(text), re.DOTALL) is not None


def test_what_the_file_shows():
    """The figures, the exception with its stack and a link, the tree with a log line in its place, and the details."""
    made = shop(error=True)
    (event,) = made.resource_spans[0].scope_spans[0].spans[0].events
    stack = 'Traceback (most recent call last):\n  File "shop.py", line 3\nValueError: no coupon'
    event.attributes.add(key="exception.stacktrace").value.string_value = stack
    raised = {"exception.type": "x.KeyError", "exception.message": "7", "exception.stacktrace": "a\nb"}
    text, _ = read(opened(made, logs(coupon="A7", **raised)))
    assert in_order(text, "<h1>GET /cart/{item}</h1>", TRACE, "2023-11-14 22:13:20.000 UTC", "90.0 ms")
    assert in_order(text, "3; errors: 1; log lines: 1", "shop, stock", "<h2>Exceptions</h2>")
    assert in_order(text, "<details open><summary>ValueError: no coupon", '#s0">shop GET /cart/{item}', stack)
    tree = text[text.index("Spans and log lines") :]
    assert in_order(
        tree, "shop</b> GET /cart/{item}", "✖ error 200", '<rect x="0"', "90.0 ms", "Attributes", "url.path",
        "/cart/7", "shop</b> GET /stock/7", '<rect x="1111" y="2" width="5555"', "stock</b> GET /stock", "blue chair",
        "+20 ms", "WARNING", "the cart is empty", "coupon=A7", "KeyError: 7", "<pre>a\nb</pre>", "Resources",
        "host.name",
    )  # fmt: skip


def test_a_log_line_is_in_its_place():
    """Between the children of its span, by time; one of a span that is not held is below the first."""
    made = request(
        span(1, name="root", end=90),
        span(2, 1, "before", start=1, end=9),
        span(3, 1, "after", start=40, end=50),
    )
    lost = logs(text="of no span", span_id=99)
    lost.resource_logs[0].scope_logs[0].log_records[0].severity_number = 17
    text, _ = read(opened(made, logs(text="between"), lost))
    assert in_order(text, "before", "between", "of no span", "after")
    assert '<li class="warning log d1">' in text
    assert '<li class="error log d1">' in text


def test_everything_of_a_span():
    """Kind, status, links, tracestate, scope and events."""
    text, _ = read(rich())
    assert in_order(text, "it broke", "tests", "a=b", "Event exception, 90.0 ms", "Link", "07" * 8)


def test_a_trace_of_log_records_alone():
    """It has no tree and no figures."""
    made = logs(text="alone")
    record = made.resource_logs[0].scope_logs[0].log_records[0]
    record.severity_number = 9
    text, _ = read(opened(made))
    assert in_order(text, "Trace without spans", '<li class="log d0"> <span class="level">INFO', "alone")
    assert "Resources" not in text


def test_a_browser_runs_and_loads_nothing():
    """Only the style element is allowed, by its hash; names, values and log lines are text."""
    hostile = "</style></pre><script>alert(1)</script><img src=x onerror=alert(1)>\"'\x1b[31m\u202e"
    made = request(span(1, name=hostile, error=True, **{hostile: hostile}), service=hostile)
    (event,) = made.resource_spans[0].scope_spans[0].spans[0].events
    event.attributes.add(key="exception.stacktrace").value.string_value = hostile
    event.name = "exception"
    text, reader = read(
        opened(made, logs(text=hostile, **{hostile: hostile, "exception.stacktrace": hostile}))
    )
    style = re.search("<style>(.*?)</style>", text, re.DOTALL)[1]
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in reader.attributes["content"]
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert all(re.fullmatch(r"#s\d+", link) for link in reader.attributes["href"])


def test_remarks_are_shown():
    """What is wrong with a trace is one of its facts."""
    text, _ = read(opened(request(span(1, 9, "lost"))))
    assert in_order(text, "Remark 1", "spans whose parent was not received: 1", "lost")


def test_deep_traces_are_flat_elements():
    """A browser cuts elements that are nested too deep."""
    deep = [span(at, at - 1 or "", f"n{at}", start=at, end=9000) for at in range(1, 5001)]
    text, reader = read(opened(request(*deep)))
    assert reader.deepest < 12
    assert in_order(text, "level 5000, ", "5000: <b>shop</b> n5000")
    assert 'class="d24 s0"' in text
    assert 'class="d25 s0"' not in text
    assert "more spans" not in text


def test_large_traces_are_bounded(monkeypatch):
    """Spans, log lines, events and bytes; the file says how much is left out."""
    root = span(1, name="root", end=30_000)
    made = request(root, *(span(at, 1, f"n{at}", start=at) for at in range(2, 5003)))
    events = made.resource_spans[0].scope_spans[0].spans[0].events
    for _ in range(70):
        events.add(name="tick", time_unix_nano=BEGIN)
    many = logs()
    records = many.resource_logs[0].scope_logs[0].log_records
    records.extend([records[0]] * 5001)
    text, _ = read(opened(made, many))
    assert in_order(text, "… 6 more events and links", "… 2 more spans", "… 2 more log lines")
    monkeypatch.setattr(html_file, "_MOST_BYTES", 10_000)
    text, _ = read(opened(made, logs(**{"exception.type": "x", "exception.stacktrace": "a"})))
    assert "The details are left out" in text
    assert len(text) < 4_000_000


def test_exceptions_without_a_message_or_type():
    """Each is listed once, the first three with their stacks."""
    spans = [span(at, error=True, start=at) for at in range(1, 7)]
    made = request(*spans)
    for at, one in enumerate(made.resource_spans[0].scope_spans[0].spans):
        one.events[0].ClearField("attributes")
        one.events.add(name="tick")
        if at:
            one.events[0].attributes.add(key="exception.type").value.string_value = f"Error{at % 4}"
    text, _ = read(opened(made))
    assert in_order(
        text, "<summary>exception", "<summary>Error1", "<summary>Error2", "<details><summary>Error3"
    )
    assert text.count("<summary>Error1") == 1
