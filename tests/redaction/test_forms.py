"""The secrets of the lists in `data/` are masked, and the ordinary texts are kept."""

from __future__ import annotations

import io
import json
import logging
from urllib.parse import quote, quote_plus

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

from eco2_tracing import TracingSettings, bind_log_fields, configure_tracing, instrument_app, span
from eco2_tracing._redaction import MASK, Redactor
from eco2_tracing.logs import EcsFormatter
from eco2_tracing.testing import CapturedSpans
from tests.support.requests import begin_request, end_request

from .forms import BENIGN_KEYS, BENIGN_TEXTS, FORMS, SECRET, TOKENS

ALL = [*FORMS, *TOKENS]
WAYS = {
    "text": lambda redactor, text: redactor.text(text),
    "prose": lambda redactor, text: redactor.text(f"could not do it: {text} (now)"),
    "attribute": lambda redactor, text: redactor.value("note", text),
    "list": lambda redactor, text: redactor.value("note", ["a", text]),
    "repr": lambda redactor, text: redactor.text(repr([text])),
    "json": lambda redactor, text: redactor.text(json.dumps({"a": text})),
    "other json": lambda redactor, text: redactor.text(json.dumps({"a": text}, ensure_ascii=False)),
}
IN_URLS = {
    "query": lambda redactor, token: redactor.query(f"key={token}"),
    "encoded": lambda redactor, token: redactor.query(f"a=1&h={quote(token, safe='')}&b=2"),
    "form-encoded": lambda redactor, token: redactor.query(f"a=1&h={quote_plus(token)}"),
    "encoded twice": lambda redactor, token: redactor.query(f"h={quote(quote(token, safe=''), safe='')}"),
    "url": lambda redactor, token: redactor.url(f"https://h.example/x?key={token}"),
    "path": lambda redactor, token: redactor.url(f"/a/{token}/b"),
    "assigned": lambda redactor, token: redactor.text(f"x={token}"),
    "line": lambda redactor, token: redactor.text(f"GET /?k%3D{token} HTTP/1.1"),
    "name": lambda redactor, token: redactor.name(f"GET {token}"),
}
BEARER = (f"Bearer {SECRET}", [SECRET])


def leaking(items, mask):
    """Return the texts that still contain a secret after masking."""
    redactor = Redactor()
    return [text for text, secrets in items if any(secret in str(mask(redactor, text)) for secret in secrets)]


def test_the_lists_are_long_enough():
    """The lists hold at least 300 forms, 150 ordinary texts and 80 names."""
    assert len(ALL) >= 300
    assert len(BENIGN_TEXTS) >= 150
    assert len(BENIGN_KEYS) >= 80
    assert all(secrets for _, secrets in ALL)


@pytest.mark.parametrize("way", WAYS)
def test_no_form_leaks(way):
    """Each form is masked in each kind of value."""
    assert leaking(ALL, WAYS[way]) == []


@pytest.mark.parametrize("way", IN_URLS)
def test_no_token_leaks_from_a_url(way):
    """Tokens are masked in parameters with ordinary names and in paths, also if they are encoded twice."""
    assert leaking(TOKENS, IN_URLS[way]) == []


@pytest.mark.parametrize(
    "query",
    [f"h=Bearer+{SECRET}", f"h=Bearer%20{SECRET}", f"h=Bearer%2520{SECRET}", f"a=1&h=Basic+{SECRET}=="],
)
def test_a_scheme_in_a_query(query):
    """Credentials after a scheme are masked with each encoding of the space."""
    redactor = Redactor()
    assert SECRET not in redactor.query(query)
    assert SECRET not in redactor.url(f"/x?{query}")


def test_ordinary_texts_stay():
    """Promotion codes, parser messages and prose with `select`, `value` and `token` are kept."""
    redactor = Redactor()
    assert {text: masked for text in BENIGN_TEXTS if (masked := redactor.text(text)) != text} == {}


