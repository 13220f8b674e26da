"""Regular expressions of the operator: those that take too long on some texts are found before any request."""

from __future__ import annotations

import re

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from eco2_tracing import ConfigurationError, TracingSettings, configure_tracing, instrument_app
from eco2_tracing._instrumentation.common.excluded import ExcludedUrls
from eco2_tracing._settings import explosive, withhold_expressions
from eco2_tracing._settings.explosive import takes_too_long
from eco2_tracing._settings.globs import LONGEST_URL, for_search

EXPONENTIAL = [
    "(a+)+$",
    "(a*)*b",
    "(a|a)*b",
    "(ab|ab)*c",
    "(a|aa)+$",
    "(a|b|ab)*c",
    r"(\w+\s?)*$",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    "(.+)+x",
    "(?:.*)*x",
    "([a-zA-Z]+)*!",
    r"(\d+)*\D$",
    "(x+x+)+y",
    "((a+)b?)+c",
    "([^/]+/?)+x",
    "(.*,)*y",
    "(a*b*)*c",
    r"([\w-]+)*z",
    "(([a-z]+)+\\.)+com",
    "(?:a+){2,}b",
    "(a+){10}b",
    "(?:a?){30}a{30}",
    "((a*)?b)*c",
    "((a?|b?)x)*c",
    "(?i)(a+)+b",
    "(?i:(A+|a)+)b",
    "(?:a+)+?b",
    "(?=(a+)+b)c",
    "(?:(x)?(?(1)a+|b))+z",
    r"(a|\w)*(a+)+\1b",
]
POLYNOMIAL = [".*.*=.*", ".*.*.*x", "(.*a){12}x", r"\s*\s*\s*x", r"\w*\d*\w*\d*!", "[a-z]+[a-z0-9]*[a-z]+X"]
BENIGN = [
    ".*/health",
    "client/.*/info",
    "healthcheck",
    ".*/client/.*/info",
    "/a/.*/b/.*/c",
    ".*/a/.*/b/.*/c/.*/d/.*",
    ".*/.*/health",
    "^https?://[^/]+/health$",
    r"/health(z)?$",
    r"/v\d+/.*/metrics",
    "x-.*",
    "content-.*",
    ".*",
    ".+",
    "(?:/[^/]+)+/health",
    "(?:/[^/]*)*x",
    r"(?:\d{1,3}\.){3}\d{1,3}",
    "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    r".*\.(png|css|js)$",
    r"/static/.*\.(?:js|css)(?:\?.*)?$",
    "^(?!.*/admin).*$",
    r"[\w.-]+@[\w.-]+",
    "([^/]+/)*health",
    r"(\w+-)*id",
    "(?>a+)b",
    "a++b",
    r"(?i)/HEALTH\b",
    "(a|b)*",
    r"(\w)\1x",
    r"(?:\b)*x",
    "[^\\d]+-id",
    "(?:é|ü)+x",
    "[à-ÿ]+x",
    "(ab){2,5}c",
    "|".join(f"name{number}-service" for number in range(600)),
    f"(?:{'|'.join(f'name{number}' for number in range(300))})/.*",
    f"(?:/(?:{'|'.join(f'name{number}' for number in range(300))}))*/x",
]


@pytest.mark.parametrize("expression", [*EXPONENTIAL, *POLYNOMIAL])
def test_an_expression_that_explodes(expression):
    """Nested and adjacent repeats that match the same text are found."""
    assert re.compile(expression)
    assert takes_too_long(expression)


@pytest.mark.parametrize("expression", BENIGN)
def test_an_ordinary_expression(expression):
    """Contrib's examples, paths, names by the hundred, and repeats with a separator are accepted."""
    assert not takes_too_long(expression)


@pytest.mark.parametrize(
    ("variable", "field"),
    [
        ("OTEL_PYTHON_EXCLUDED_URLS", "excluded_urls"),
        ("OTEL_PYTHON_EXCLUDED_URLS", "httpx_excluded_urls"),
        ("OTEL_PYTHON_FASTAPI_EXCLUDED_URLS", "excluded_urls"),
        ("OTEL_PYTHON_HTTPX_EXCLUDED_URLS", "httpx_excluded_urls"),
        *(
            (f"OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_{name.upper()}", f"http_capture_headers_{name}")
            for name in (
                "server_request",
                "server_response",
                "client_request",
                "client_response",
                "sanitize_fields",
            )
        ),
    ],
)
def test_every_variable_of_expressions(only_problem, variable, field):
    """An expression that takes too long is reported with its variable and not used; the others are used."""
    settings, problem = only_problem(**{variable: "client/.*/info,(a+)+$,x-.*"})
    assert getattr(settings, field) == ("client/.*/info", "x-.*")
    assert problem.variable == variable
    assert "takes too long on some texts: '(a+)+$'" in problem.message
    assert not problem.advisory


