"""The text of a local trace: one line, or a tree."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import Event
from opentelemetry.trace import SpanKind

from eco2_tracing._console import tree as tree_module
from eco2_tracing._console.curl import curl
from eco2_tracing._console.exceptions import last_frames
from eco2_tracing._console.rows import duration, title_of
from eco2_tracing._console.terminal import Screen, cells
from eco2_tracing._console.tree import Tree, bar, service_colours
from eco2_tracing._console.waterfall import Waterfall
from tests.console.rows import MS, PLAIN, SGR, TRACE_ID, call, local_trace, query, row, server

ID = f"{TRACE_ID:032x}"
TARGET = "http://127.0.0.1:16686/trace/{trace_id}"


def printed(trace, *lines, screen=PLAIN, **options):
    """The lines of a trace; the time of the first one is left out."""
    text = Waterfall(**options).text(trace, [json.dumps(line) for line in lines], screen)
    assert not text or text.endswith("\n")
    return text.splitlines()


def one(trace, **options):
    """The one line of a trace, without time and padding."""
    (line,) = printed(trace, **options)
    return " ".join(line.split()[1:])


def test_one_line():
    """Method, route, status, duration, calls by kind and trace id."""
    trace = local_trace(server(), query(2), call(3), query(4), row("work", 5, 1), call(6, 3))
    assert one(trace) == f"GET /users/{{id}} 200 12.0 ms 2 sql · 2 http {ID}"


def test_calls_by_kind():
    """Kinds that are no SQL or HTTP have the system's name; a driver below its ORM and a check-out count once."""
    client, producer = SpanKind.CLIENT, SpanKind.PRODUCER
    trace = local_trace(
        server(),
        query(2),
        query(3, parent=2),
        query(4, **{"db.system.name": "redis"}),
        query(5, **{"db.system.name": "mongodb"}),
        row("connect", 6, 1, attributes={"db.system": "mysql"}),
        row("Users/Get", 7, 1, kind=client, attributes={"rpc.system": "grpc"}),
        row("send", 8, 1, kind=producer, attributes={"messaging.system": "kafka"}),
        row("send", 9, 1, kind=producer),
        row("other", 10, 1, kind=client),
    )
    assert "1 sql · 1 redis · 1 mongo · 1 grpc · 1 kafka · 1 message" in one(trace)


def test_many_equal_calls():
    """So many that they look like a query for each row of another one."""
    queries = [query(at) for at in range(2, 14)]
    assert "12 sql 12 \N{MULTIPLICATION SIGN} SELECT characters (N+1?)" in one(
        local_trace(server(), *queries)
    )
    calls = [call(at) for at in range(2, 8)]
    assert "6 \N{MULTIPLICATION SIGN} GET character-api (N+1?)" in one(local_trace(server(), *calls))
    different = [query(at, text=f"SELECT {at}") for at in range(2, 14)]
    assert "N+1" not in one(local_trace(server(), *different))
    assert "N+1" not in one(local_trace(server(), *queries[:4]))


@pytest.mark.parametrize(
    ("root", "shown"),
    [
        (server(**{"http.route": "", "http.response.status_code": 404}), "GET /users/7 404"),
        (
            row("HTTP /ws", 1, kind=SpanKind.SERVER, attributes={"url.scheme": "ws", "url.path": "/ws"}),
            "WS /ws ok",
        ),
        (row("run/app.add", 1, kind=SpanKind.CONSUMER), "run/app.add ok"),
        (row("nightly job", 1), "nightly job ok"),
        (call(1, 0, **{"http.response.status_code": 302}), "GET character-api/characters/7 302"),
        (row("Users/Get", 1, kind=SpanKind.SERVER), "Users/Get ok"),
    ],
)
def test_roots(root, shown):
    """Requests without a route, WebSockets, consumers, jobs and calls have a line."""
    assert one(local_trace(root)).startswith(shown)


def test_narrow_screens():
    """The last columns go first, then the time; no line is wider than the screen."""
    trace = local_trace(server(), *[query(at) for at in range(2, 14)])
    lines = {width: printed(trace, screen=Screen(colour=False, width=width))[0] for width in range(20, 160)}
    assert {width: cells(line) for width, line in lines.items() if cells(line) > width} == {}
    assert ID in lines[159]
    assert ID[:8] in lines[100]
    assert ID not in lines[100]
    assert "N+1" in lines[78]
    assert "12 sql" not in lines[78]
    assert lines[30].startswith("GET /users/{id}")
    assert lines[20] == "GET /u… 200  12.0 ms"