def test_ordinary_names_stay():
    """Values are kept under names that contain a secret's name but are not secret."""
    redactor = Redactor()
    assert [name for name in BENIGN_KEYS if redactor.attributes({name: "some words"}) is not None] == []


def test_masking_twice_is_masking_once():
    """Masking a masked text changes nothing."""
    redactor = Redactor()
    once = [redactor.text(text) for text, _ in ALL]
    assert [redactor.text(text) for text in once] == once


OBJECTS = [
    {"headers": [(b"host", b"h"), (b"x-api-key", SECRET.encode()), (b"cookie", f"a={SECRET}".encode())]},
    {"headers": [["x-api-key", SECRET], ["host", "h"]]},
    {
        "scope": {
            "type": "http",
            "headers": [(b"x-api-key", SECRET.encode())],
            "query_string": f"x=1&code={SECRET}".encode(),
            "raw_path": f"/x;token={SECRET}".encode(),
        }
    },
    {"field": {"name": "password", "value": SECRET}},
    {"field": {"Value": SECRET, "Name": "Password"}},
    {"env": [{"name": "A", "value": "1"}, {"name": "DB_PASSWORD", "value": SECRET}]},
    {"attribute": {"key": "password", "value": {"stringValue": SECRET}}},
    {"pair": ("password", SECRET)},
    {"pair": [b"password", SECRET.encode()]},
    {"process.command_args": ["app", "--password", SECRET, "-v"]},
    {"process.command_args": ["app", f"--password={SECRET}"]},
    {"process.command_args": ("/usr/bin/mysql", f"-p{SECRET}", "db")},
    {"process.command_args": ["redis-cli", "-a", SECRET]},
    {"process.command_line": f"mysql -u root -p{SECRET} db"},
    {"url.query": f"x=1&code={SECRET}"},
    {"url.original": f"/x?code={SECRET}"},
    {"url.full": f"https://h/x?h=Bearer+{SECRET}"},
    {"db.query.text": f"SELECT '{SECRET}'"},
    {"비밀번호": SECRET},
    {"tokens": [SECRET]},
    {"tokens": {"github": SECRET}},
    {"service.tokens": {"github": [SECRET]}},
    {"keys": {"primary": SECRET}},
    {"PASSWORD_DB": SECRET},
    {"APP_TOKEN_SLACK": SECRET},
    {"bot_token_prod": SECRET},
    {"secret_id": SECRET},
    {"process.command_args": ["xfreerdp", "/u:bob", f"/p:{SECRET}"]},
    {"process.command_args": ["sqlcmd", "-P", SECRET]},
    {"process.command_args": ["vault", "login", SECRET]},
]


@pytest.fixture
def seen():
    """Configure tracing and return the captured spans."""
    captured = CapturedSpans()
    configure_tracing(settings=TracingSettings(traces_exporter=("none",)), span_processors=(captured,))
    return captured


