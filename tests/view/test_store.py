"""The store: what it holds, finds, removes and counts."""

from __future__ import annotations

import sqlite3
import threading

import pytest

from eco2_tracing._view.search import SORTS, Query
from eco2_tracing._view.store import Store, StoreError
from tests.view.requests import OTHER, TRACE, logs, request, shop, span


@pytest.fixture
def store():
    """A store in memory."""
    made = Store()
    yield made
    made.close()


def found(store, **query):
    """The ids of the traces that a query finds."""
    return [one.trace_id for one in store.search(Query(**query))]


def test_a_trace_has_a_summary(store):
    """Its root is that without parent, whatever arrives first."""
    whole = shop()
    parts = [type(whole)(resource_spans=[group]) for group in whole.resource_spans]
    for part in reversed(parts):
        store.add_traces(part)
    (summary,) = store.search(Query())
    assert (summary.service, summary.name, summary.route) == ("shop", "GET /cart/{item}", "GET /cart/{item}")
    assert (summary.status, summary.spans, summary.errors) == ("200", 3, 0)
    assert summary.duration_ns == 90_000_000
    assert summary.services == ("shop", "stock")
    assert store.services() == ["shop", "stock"]


def test_a_server_stands_for_a_root_that_has_not_arrived(store):
    """Among spans with a parent, the first server's is the root; without a server's, the first."""
    store.add_traces(request(span(2, 9, "inner", start=1)))
    assert store.search(Query())[0].name == "inner"
    store.add_traces(
        request(span(3, 9, "server", kind=2, start=5), span(4, 9, "later", kind=2, start=6, http__route="/x"))
    )
    assert store.search(Query())[0].name == "server"
    assert store.search(Query())[0].route == "/x"


def test_a_request_that_is_sent_again_counts_once(store):
    """An exporter repeats a batch whose response was lost."""
    store.add_traces(shop())
    store.add_traces(shop())
    assert store.counts()["spans"] == 3


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"service": "stock"}, [OTHER, TRACE]),
        ({"service": "sto"}, []),
        ({"route": "CART"}, [OTHER, TRACE]),
        ({"route": "/pay"}, []),
        ({"status": "error"}, [OTHER]),
        ({"status": "ok"}, [TRACE]),
        ({"status": "500"}, [OTHER]),
        ({"status": "2xx"}, [TRACE]),
        ({"min_ms": 90}, [OTHER, TRACE]),
        ({"min_ms": 91}, []),
        ({"max_ms": 89}, []),
        ({"attributes": ("item=blue chair",)}, [OTHER, TRACE]),
        ({"attributes": ("item", "http.response.status_code=500")}, [OTHER]),
        ({"attributes": ("item=chair",)}, []),
        ({"attributes": ("nothing",)}, []),
        ({"attributes": ("raw=01ff", 'many=["a","b"]')}, [OTHER, TRACE]),
        ({"attributes": ("host.name=box",), "limit": 1}, [OTHER]),
        ({"text": "BLUE Chair"}, [OTHER, TRACE]),
        ({"text": "no coupon"}, [OTHER]),
        ({"text": TRACE[:8]}, [TRACE]),
        ({"trace_id": OTHER[:5].upper()}, [OTHER]),
        ({"trace_id": "zz"}, []),
        ({"attributes": ("item=blue chair", "item")}, [OTHER, TRACE]),
        ({"attributes": ("item=blue chair", "item=red chair")}, []),
        ({"limit": 1}, [OTHER]),
        ({"sort": "oldest"}, [TRACE, OTHER]),
    ],
)
def test_search(store, query, expected):
    """By each condition."""
    store.add_traces(request(span(8, 1, raw=b"\1\xff", many=["a", "b"]), into=shop()))
    store.add_traces(
        request(
            span(8, 1, start=1001, end=1002, trace=OTHER, raw=b"\1\xff", many=["a", "b"]),
            into=shop(OTHER, status=500, start=1000, error=True),
        )
    )
    assert found(store, **query) == expected


def test_every_sort_is_one(store):
    """Errors come first where that is asked for."""
    store.add_traces(shop(error=True))
    store.add_traces(shop(OTHER, start=1000))
    for sort in SORTS:
        assert len(found(store, sort=sort)) == 2
    assert found(store, sort="errors") == [TRACE, OTHER]


def test_log_records_belong_to_their_trace(store):
    """They may arrive before it, and alone they are no trace in the list."""
    store.add_logs(logs())
    assert found(store) == []
    store.add_traces(shop())
    assert store.search(Query(text="cart is empty"))[0].logs == 1
    (line,) = store.get(TRACE).lines
    assert (line["message"], line["log.level"], line["service.name"]) == (
        "the cart is empty",
        "warning",
        "shop",
    )