def test_both_kinds_are_named(only_problem):
    """An expression that does not compile and one that takes too long are reported separately."""
    _, problem = only_problem(OTEL_PYTHON_EXCLUDED_URLS="(,(a+)+$,ok")
    assert "no regular expression: '('; takes too long on some texts: '(a+)+$'" in problem.message


def test_strict_mode_refuses_it():
    """In strict mode such an expression raises."""
    with pytest.raises(ConfigurationError, match="takes too long"):
        TracingSettings(_environ={"OTEL_PYTHON_EXCLUDED_URLS": "(a+)+$", "ECO2_TRACING_STRICT": "true"})


@pytest.mark.parametrize("mode", ["lean", "contrib"])
def test_a_request_is_served(monkeypatch, caplog, mode):
    """A caller's URL that would take minutes is answered, and the log names the variable."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    monkeypatch.setenv("ECO2_TRACING_INSTRUMENTATION", mode)
    monkeypatch.setenv("OTEL_PYTHON_EXCLUDED_URLS", "/(a+)+$,/never/.*")
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", "x-(a+)+")
    configure_tracing()
    app = FastAPI()
    instrument_app(app)
    assert TestClient(app).get(f"/{'a' * 60}!", headers={f"x-{'a' * 60}!": "1"}).status_code == 404
    for variable in ("OTEL_PYTHON_EXCLUDED_URLS", "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST"):
        assert len([record for record in caplog.records if record.getMessage().startswith(variable)]) == 1


def test_what_contrib_reads_by_itself():
    """Contrib's instrumentations of other libraries read only the expressions that can be used."""
    environ = {
        "OTEL_PYTHON_REQUESTS_EXCLUDED_URLS": "(a+)+$,client/.*/info",
        "OTEL_PYTHON_URLLIB3_EXCLUDED_URLS": "(a+)+$",
        "OTEL_PYTHON_FLASK_EXCLUDED_URLS": "health,(",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST": "x-.*",
        "UNRELATED": "(a+)+$",
    }
    before = dict(environ)
    problems = withhold_expressions(environ)
    assert [problem.variable for problem in problems] == [
        "OTEL_PYTHON_REQUESTS_EXCLUDED_URLS",
        "OTEL_PYTHON_URLLIB3_EXCLUDED_URLS",
    ]
    changed = {
        "OTEL_PYTHON_REQUESTS_EXCLUDED_URLS": "client/.*/info",
        "OTEL_PYTHON_URLLIB3_EXCLUDED_URLS": "",
    }
    assert environ == before | changed


def test_what_contrib_reads_is_reported_at_the_start(monkeypatch, caplog):
    """One warning names the variable of another library's instrumentation."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    monkeypatch.setenv("OTEL_PYTHON_REQUESTS_EXCLUDED_URLS", "(a+)+$")
    configure_tracing()
    assert "OTEL_PYTHON_REQUESTS_EXCLUDED_URLS='(a+)+$': takes too long" in caplog.text


WORDS = st.sampled_from(["/a", "b", "/", ".x", r"\.", "-", ".*", ".*?"])


@given(st.lists(WORDS, max_size=7).map("".join), st.text("/ab.x-", max_size=12), st.booleans(), st.booleans())
def test_a_search_finds_the_same(expression, text, begin, end):
    """The rewritten expression of text and `.*` gives the same result."""
    expression = f"{'^' if begin else ''}{expression}{'$' if end else ''}"
    found = re.search(expression, text) is not None
    assert (re.search(for_search(expression), text) is not None) == found


def test_the_beginning_of_a_long_url_decides():
    """Only the first characters of a URL are searched."""
    excluded = ExcludedUrls(["/x.*/health"])
    assert excluded(f"http://host/x{'a' * 100}/health")
    assert not excluded(f"http://host/x{'a' * LONGEST_URL}/health")


def test_without_the_parser(monkeypatch, caplog):
    """Where `re` has no such parser, an expression is used unchecked, and one warning says so."""
    monkeypatch.delattr(re, "_parser")
    assert not takes_too_long("(a+)+$")
    assert not takes_too_long("(a|aa)+$")
    assert len([text for text in caplog.messages if "checking a regular expression" in text]) == 1


def test_an_unknown_construct(monkeypatch, caplog):
    """An expression with a construct of a newer `re` is used unchecked, with the same warning."""
    monkeypatch.setattr(explosive, "_CATEGORIES", {})
    assert not takes_too_long(r"\d+x")
    assert "checking a regular expression" in caplog.text


@pytest.mark.parametrize("limit", ["_MOST_POSITIONS", "_MOST_EDGES"])
def test_an_expression_that_is_too_large_is_taken(monkeypatch, limit):
    """An expression that is too large for the analysis is used: the time of a start is bounded."""
    monkeypatch.setattr(explosive, limit, 1)
    assert not takes_too_long("(a+)+(b+)+$")


def test_a_loop_of_too_many_pairs_is_taken(monkeypatch):
    """The same holds for the comparison of pairs of positions."""
    monkeypatch.setattr(explosive, "_MOST_PAIRS", 1)
    assert not takes_too_long("(?:ab|ac|ad)*x")