def test_colours_and_links():
    """The short id is a link where the address is known and the terminal can."""
    screen = Screen(colour=True, width=100, links=True)
    (line,) = printed(local_trace(server()), screen=screen, target=TARGET)
    assert f"\x1b]8;;http://127.0.0.1:16686/trace/{ID}\x1b\\" in line
    assert SGR.search(line)
    assert ID[:8] in SGR.sub("", line).rpartition("\x1b]8;;")[0]
    (line,) = printed(local_trace(server()), screen=Screen(colour=False, width=100), target=TARGET)
    assert "\x1b" not in line
    assert line.endswith(ID)


def test_detail():
    """`errors` leaves out what is well, `tree` shows all of it."""
    good = local_trace(server(), query(2))
    assert printed(good, detail="errors") == []
    drawn = printed(good, detail="tree")
    assert len(drawn) == 6
    assert drawn[4] == "  kept: sampled"
    assert len(printed(local_trace(server(failed=True), reason="error"), detail="errors")) > 3


@pytest.mark.parametrize(
    ("trace", "why"),
    [
        (local_trace(server(failed=True), reason="error"), "error"),
        (local_trace(server(), call(2)._replace(failed=True), reason="error"), "error"),
        (local_trace(server(), reason="slow"), "slow, it took 12.0 ms"),
        (local_trace(server(1500)), "sampled; slow, it took 1.50 s"),
        (
            local_trace(server(1500, failed=True), reason="upstream"),
            "a called service kept its part of the trace",
        ),
        (local_trace(server(failed=True)), "sampled"),
        (local_trace(server(failed=True), reason="", late=True), "these spans ended after their request"),
        (local_trace(server(failed=True), reason=""), "a part of a trace whose local root has not ended"),
    ],
)
def test_why_it_was_kept(trace, why):
    """The reason stands below the tree of what failed or was slow."""
    assert f"  kept: {why}" in printed(trace)


def test_what_is_neither_failed_nor_slow():
    """Slow connections that are open for long, and a client span of a 4xx response."""
    assert len(printed(local_trace(server(5000, **{"url.scheme": "ws"})))) == 1
    assert len(printed(local_trace(server(), call(2)._replace(failed=True)))) == 1
    assert len(printed(local_trace(server(5000)), slow_ms=None)) == 1


def line(message, span_id, ms, **fields):
    """A log line of a span, at milliseconds."""
    stamp = f"1970-01-01T00:00:00.{ms:03d}+00:00"
    return {
        "@timestamp": stamp, "log.level": "info", "message": message, "span.id": f"{span_id:016x}",
        "trace.id": ID,
    } | fields  # fmt: skip


def test_tree_with_gaps_and_log_lines():
    """Children, gaps and log lines stand in the order of time, below their span."""
    trace = local_trace(
        server(100, failed=True, **{"http.response.status_code": 500, "error.type": "app.StoreError"}),
        query(2, 1, 10, 30),
        row("work", 3, 1, 60, 90, **{"app.cache": "miss"}),
        call(4, 3, 62, 80, **{"http.response.status_code": 201}),
        reason="error",
    )
    drawn = printed(
        trace,
        line("first", 1, 5),
        line("in work", 3, 85),
        line("of no span here", 99, 95, **{"span.id": "none"}),
        line("HTTP Request: …", 4, 70, **{"log.logger": "httpx"}),
        screen=Screen(colour=False, width=100),
    )
    stamp = drawn[2].split()[1][:-4]
    assert [each[:48].partition("  ━")[0].partition("  ┄")[0].rstrip() for each in drawn[1:9]] == [
        "  GET /users/{id}",
        f"  │ {stamp}.005 INFO    first",
        "  ├╴SELECT characters",
        "  │ · no span",
        "  └╴work",
        "    └╴GET character-api/characters/7",
        f"      {stamp}.085 INFO    in work",
        f"    {stamp}.095 INFO    of no span here",
    ]
    assert drawn[1].endswith("100.0 ms  500 StoreError")
    assert drawn[3].endswith("20.0 ms")
    assert drawn[4].endswith("30.0 ms")
    assert drawn[5].endswith("30.0 ms  cache=miss")
    assert drawn[6].endswith("18.0 ms  201")
    assert max(map(cells, drawn)) <= 100


