"""The viewer's server: its JSON, its pages, and who may read them."""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.testclient import TestClient

from eco2_tracing._view import live
from eco2_tracing._view.app import build_app
from eco2_tracing._view.local_only import LocalOnly
from eco2_tracing._view.static_files import StaticFiles
from eco2_tracing._view.store import Store
from tests.view.requests import OTHER, TRACE, logs, request, shop, span

OWN = "http://127.0.0.1:16686"


@pytest.fixture
def store():
    """A store with two traces."""
    made = Store()
    made.add_traces(shop())
    made.add_traces(shop(OTHER, status=500, start=1000, error=True))
    made.add_logs(logs())
    yield made
    made.close()


@pytest.fixture
def client(store):
    """A client of the server."""
    return TestClient(build_app(store), base_url=OWN)


def test_the_list(client):
    """Summaries by time, and what is held."""
    found = client.get("/api/traces").json()
    assert [one["trace_id"] for one in found["traces"]] == [OTHER, TRACE]
    assert found["traces"][1] == {
        "trace_id": TRACE, "service": "shop", "name": "GET /cart/{item}", "route": "GET /cart/{item}", "status": "200",
        "start_ns": "1700000000000000000", "duration_ms": 90.0, "spans": 3, "errors": 0, "logs": 1,
        "services": ["shop", "stock"],
    }  # fmt: skip
    assert found["counts"]["traces"] == found["found"] == 2
    assert client.get("/api/services").json() == ["shop", "stock"]


def test_search(client):
    """The conditions are parameters; invalid ones are 422."""
    given = {
        "service": "stock",
        "status": "error",
        "min_ms": 1,
        "attribute": ["item=blue chair", "http.route"],
    }
    assert [one["trace_id"] for one in client.get("/api/traces", params=given).json()["traces"]] == [OTHER]
    assert client.get("/api/traces", params={"sort": "colour"}).status_code == 422
    assert client.get("/api/traces", params={"limit": 0}).status_code == 422


def test_one_trace(client):
    """By its id or the beginning of it, with parents as indexes, events and log lines."""
    found = client.get(f"/api/traces/{OTHER[:6]}").json()
    assert [span["parent"] for span in found["spans"]] == [None, 0, 1]
    assert found["spans"][0]["events"][0]["attributes"]["exception.message"] == "no coupon"
    assert found["spans"][1]["offset_ms"] == 10.0
    assert client.get(f"/api/traces/{TRACE}").json()["logs"][0]["message"] == "the cart is empty"
    assert client.get("/api/traces/9999").status_code == 404


def test_how_many_are_found(client):
    """All that match, whatever the limit."""
    for given in ({}, {"text": "chair"}, {"attribute": "item"}):
        found = client.get("/api/traces", params={"limit": 1, **given}).json()
        assert (len(found["traces"]), found["found"]) == (1, 2)
    for given, expected in (({"text": "nothing"}, 0), ({"attribute": "http.response.status_code=500"}, 1)):
        assert client.get("/api/traces", params=given).json()["found"] == expected


def test_the_map(client, store):
    """It takes the parameters of the list, and more traces."""
    found = client.get("/api/map").json()
    assert {one["name"] for one in found["nodes"]} == {"shop", "stock"}
    assert (found["calls"][0]["from"], found["calls"][0]["to"], found["calls"][0]["count"]) == (
        "shop",
        "stock",
        2,
    )
    assert (found["traces"], found["found"], found["seconds"]) == (2, 2, 1.09)
    found = client.get("/api/map", params={"limit": 1}).json()
    assert (found["traces"], found["found"]) == (1, 2)
    assert client.get("/api/map", params={"text": "nothing"}).json()["nodes"] == []
    store.add_traces(request(*[span(1, trace=f"{at:032x}") for at in range(1, 101)]))
    assert client.get("/api/map").json()["traces"] == 102


def test_a_comparison_of_traces(client, store):
    """By their ids or the beginnings; a trace of log records alone has nothing to compare."""
    found = client.get("/api/compare", params={"left": TRACE[:6], "right": OTHER}).json()
    assert (found["left"]["trace_id"], found["right"]["trace_id"]) == (TRACE, OTHER)
    assert [one["delta_ms"] for one in found["rows"]] == [0.0, 0.0, 0.0]
    assert client.get("/api/compare", params={"left": TRACE, "right": "9999"}).status_code == 404
    assert client.get("/api/compare", params={"left": TRACE}).status_code == 422
    store.add_logs(logs(trace="7" * 32))
    assert client.get("/api/compare", params={"left": "7" * 32, "right": OTHER}).status_code == 404


