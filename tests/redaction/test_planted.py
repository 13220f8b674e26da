"""Secrets in all values of spans and log lines are masked."""

from __future__ import annotations

import dataclasses
import json
import logging

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

from eco2_tracing import (
    TracingSettings,
    bind_log_fields,
    configure_logging,
    configure_tracing,
    instrument_app,
    logs,
    span,
)
from eco2_tracing._redaction import MASK, Redactor, truncate_front
from eco2_tracing._redaction.keys import COOKIES, EXACT, STRONG
from eco2_tracing.testing import CapturedSpans, b3_headers
from tests.support.requests import begin_request, end_request

from .planted import PLANTED, PROSE, SECRET, STATEMENTS

REMOTE_CONTEXT = SpanContext(1, 2, is_remote=True)


@pytest.mark.parametrize("text", PLANTED)
def test_texts(text):
    """Each form is masked, alone and in prose. Masking a masked text changes nothing."""
    redactor = Redactor()
    for around in (text, f"could not do it: {text}"):
        masked = redactor.text(around)
        assert SECRET not in masked
        assert redactor.text(masked) == masked


@pytest.mark.parametrize(
    "write",
    [
        repr, json.dumps, lambda text: repr([text]), lambda text: json.dumps(json.dumps(text)),
        lambda text: repr(text.encode()), lambda text: repr(ValueError(text)),
        lambda text: json.dumps({"a": {"b": [text]}}), lambda text: f"a, {text}, b",
        lambda text: f"failed ({text}) in 5 ms",
    ],
)  # fmt: skip
def test_texts_within_others(write):
    """Each form is masked within `repr`, JSON and the text of log messages."""
    redactor = Redactor()
    leaking = [text for text in PLANTED if SECRET in redactor.text(write(text))]
    assert leaking == []


@pytest.mark.parametrize("text", STATEMENTS)
def test_statements_as_messages(text):
    """A message that is a whole statement is masked, also without words such as `select`."""
    assert SECRET not in Redactor().text(text)


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("client_assertion", True), ("SAMLResponse", True), ("hmac", True), ("smtp.pass", True), ("DB_PASS", True),
        ("X-Hub-Signature-256", True), ("password_2", True), ("newPasswordHash", True), ("%2570assword", True),
        ("first_pass", False), ("method_signature", False), ("page_token_value", False), ("code_hash", False),
        ("2", False),
    ],
)  # fmt: skip
def test_names_of_fields(name, secret):
    """The last words of a name decide. Suffixes such as `new` and numbers are ignored."""
    assert (Redactor().attributes({name: SECRET}) == {name: MASK}) is secret


@pytest.mark.parametrize("name", [*STRONG, *EXACT, *COOKIES])
def test_every_name_is_searched(name):
    """The literal search finds each name, also in upper case, with dashes and without separators."""
    for written in (name, name.upper(), name.replace("_", "-"), name.replace("_", "")):
        assert Redactor().text(f"{written}={SECRET}") == f"{written}={MASK}"


@pytest.mark.parametrize("text", PROSE)
def test_prose_stays(text):
    """Lines that look like secrets and are none are kept."""
    assert Redactor().text(text) == text


@pytest.fixture
def stdout(capsys):
    """Return a function that reads the output to stdout since its last call."""
    yield lambda: capsys.readouterr().out
    logs.reset_logging()


@pytest.fixture
def seen():
    """Configure tracing and return the captured spans."""
    captured = CapturedSpans()
    configure_tracing(settings=TracingSettings(traces_exporter=("none",)), span_processors=(captured,))
    return captured


def leaks(captured):
    """Return the fields of spans that contain the secret."""
    return [
        (one.name, field.name, getattr(one, field.name))
        for one in captured.spans
        for field in dataclasses.fields(one)
        if SECRET in repr(getattr(one, field.name))
    ]


class Spilling(Exception):
    """An exception of the application."""


def spill(text):
    """Set a text in each field of the current span."""
    here = trace.get_current_span()
    here.update_name(text)
    here.set_attribute("note", text)
    here.set_attribute(text, "key")
    here.set_attributes(
        {"list": [text, 1], "nested": {"deep": [{"x": text, text: 1}]}, "bytes": text.encode()}
    )
    here.add_event(text, {"note": text})
    here.add_link(REMOTE_CONTEXT, {"note": text})
    here.set_status(Status(StatusCode.ERROR, text))
    error = Spilling(text)
    error.add_note(text)
    here.record_exception(error, {"more": text})


@pytest.mark.parametrize("sampled", [True, False])
def test_spans(seen, sampled):
    """All fields of server spans, manual spans and spans of other tracers are masked."""
    app = FastAPI()

    @app.get("/spill")
    def work(number: int):
        text = PLANTED[number]
        with span(text, attributes={"note": text}):
            spill(text)
        links = [Link(REMOTE_CONTEXT, {"note": text})]
        with trace.get_tracer("other").start_as_current_span(text, links=links, attributes={text: text}):
            spill(text)
        assert links[0].attributes == {"note": text}, "the application's own link was changed"
        spill(text)
        raise Spilling(text)

    instrument_app(app)
    with TestClient(app, raise_server_exceptions=False) as client:
        for number in range(len(PLANTED)):
            client.get(f"/spill?number={number}", headers=b3_headers(sampled=sampled))
    assert len(seen.spans) == 3 * len(PLANTED)
    assert leaks(seen) == []