@pytest.mark.parametrize("width", [20, 40, 64, 80, 100, 200])
def test_trees_fit_their_screen(width):
    """Deep trees, wide names and long log lines too."""
    rows = [row(f"이름{'x' * 90}", at, at - 1, at, 200, **{"app.key": "v" * 90}) for at in range(1, 60)]
    trace = local_trace(*rows, reason="error")
    drawn = printed(trace, line("m" * 300, 30, 1), screen=Screen(colour=False, width=width))
    assert [each for each in drawn if cells(each) > width] == []


def test_large_traces_are_bounded(monkeypatch):
    """The number of rows left out is printed. Log lines are limited as well."""
    monkeypatch.setattr(tree_module, "MOST_ROWS", 10)
    monkeypatch.setattr(tree_module, "MOST_LINES", 3)
    trace = local_trace(server(), *[query(at, text=str(at)) for at in range(2, 40)], reason="error")
    drawn = printed(trace, *[line(f"line {at}", 1, at) for at in range(9)])
    assert sum("SELECT" in each for each in drawn) == 9
    assert "  … 29 more spans" in drawn
    assert sum("INFO" in each for each in drawn) == 3


def test_ids_that_occur_twice():
    """A cycle of parents is drawn once."""
    first, second = row("a", 1, 2), row("b", 2, 1)
    assert [each.split()[0] for each in Tree([first, second], [], PLAIN).draw()] == ["a", "└╴b"]


def test_services():
    """Each has a colour, and is named where it changes."""
    rows = [
        row("GET /a", 1, 0, 0, 2000, service="auth-api"),
        call(2, 1, 10, 20)._replace(service="auth-api"),
        row("GET /b", 3, 2, 12, 18, service="character-api", failed=True, **{"error.type": "app.Broken"}),
        row("work", 4, 1, 30, 40, service="auth-api"),
    ]
    screen = Screen(colour=True, width=100)
    drawn = Tree(rows, [], screen, service_colours(("auth-api", "character-api"))).draw()
    assert "\x1b[1;35mauth-api \x1b[0m" in drawn[0]
    texts = [" ".join(SGR.sub("", each).translate(dict.fromkeys(map(ord, "━╸╺┄"))).split()) for each in drawn]
    assert texts == [
        "auth-api GET /a 2.00 s",
        "├╴GET /characters/7 10.0 ms",
        "│ └╴character-api GET /b 6.0 ms Broken",
        "└╴auth-api work 10.0 ms",
        "· no span 1.96 s",
    ]


@pytest.mark.parametrize(
    ("start", "end", "drawn"),
    [
        (0, 1, "━━━━"),
        (0, 0.5, "━━  "),
        (0.125, 0.5, "╺━  "),
        (0.5, 0.875, "  ━╸"),
        (0.5, 0.5, "  ╸ "),
        (1, 1, "   ╺"),
    ],
)
def test_bars_to_half_a_cell(start, end, drawn):
    """The shortest bar is visible."""
    assert bar(start, end, 4) == drawn


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (0.04, "0.0 ms"),
        (12.34, "12.3 ms"),
        (1234, "1.23 s"),
        (12345, "12.3 s"),
        (1e7, "10,000 s"),
        (-1, "0.0 ms"),
    ],
)
def test_durations(ms, shown):
    """Three digits or so."""
    assert duration(int(ms * MS)) == shown


@pytest.mark.parametrize(
    ("span", "title"),
    [
        (query(1, **{"db.query.summary": "SELECT users"}), "SELECT users"),
        (query(1, text='insert into "Users" values (?)'), "INSERT Users"),
        (query(1, text="BEGIN"), "SELECT"),
        (call(1, **{"url.full": "http://[broken"}), "GET character-api"),
        (call(1, host="", **{"url.full": ""}), "GET"),
    ],
)
def test_titles(span, title):
    """What a call does, in a few words."""
    assert title_of(span) == title


def exception(kind="app.StoreError", message="no connection", stack=""):
    """The event of an exception."""
    attributes = {"exception.type": kind, "exception.message": message, "exception.stacktrace": stack}
    return Event("exception", attributes, 1)


STACK = f"""Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/fastapi/routing.py", line 762, in app
    raw_response = await run(
                   ^^^^^^^^^^
  File "{Path.cwd()}/shop/api.py", line 34, in refresh
    store.read()
  File "/srv/other/store.py", line 7, in read
    connect()
  File "/usr/lib/python3.11/socket.py", line 9, in connect
app.StoreError: no connection
"""