def test_a_comparison_of_builds(client, store):
    """The two newest ones of a service, or given ones."""
    assert client.get("/api/builds").json() == {"builds": []}
    for at, instance in enumerate("ab"):
        one = span(1, "", "job", at * 100, at * 100 + 7 + at, trace=f"{at + 1:032x}")
        store.add_traces(request(one, instance=instance, version="1"))
    newest, _ = client.get("/api/builds", params={"service": "shop"}).json()["builds"]
    assert newest == {
        "service": "shop", "instance": "b", "version": "1", "first_ns": "1700000000100000000",
        "last_ns": "1700000000108000000", "traces": 1,
    }  # fmt: skip
    found = client.get("/api/compare-builds", params={"service": "shop"}).json()
    assert (found["left"]["instance"], found["right"]) == ("a", newest)
    (route,) = found["routes"]
    assert (route["name"], route["left"]["p50_ms"], route["right"]["p50_ms"]) == ("job", 7.0, 8.0)
    found = client.get("/api/compare-builds", params={"service": "shop", "right": "a"}).json()
    assert (found["left"], found["right"]["instance"]) == (None, "a")
    assert client.get("/api/compare-builds", params={"service": "shop", "left": "x"}).status_code == 404


@pytest.mark.parametrize(("form", "begin"), [("otlp", "{"), ("jaeger", "{"), ("md", "### GET")])
def test_export(client, form, begin):
    """As a file to save."""
    response = client.get(f"/api/traces/{TRACE}/export", params={"format": form})
    assert response.text.startswith(begin)
    assert response.headers["content-disposition"].startswith(f"attachment; filename=trace-{TRACE}.")
    assert client.get("/api/traces/9999/export").status_code == 404


@pytest.mark.parametrize(
    "path", ["/", "/?status=error", "/map", "/compare", "/builds", f"/trace/{TRACE[:6]}"]
)
def test_the_page(client, path):
    """It is the same at each of its paths. Its script and its styles are files of their own."""
    response = client.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert "/page/main.js" in response.text
    policy = response.headers["content-security-policy"]
    assert "script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'" in policy


def test_the_page_of_a_trace_that_is_not_held(client):
    """It is 404, and still the page, which says why."""
    response = client.get("/trace/9999")
    assert response.status_code == 404
    assert "/page/main.js" in response.text


def test_other_files_are_not_served(tmp_path):
    """The page has files of some types only."""
    for name in ("main.js", "notes.txt"):
        (tmp_path / name).write_text("1;")
    files = StaticFiles(tmp_path)
    assert files.get("main.js") == (b"1;", "text/javascript; charset=utf-8")
    assert files.get("notes.txt") is None


def test_the_files_of_the_page(client):
    """They have their types; the path of a request opens no other file."""
    assert client.get("/page/main.js").headers["content-type"].startswith("text/javascript")
    assert client.get("/page/style.css").headers["content-type"].startswith("text/css")
    for name in ("app.py", "..%2Fapp.py", "%2e%2e/app.py", "/etc/passwd", "main.js%00"):
        assert client.get(f"/page/{name}").status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "localhost:16686"}, 200),
        ({"host": "[::1]:16686"}, 200),
        ({"host": "127.0.0.1:16686", "origin": OWN}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "[evil"}, 403),
        ({"host": ""}, 403),
        ({"host": "127.0.0.1:16686", "origin": "http://127.0.0.1:3000"}, 403),
        ({"host": "127.0.0.1:16686", "origin": "null"}, 403),
    ],
)
def test_host_and_origin_are_checked(client, headers, status):
    """Other names and other pages get nothing, and no response allows another page to read it."""
    response = client.get("/api/traces", headers=headers)
    assert response.status_code == status
    assert "access-control-allow-origin" not in response.headers
    assert response.headers["content-security-policy"].startswith("default-src 'none'")


def test_other_scopes_pass():
    """Such as that of the start of the server."""
    calls = []

    async def app(scope, receive, send):
        calls.append(scope["type"])

    asyncio.run(LocalOnly(app)({"type": "lifespan"}, None, None))
    assert calls == ["lifespan"]


def read_events(store, count, act):
    """The first events of a stream; `act` runs after each."""

    async def read():
        found = []
        async for event in live.events(store, lambda: len(found) >= count):
            found.append(event)
            if len(found) < count:
                await asyncio.to_thread(act, len(found))
        return found

    return asyncio.run(read())


def test_live_arrival(store, monkeypatch):
    """Each change is an event; more of them than one holds ask for a new list; the stream ends with the server."""
    monkeypatch.setattr(live, "_MOST_PER_EVENT", 2)

    def act(number):
        if number == 1:
            store.add_traces(request(span(9, 1, "late")))
        else:
            store.add_traces(request(*[span(1, trace=f"{at:032x}") for at in range(1, 5)]))

    first, second, third = read_events(store, 3, act)
    assert first.startswith(b"retry: ")
    (changed,) = json.loads(second.partition(b"data: ")[2])
    assert (changed["trace_id"], changed["spans"]) == (TRACE, 4)
    assert third.startswith(b"event: reload\n")
    assert not store._listeners


def test_a_silent_stream_stays_open(store, monkeypatch):
    """By a comment after a while."""
    monkeypatch.setattr(live, "_WAIT_S", 0.01)
    monkeypatch.setattr(live, "_KEEP_ALIVE_S", 0.02)
    assert read_events(store, 2, lambda _number: None)[1] == b": nothing new\n\n"


def test_events_are_served(store):
    """With their type."""
    with TestClient(build_app(store, lambda: True), base_url=OWN) as client:
        response = client.get("/api/live")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text == "retry: 1000\n\n"