def test_log_lines(seen, stdout):
    """Messages, arguments, extras, bound fields, logger names, exceptions and their notes are masked."""
    configure_logging()
    for text in PLANTED:
        log = logging.getLogger(text)
        token = begin_request()
        bind_log_fields(bound=text, **{"bound.nested": {"a": [text]}})
        log.warning(text)
        log.warning("failed: %s, %r", text, {"x": text})
        log.warning("m", extra={"note": text, text: "key", "labels": {"x": text}, "data": text.encode()})
        log.warning({"message": text, "note": [text]})
        try:
            raise Spilling(text) from ValueError(text)
        except Spilling as error:
            error.add_note(text)
            log.exception("caught")
        log.warning("m", stack_info=True)
        end_request(token)
    lines = stdout().splitlines()
    assert len(lines) == 6 * len(PLANTED)
    assert all(json.loads(line)["@timestamp"] for line in lines)
    leaking = [
        name for line in lines for name, value in json.loads(line).items() if SECRET in repr((name, value))
    ]
    assert not leaking, leaking


def test_requests_and_calls(stdout):
    """Paths, queries, captured headers, baggage and URLs of calls are masked."""
    captured = CapturedSpans()
    settings = TracingSettings(
        traces_exporter=("none",),
        http_capture_headers_server_request=".*",
        http_capture_headers_server_response=".*",
        http_capture_headers_client_request=".*",
        http_capture_headers_client_response=".*",
        redact_keys="x-patient",
        resource_attributes=f"db.password={SECRET},db.dsn=postgres://u:{SECRET}@h/d",
    )
    configure_tracing(settings=settings, span_processors=(captured,))
    configure_logging()
    app = FastAPI()
    headers = {
        "authorization": f"Bearer {SECRET}",
        "cookie": f"session={SECRET}",
        "x-api-key": SECRET,
        "x-patient": SECRET,
        "referer": f"https://h/?token={SECRET}",
        "x-original-uri": f"/a?code={SECRET}",
        "x-forwarded-header": f"Basic {SECRET}",
        "user-agent": f"agent (token={SECRET})",
    }
    transport = httpx.MockTransport(
        lambda _: httpx.Response(200, headers={**headers, "set-cookie": f"a={SECRET}"})
    )
    backend = httpx.Client(transport=transport)

    @app.get("/items/{item:path}")
    def items(request: Request):
        token = context.attach(baggage.set_baggage("password", SECRET))
        backend.get(
            f"https://u:{SECRET}@h.example/;token={SECRET}?api_key={SECRET}#id_token={SECRET}",
            headers=headers,
        )
        with span("inside"):
            logging.getLogger("app").warning("called %s with %s", request.url, request.headers)
        context.detach(token)
        raise Spilling(f"GET {request.url}")

    instrument_app(app)
    with TestClient(app, raise_server_exceptions=False) as client:
        client.get(f"/items/a;token={SECRET}/b?access_token={SECRET}&x=1", headers=headers)
    assert len(captured.spans) == 3
    assert leaks(captured) == []
    written = stdout()
    assert "called http://testserver/items" in written
    assert SECRET not in written
    assert captured.spans[0].attributes["http.request.header.x-patient"] == ("[REDACTED]",)


def test_a_long_stack_trace_keeps_its_end(seen):
    """Truncation removes whole frames from the front, so that no secret is separated from its name."""

    def deep(level):
        if not level:
            raise ValueError("x" * 3_000 + " bottom password=" + SECRET)
        try:
            deep(level - 1)
        except ValueError as error:
            raise ValueError(f"level {level} " + "y" * 3_000 + f" password={SECRET * 100}") from error

    with span("deep"), pytest.raises(ValueError):
        try:
            deep(30)
        except ValueError as error:
            trace.get_current_span().record_exception(error)
            raise
    for event in seen.one("deep").events:
        stack = event.attributes["exception.stacktrace"]
        assert len(stack) <= 32 * 1024
        assert "level 30" in stack
        assert SECRET not in stack


@pytest.mark.parametrize("limit", range(1, 60))
def test_truncation_splits_no_secret(limit):
    """A URL with a password is removed if truncation would remove its host."""
    text = f"see postgres://bob:{SECRET}@db/x and more"
    assert "S3C" not in Redactor(limit=limit).text(text)
    assert "S3C" not in Redactor(limit=limit).url(text)


def test_truncation_at_the_front():
    """The kept end of a text begins at a mark. A text without a mark is omitted."""
    assert truncate_front("a\nb\nc", 3, "\n") == "…\nc"
    assert truncate_front("abcdef", 3, "\n") == "…"
    assert truncate_front("abc", 3, "\n") == "abc"