def test_last_frames():
    """Those of the application, and the one that raised."""
    assert last_frames(STACK) == [
        'File "shop/api.py", line 34, in refresh',
        "  store.read()",
        'File "/srv/other/store.py", line 7, in read',
        "  connect()",
        'File "socket.py", line 9, in connect',
    ]
    assert last_frames("no frames") == []
    assert last_frames('  File "a.py", line 1, in b') == ['File "a.py", line 1, in b']
    assert last_frames('  |   File "a.py", line 1, in b\n  |     raise\n') == [
        'File "a.py", line 1, in b',
        "  raise",
    ]


def test_exceptions_of_a_trace():
    """Each of the first two once, however many spans have it; those that were handled are left out."""
    handled = row("fine", 2, 1, events=[exception("app.Handled")])
    inner = row(
        "inner",
        3,
        1,
        failed=True,
        events=[Event("other"), exception(stack=STACK), exception("app.Second", "")],
    )
    trace = local_trace(
        server(failed=True, events=[exception()]), handled, inner,
        row("third", 4, 1, failed=True, events=[exception("app.Third")]), reason="error",
    )  # fmt: skip
    drawn = printed(trace)
    assert [each for each in drawn if each.startswith("  app.")] == [
        "  app.StoreError: no connection",
        "  app.Second",
    ]


@pytest.mark.parametrize(
    ("attributes", "command"),
    [
        ({}, "curl http://127.0.0.1:8000/users/7"),
        ({"http.request.method": "HEAD"}, "curl --head http://127.0.0.1:8000/users/7"),
        (
            {"http.request.method": "POST", "url.query": "token=REDACTED&x=1", "http.request.body.size": 7},
            "curl -X POST 'http://127.0.0.1:8000/users/7?token=REDACTED&x=1' --data-binary @body",
        ),
        (
            {"http.request.method": "_OTHER", "http.request.method_original": "PURGE"},
            "curl -X PURGE http://127.0.0.1:8000/users/7",
        ),
        ({"server.address": "0.0.0.0", "url.scheme": "https"}, "curl https://127.0.0.1:8000/users/7"),
        ({"server.address": "shop:8000"}, "curl http://shop:8000/users/7"),
        ({"server.address": "::1"}, "curl 'http://[::1]:8000/users/7'"),
        ({"server.address": "/run/app.sock"}, "curl --unix-socket /run/app.sock http://localhost/users/7"),
        (
            {"url.path": "/캐 \x1b[31m'$(id)[a-z]"},
            "curl 'http://127.0.0.1:8000/%EC%BA%90%20%1B%5B31m'\"'\"'$(id)%5Ba-z%5D'",
        ),
        (
            {"http.request.header.x-id": ("a\nb",), "http.request.header.cookie": "REDACTED"},
            r"curl http://127.0.0.1:8000/users/7 -H 'x-id: a\nb' -H 'cookie: REDACTED'",
        ),
        ({"url.path": "/" + "x" * 5000}, ""),
        ({"url.path": None}, ""),
        ({"http.request.method": ""}, ""),
    ],
)
def test_curl(attributes, command):
    """It repeats the request; what the attributes hold cannot end a word of it."""
    made = curl(server(**attributes))
    assert made == command
    assert shlex.split(made)[:1] == (["curl"] if command else [])
    assert curl(row("job", 1)) == ""


def test_hostile_names():
    """No control character of names, values, messages or exceptions reaches the terminal."""
    evil = "\x1b]0;x\x07\x9b2J\r\n\u202e"
    trace = local_trace(
        server(
            failed=True,
            events=[exception(evil, evil, f'  File "{evil}", line 1, in {evil}')],
            **{"http.route": evil, "error.type": evil, "http.response.status_code": evil, "url.path": evil},
        ),
        query(2, text=f"SELECT 1 FROM {evil}", **{"db.system.name": evil}),
        row(evil, 3, 1, service=evil, **{f"app.{evil}": evil}),
        *[call(at, host=evil, **{"url.full": f"http://x/{evil}"})._replace(name=evil) for at in range(4, 12)],
        reason=evil,
    )
    fields = {"error.type": evil, "error.message": evil, evil: evil, "log.level": evil}
    drawn = printed(trace, line(evil, 1, 1, **fields), screen=Screen(colour=False, width=100))
    assert "".join(drawn).isprintable()
    assert len(drawn) > 12