@pytest.fixture
def line():
    """Return a function that logs one record and returns the formatted line."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(EcsFormatter())
    log = logging.getLogger("tests.forms")
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    log.propagate = False

    def write(*args, **kwargs):
        stream.seek(0)
        stream.truncate()
        log.warning(*args, **kwargs)
        return stream.getvalue()

    yield write
    log.removeHandler(handler)


@pytest.mark.parametrize("fields", OBJECTS)
def test_pairs_in_objects(seen, line, fields):
    """Secrets in header lists, scopes, name-value pairs and arguments are masked in log lines and spans."""
    assert SECRET not in line("m", extra=fields)
    assert SECRET not in line({"message": "m", **fields})
    assert SECRET not in line("m %s", fields)
    assert SECRET not in line("m %s", json.dumps(fields, default=repr))
    token = begin_request()
    bind_log_fields(**fields)
    bound = line("m")
    end_request(token)
    assert SECRET not in bound
    with span("s", attributes=fields) as current:
        current.add_event("e", fields)
        current.add_link(SpanContext(1, 2, is_remote=True), fields)
    assert SECRET not in repr([(one.attributes, one.events, one.links) for one in seen.spans])


def test_a_pair_keeps_its_name_and_a_list_its_items():
    """Only the value is masked."""
    redactor = Redactor()
    assert redactor.value("h", [(b"x-api-key", b"s"), (b"host", b"h")]) == [
        (b"x-api-key", MASK),
        (b"host", b"h"),
    ]
    assert redactor.value("a", ["app", "--token", "s", "-v"]) == ["app", "--token", MASK, "-v"]
    assert redactor.value("a", ["mysql", "-psecret"]) == ["mysql", f"-p{MASK}"]
    assert redactor.value("f", {"name": "password", "value": "s"}) == {"name": "password", "value": MASK}
    for clean in (
        {"tokens": ["a", "b"], "keys": {"a": 1}}, {"PASSWORD_MIN_LENGTH": "abcdefgh1"}, {"TOKEN_SLACK": "words"},
        ["--verbose", "-p", "8080"], ["tar", "-p", "x"], {"name": "plan", "value": "free"}, ["id", "password", "name"],
        {"key": "value", "value": "key"}, ["--token"], ["--token", "-v"], [1, "-p"], {"name": "password"},
    ):  # fmt: skip
        assert redactor.value("x", clean) is clean


def test_server_and_client_spans_and_access_lines(seen):
    """A token in a path or an ordinary parameter is masked in each span of a request and in the access line."""
    app = FastAPI()
    backend = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200)))

    @app.get("/{rest:path}")
    def work(rest: str, key: str = ""):
        backend.get(f"https://h.example/p/{quote(rest, safe='')}?key={quote(key, safe='')}")

    instrument_app(app)
    formatter = EcsFormatter()
    leaks = []
    with TestClient(app) as client:
        for token, secrets in [*TOKENS, BEARER]:
            once = quote(token, safe="")
            before = len(seen.spans)
            for target in (
                f"/a?key={once}",
                f"/a?key={quote_plus(token)}",
                f"/b/{once}",
                f"/c?key={quote(once)}",
            ):
                client.get(target)
                record = logging.LogRecord("uvicorn.access", 20, "", 1, "%s %s", ("1.2.3.4:5", target), None)
                record.args = ("1.2.3.4:5", "GET", target, "1.1", 200)
                record.msg = '%s - "%s %s HTTP/%s" %d'
                written = formatter.format(record)
                leaks += [written for secret in secrets if secret in written]
            exported = repr([(one.name, one.attributes) for one in seen.spans[before:]])
            leaks += [token for secret in secrets if secret in exported]
    assert leaks == []


def test_every_other_part_of_a_span(seen):
    """Tokens are masked in names, statuses, exceptions, destinations, link attributes and cached attributes."""
    link = Link(SpanContext(1, 2, is_remote=True), {"note": BEARER[0]})
    for token, _ in [*TOKENS, BEARER]:
        with span(f"call {token}") as current:
            for key in (
                "error.type",
                "server.address",
                "db.namespace",
                "messaging.destination.name",
                "rpc.service",
            ):
                current.set_attribute(key, token)
            current.add_link(link.context, {"note": token})
            current.record_exception(ValueError(f"no: {token}"))
            current.set_status(Status(StatusCode.ERROR, f"no: {token}"))
    exported = repr(seen.spans)
    assert [token for token, secrets in [*TOKENS, BEARER] for secret in secrets if secret in exported] == []


def test_exceptions_and_fields_of_lines(line):
    """Tokens are masked in messages, stack traces and fields of URLs."""
    leaks = []
    for token, secrets in [*TOKENS, BEARER]:
        try:
            raise ValueError(f"no: {token}")
        except ValueError:
            lines = [line("failed", exc_info=True)]
        lines += [
            line("m", extra={key: f"key={token}"}) for key in ("url.query", "url.full", "url.path", "note")
        ]
        leaks += [token for secret in secrets if secret in "".join(lines)]
    assert leaks == []


def test_attributes_with_few_values():
    """Attributes with few different texts are cached. A value of another type is masked as usual."""
    redactor = Redactor()
    for _ in range(2):
        assert (
            redactor.attributes({"error.type": "ValueError", "server.address": "db", "db.namespace": 5})
            is None
        )
    assert redactor.attributes({"error.type": ["Bearer abcd1234"]}) == {"error.type": [f"Bearer {MASK}"]}


@pytest.mark.parametrize(
    "text",
    [
        'see http://host"b:c@d', "at http://@host/x", "https://registry.example/@scope/package@1.0",
        "https://h.example:8080/a@b", "<http://h>bob@x", '<a href="http://h.example">bob@x.example</a>',
    ],
)  # fmt: skip
def test_addresses_without_a_password(text):
    """An `@` after the host and quotes around a URL are not user information."""
    assert Redactor().text(text) == text


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://u:p@h.example/@scope/x@1", f"https://{MASK}:{MASK}@h.example/@scope/x@1"),
        ("https://u:p@ss/w@h.example/x", f"https://{MASK}:{MASK}@h.example/x"),
        ("postgres://u:p@ss/w@db/x", f"postgres://{MASK}:{MASK}@db/x"),
        ("redis://:p'w@cache/0", f"redis://{MASK}:{MASK}@cache/0"),
        ("postgres://u:<p>@db/x", f"postgres://{MASK}:{MASK}@db/x"),
    ],
)
def test_passwords_with_separators(url, masked):
    """The host and the rest of the URL are kept."""
    assert Redactor().url(url) == masked
    assert Redactor().text(f"call {url} failed") == f"call {masked} failed"


NUMBERS = [
    ("card 4111 1111 1111 1111 refused", "card", True),
    ("card 4111-1111-1111-1111", "card", True),
    ("5555555555554444", "card", True),
    ("4111111111111112", "card", False),
    ("trace 4bf92f3577b34da6a3ce929d0e0e4736", "card", False),
    ("at 1732966789123", "card", False),
    ("900101-1234568", "resident", True),
    ("등록번호 900101-1234568 확인", "resident", True),
    ("901301-1234568", "resident", False),
    ("9001011234568", "resident", False),
]


@pytest.mark.parametrize(("text", "kind", "masked"), NUMBERS)
def test_numbers_that_are_personal_data(text, kind, masked):
    """Only valid card and resident registration numbers are masked, and only if their kind is enabled."""
    redactor = Redactor(numbers={kind})
    assert (MASK in redactor.text(text)) is masked
    assert (MASK in redactor.query(text)) is masked
    assert (MASK in str(redactor.value("note", [text]))) is masked
    assert (MASK in redactor.url(f"/x?n={text}")) is masked
    assert Redactor().text(text) == text
    assert MASK not in Redactor(numbers={"card", "resident"} - {kind}).text(text)


def test_numbers_are_one_setting(monkeypatch):
    """`ECO2_TRACING_REDACT_NUMBERS` sets the kinds. An unknown kind is reported."""
    monkeypatch.setenv("ECO2_TRACING_REDACT_NUMBERS", "card,Resident")
    captured = CapturedSpans()
    configure_tracing(settings=TracingSettings(traces_exporter=("none",)), span_processors=(captured,))
    with span("s", attributes={"note": "4111111111111111 and 900101-1234568"}):
        pass
    assert captured.spans[0].attributes["note"] == f"{MASK} and {MASK}"
    monkeypatch.setenv("ECO2_TRACING_REDACT_NUMBERS", "card,passport")
    settings = TracingSettings()
    assert settings.redact_numbers == {"card"}
    assert "expected some of card, resident" in str(settings.problems)