def test_keys_and_values_of_odd_shapes():
    """Nested values, bytes, names that contain secrets and long lists are masked and limited."""
    redactor = Redactor(["patient"])
    deep: list[object] = [f"token={SECRET}"]
    for _ in range(40):
        deep = [deep]
    given_: dict[str, object] = {
        "clean": {"a": [1, b"x", None], "b": "c"},
        "patient": {"a": 1},
        "bytes": f"password={SECRET}".encode(),
        "long bytes": b"x" * 20_000,
        "nested": {"password": SECRET, "x": [{"url": f"https://u:{SECRET}@h"}], 5: "x"},
        "deep": deep,
        "deeper": {"a": deep},
        f"token={SECRET}": SECRET[:2],
        "many": ["x"] * 5_000,
        "number": 5,
    }
    masked = redactor.attributes(given_)
    assert SECRET not in repr(masked)
    assert masked["clean"] is given_["clean"]
    assert masked["patient"] == MASK
    assert len(masked["many"]) == 1024
    assert len(redactor.value("many keys", {str(number): 1 for number in range(5_000)})) == 1024
    assert len(masked["long bytes"]) == 16 * 1024
    assert f"token={MASK}" in masked
    assert list(masked)[-1] == "number"


def test_rejected_input_of_validation(seen, stdout):
    """The rejected input in pydantic's errors is masked, in mappings and in texts."""
    configure_logging()
    app = FastAPI()

    @app.get("/")
    def handler(password: int):
        """Reject a password that is not a number."""

    @app.exception_handler(RequestValidationError)
    def refused(request, error):
        logging.getLogger("app").warning("refused: %s", error, extra={"errors": error.errors()})
        logging.getLogger("app").warning({"message": "refused", "detail": error.errors()})
        trace.get_current_span().set_attribute("errors", str(error))
        trace.get_current_span().set_attribute("detail", error.errors()[0])
        return JSONResponse({})

    instrument_app(app)
    with TestClient(app) as client:
        client.get(f"/?password={SECRET}")
    assert leaks(seen) == []
    assert "refused" in (lines := stdout())
    assert SECRET not in lines


class Kept(SpanProcessor):
    """Keeps the exported spans."""

    def __init__(self):
        self.spans = []

    def on_end(self, span):
        self.spans.append(span)


def test_masking_keeps_dropped_counts():
    """Masking keeps the counts of dropped attributes and links."""
    captured, kept = CapturedSpans(), Kept()
    limits = TracingSettings(traces_exporter=("none",), attribute_count_limit=2, span_link_count_limit=1)
    configure_tracing(settings=limits, span_processors=(captured, kept))
    secrets = {"a": f"token={SECRET}", "b": f"password={SECRET}", "c": f"pwd={SECRET}"}
    links = [Link(REMOTE_CONTEXT, secrets)] * 2
    with trace.get_tracer("other").start_as_current_span(
        "limited", links=links, attributes=secrets
    ) as limited:
        limited.add_event("event", secrets)
    assert leaks(captured) == []
    (exported,) = kept.spans
    assert exported.dropped_attributes == exported.events[0].dropped_attributes == 1
    assert (len(exported.links), exported.dropped_links) == (1, 1)


def test_the_cache_of_names_is_limited():
    """The cache of names has limits for entries and their length."""
    redactor = Redactor()
    for number in range(5_000):
        assert redactor.name(f"GET /{number}") == f"GET /{number}"
        redactor.attributes({f"key {number}": 1})
    assert len(redactor.name("x" * 10_000_000)) == 1024
    assert len(next(iter(redactor.attributes({"y" * 10_000_000: 1})))) == 1024
    assert redactor.name(f"GET https://u:{SECRET}@h/") == f"GET https://{MASK}:{MASK}@h/"
    assert redactor.name(7) == "7"
    sizes = [len(redactor._names), len(redactor._kinds)]
    assert max(sizes) <= 2048
    assert all(len(str(key)) <= 256 for held in (redactor._names, redactor._kinds) for key in held)


@given(st.text(max_size=60), st.sampled_from(PLANTED), st.text(max_size=60))
def test_a_secret_between_any_lines_is_masked(before, planted, after):
    """A secret on its own line is masked with any text before and after it."""
    masked = Redactor().text(f"{before}\n{planted}\n{after}")
    assert SECRET not in masked


WRITTEN = st.sampled_from([str, repr, lambda text: repr([text]), lambda text: repr(repr(text)), json.dumps])
NESTED = st.recursive(
    st.sampled_from(["a", 1, None, "]", "}", '"', "'"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=5,
)


@given(st.text("ab\\\"' ,:", max_size=8), WRITTEN)
def test_quotes_in_a_secret(before, write):
    """A secret with quotes and backslashes is masked in JSON and `repr`, also if they are nested."""
    assert SECRET not in Redactor().text(write(json.dumps({"password": before + SECRET})))


@given(NESTED, st.sampled_from([None, 1, 4]))
def test_nested_values_of_a_secret_name(beside, indent):
    """Nested lists and objects under a secret name are masked whole, on one line and on several lines."""
    text = json.dumps({"secret": [beside, SECRET], "other": 1}, indent=indent)
    masked = Redactor().text(text)
    assert SECRET not in masked
    assert '"other": 1' in masked
