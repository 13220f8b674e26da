"""Access lines as HTTP fields."""

from __future__ import annotations

import json
import logging

import pytest

from eco2_tracing import logs
from eco2_tracing.logs import EcsFormatter
from tests.support.requests import begin_request, end_request

UVICORN = '%s - "%s %s HTTP/%s" %d'


def test_uvicorns_lines(out):
    """The arguments are fields; secrets are masked in fields and message."""
    logs.configure_logging()
    arguments = ("[::1]:55", "GET", "/a%20b?code=planted&page=2", "1.1", 503)
    logging.getLogger("uvicorn.access").info(UVICORN, *arguments)
    (line,) = out()
    assert line["message"] == '[::1]:55 - "GET /a%20b?code=REDACTED&page=2 HTTP/1.1" 503'
    assert {name: line[name] for name in list(line)[list(line).index("http.request.method") :]} == {
        "http.request.method": "GET",
        "http.response.status_code": 503,
        "url.path": "/a%20b",
        "url.query": "code=REDACTED&page=2",
        "http.version": "1.1",
        "event.outcome": "failure",
        "client.ip": "::1",
        "client.port": 55,
    }


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        (("", "GET", "/", "1.1", 404), {"event.outcome": "success", "http.response.status_code": 404}),
        (
            ("testclient:50000", "GET", "/", "", "200"),
            {"client.port": 50000, "http.response.status_code": 200},
        ),
        (("unix:", "GET", "/", "2", "none"), {"event.outcome": "unknown", "http.version": "2"}),
    ],
)
def test_what_servers_leave_out(out, arguments, fields):
    """A host name is no `client.ip`; a missing value is no field."""
    logs.configure_logging()
    logging.getLogger("uvicorn.access").info("%s %s %s %s %s", *arguments)
    (line,) = out()
    assert "client.ip" not in line
    assert fields.items() <= line.items()


def test_other_records_of_the_access_loggers(out):
    """Another record of the logger is a plain line."""
    logs.configure_logging()
    logging.getLogger("uvicorn.access").info("three %s %s %s", 1, 2, 3)
    logging.getLogger("uvicorn.access").info("none")
    logging.getLogger("gunicorn.access").info("none")
    logging.getLogger("gunicorn.access").info("%(x)s", {"x": 1})
    assert not any("http.request.method" in line for line in out())


@pytest.mark.parametrize("headers", [[(b"host", b"h"), (b"user-agent", b"curl/8")], []])
def test_fields_of_the_request(out, headers):
    """The user agent and the duration, if the middleware passed the scope."""
    logs.configure_logging()
    token = begin_request({"headers": headers})
    logging.getLogger("uvicorn.access").info(UVICORN, "1.2.3.4:5", "GET", "/", "1.1", 200)
    end_request(token)
    (line,) = out()
    assert line.get("user_agent.original") == ("curl/8" if headers else None)
    assert line["event.duration"] > 0


@pytest.mark.parametrize("name", ["gunicorn.access", "hypercorn.access"])
def test_atoms(out, name):
    """The arguments of gunicorn's and hypercorn's records are a mapping."""
    logs.configure_logging()
    atoms = {
        "h": "10.0.0.1", "m": "POST", "U": "/x", "q": "token=planted", "s": 201, "H": "HTTP/1.1", "a": "curl/8",
        "D": 1500, "r": "POST /x?token=planted HTTP/1.1",
    }  # fmt: skip
    logging.getLogger(name).info('%(h)s "%(r)s" %(s)s', atoms)
    logging.getLogger(name).info("%(s)s", {"s": "200", "h": "10.0.0.1:5", "a": "-", "q": "-", "D": "-"})
    full, bare = out()
    assert full["event.duration"] == 1_500_000
    assert full["url.query"] == "token=REDACTED"
    assert full["user_agent.original"] == "curl/8"
    assert (full["http.version"], full["client.ip"]) == ("1.1", "10.0.0.1")
    assert "planted" not in str(full)
    assert bare["client.ip"] == "10.0.0.1"
    assert not {"event.duration", "user_agent.original", "url.query"} & set(bare)


@pytest.mark.parametrize(
    "arguments",
    [
        ("10.0.3.11:4711", "GET", "/items/7", "1.1", 200),
        ("[::1]:80", "POST", "/", "2", 503),
        ("", "DELETE", "/a.b/c-d/e_f~g", "1.0", 404),
        ("10.0.3.11:4711", "GET", "/items/7", "1.1", 0),
        ("someone:4711", "GET", "/items", "1.1", 200),
        ("10.0.3.11:4711", "get it", "/items", "1.1", 200),
        ("10.0.3.11:4711", "GET", "/items?token=abcdef", "1.1", 200),
        ("10.0.3.11:4711", "GET", "/items/7?full=true&page=2&sort=-name", "1.1", 200),
        ("10.0.3.11:4711", "GET", "/items?page=&q=a~b.c", "1.1", 200),
        ("10.0.3.11:4711", "GET", "/items?page=2&code=abcdef", "1.1", 200),
        ("10.0.3.11:4711", "GET", "/items?DB_PASSWORD=abcdef", "1.1", 200),
        ("10.0.3.11:4711", "GET", "/items?tokens=zyx0123", "1.1", 200),
        ("10.0.3.11:4711", "GET", "/items?q=", "1.1", 200),
        ("10.0.3.11:4711", "GET", "/items?", "1.1", 200),
        ("10.0.3.11:4711", "GET", "/items?a", "1.1", 200),
        ("10.0.3.11:4711", "GET", "/items?a=b?c=d", "1.1", 200),
        ("10.0.3.11:4711", "GET", "/items?a=%22&b=c", "1.1", 200),
        ("10.0.3.11:4711", "GET", "/items?q=bearer&a=abcd", "1.1", 200),
        ("10.0.3.11:4711", "GET", "/ghp_0123456789abcdefghijABCDEFGHIJ012345", "1.1", 200),
        ("10.0.3.11:4711", 7, "/items", None, "200"),
        ("10.0.3.11:4711", "GET", None, "1.1", 200),
    ],
    ids=str,
)
def test_usual_lines_are_like_others(arguments):
    """The short way for a plain path and query gives the same fields as the way that all other lines take."""
    record = logging.makeLogRecord(
        {"name": "uvicorn.access", "levelname": "INFO", "msg": UVICORN.replace("%d", "%s"), "args": arguments}
    )
    record.msg = UVICORN if isinstance(arguments[-1], int) else record.msg
    usual = json.loads(EcsFormatter().format(record))
    other = json.loads(EcsFormatter(static_fields={"event.dataset": "x"}).format(record))
    assert other.pop("event.dataset") == "x"
    assert usual == other
    assert "abcdef" not in str(usual)