def test_log_records_of_one_trace_are_one_part(store):
    """They have one resource; a status that is no number and no text is none."""
    made = logs()
    made.resource_logs[0].scope_logs[0].log_records.append(made.resource_logs[0].scope_logs[0].log_records[0])
    store.add_logs(made)
    assert len(store.get(TRACE).logs.resource_logs) == 1
    store.add_traces(request(span(1, http__response__status_code=0.5)))
    assert (store.search(Query())[0].status, store.search(Query())[0].logs) == ("", 2)


def test_what_is_refused_is_counted(store):
    """Invalid ids, and log records without a trace id."""
    assert (
        store.add_traces(request(span(0, name="no id"), span(1, trace="00" * 16), span(2, name="fine"))) == 2
    )
    store.add_logs(logs(trace="00" * 16))
    assert store.counts()["refused"] == {"spans with an invalid id": 2, "log records without a trace id": 1}
    assert store.counts()["spans"] == 1


def test_the_oldest_traces_are_removed_beyond_the_limit():
    """The number of them is kept."""
    store = Store(most_bytes=20_000)
    ids = [f"{at:032x}" for at in range(1, 41)]
    for trace in ids:
        store.add_traces(request(span(1, trace=trace, text="x" * 500)))
    counts = store.counts()
    assert counts["bytes"] <= 20_000
    assert counts["removed_traces"] == 40 - counts["traces"] > 0
    assert store.get(ids[0]) is None
    assert found(store, limit=1000, sort="newest", trace_id=ids[-1]) == [ids[-1]]
    store.close()


def test_one_trace_cannot_take_all():
    """What is beyond a quarter of the limit is refused and counted."""
    store = Store(most_bytes=20_000)
    assert store.add_traces(request(span(1, text="x" * 4000))) == 0
    assert store.add_traces(request(span(2, text="y" * 4000), span(1, trace=OTHER))) == 1
    store.add_logs(logs(text="z" * 4000))
    assert store.counts()["refused"] == {"spans and log records of traces that are too large": 2}
    assert len(found(store)) == 2
    store.close()


def test_a_file_is_opened_again(tmp_path):
    """With its traces and the number of removed ones."""
    path = str(tmp_path / "traces.db")
    store = Store(path, most_bytes=8000)
    for number in range(1, 9):
        store.add_traces(request(span(1, trace=f"{number:032x}", text="x" * 300)))
    before = store.counts()
    store.close()
    store = Store(path, most_bytes=8000)
    assert store.counts() == before
    assert before["removed_traces"]
    assert store.ids("000") == [f"{number:032x}" for number in range(8, 8 - before["traces"], -1)]
    store.close()


def test_a_file_of_another_program_is_left_alone(tmp_path):
    """A database of others, and a file that is none."""
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE users (name)")
    other.close()
    with pytest.raises(StoreError, match="another program"):
        Store(str(path))
    path.write_text("no database " * 100)
    with pytest.raises(StoreError, match=r"other\.db cannot be used"):
        Store(str(path))


def test_a_file_of_another_version_is_left_alone(tmp_path):
    """Its tables differ; the message says what to do."""
    path = str(tmp_path / "traces.db")
    Store(path).close()
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version = 1")
    file.close()
    with pytest.raises(
        StoreError, match=r"another version of eco2-tracing .* choose another file, or remove"
    ):
        Store(path)


def test_summaries_of_given_traces(store):
    """Those that are held and have spans."""
    store.add_traces(shop())
    store.add_logs(logs(trace=OTHER))
    assert [one.trace_id for one in store.summaries([OTHER, TRACE, "7" * 32])] == [TRACE]


def test_listeners_are_called_until_they_end(store):
    """With the ids that have changed."""
    calls = []
    end = store.listen(calls.append)
    store.add_traces(shop())
    store.add_logs(logs(trace="00" * 16))
    end()
    store.add_traces(shop(OTHER))
    assert calls == [[TRACE]]


def test_threads_may_write_at_the_same_time(store):
    """Nothing is lost."""

    def write(number):
        for at in range(20):
            store.add_traces(request(span(at + 1, trace=f"{number:032x}")))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.counts()["spans"] == 80


def test_numbers_beyond_sqlite_are_cut(store):
    """The specification allows 64 bits without sign."""
    made = request(span(1))
    made.resource_spans[0].scope_spans[0].spans[0].end_time_unix_nano = 2**64 - 1
    made.resource_spans[0].scope_spans[0].spans[0].start_time_unix_nano = 2**64 - 1
    store.add_traces(made)
    assert store.search(Query())[0].start_ns == 2**63 - 1
