"""The terminal that follows: what it prints, and when."""

from __future__ import annotations

import io
import threading

import pytest

from eco2_tracing._view import follow
from eco2_tracing._view.follow import Follower
from eco2_tracing._view.store import Store
from tests.view.requests import OTHER, TRACE, logs, request, shop, span


class Terminal:
    """A follower with its clock and what it has printed."""

    def __init__(self):
        self.now = 100.0
        self.store = Store()
        self.stream = io.StringIO()
        self.follower = Follower(self.store, self.stream, lambda: self.now)

    def after(self, seconds):
        """Let time pass; return what is printed then."""
        self.now += seconds
        before = len(self.stream.getvalue())
        self.follower.print_due()
        return self.stream.getvalue()[before:]


@pytest.fixture
def terminal(monkeypatch):
    """A follower of a store."""
    monkeypatch.delenv("COLUMNS", raising=False)  # a narrow terminal shows a part of the ids
    made = Terminal()
    yield made
    made.store.close()


def test_a_trace_is_printed_once_it_is_quiet(terminal):
    """A line when all is well, whatever the order of its spans."""
    terminal.store.add_traces(shop())
    assert terminal.after(0.2) == ""
    terminal.store.add_traces(request(span(9, 1, "late")))
    assert terminal.after(0.4) == ""
    (line,) = terminal.after(0.2).splitlines()
    assert "GET /cart/{item}" in line
    assert terminal.after(60) == ""


def test_a_failed_trace_is_a_tree(terminal):
    """With its services, log lines and exception."""
    terminal.store.add_traces(shop(error=True))
    terminal.store.add_logs(logs())
    text = terminal.after(1)
    for expected in (
        "shop GET /cart/{item}",
        "stock GET /stock",
        "the cart is empty",
        "ValueError: no coupon",
    ):
        assert expected in text


def test_late_spans_are_printed_as_such(terminal):
    """Once, and without what was printed before; repetitions and late log records print nothing."""
    terminal.store.add_traces(shop())
    terminal.after(1)
    terminal.store.add_traces(request(span(9, 1, "job", error=True)))
    text = terminal.after(1)
    assert "these spans ended after their request" in text
    assert "/cart" not in text
    terminal.store.add_logs(logs())
    assert terminal.after(1) == ""


def test_a_trace_that_never_ends_is_printed(terminal):
    """After ten seconds, though it changes on and on."""
    printed = []
    for number in range(1, 27):
        terminal.store.add_traces(request(span(number, trace=OTHER)))
        printed.append(terminal.after(0.4))
    assert sum(map(bool, printed)) == 1


def test_floods_are_bounded_and_counted(terminal, monkeypatch):
    """Twenty a turn; what waits beyond the limit is a number; old ids are forgotten, and removed traces are skipped."""
    monkeypatch.setattr(follow, "_MOST_WAITING", 25)
    monkeypatch.setattr(follow, "_MOST_PRINTED", 2)
    terminal.store.add_traces(request(*[span(1, trace=f"{at:032x}", name=f"n{at}") for at in range(1, 31)]))
    lines = terminal.after(1).splitlines()
    assert len(lines) == 21
    assert lines[-1].startswith("… 5 more traces")
    assert len(terminal.after(1).splitlines()) == 5
    terminal.follower.changed(["f" * 32])
    assert terminal.after(1) == ""


def test_it_runs_until_it_is_stopped(terminal):
    """And prints what waits then."""
    stopped = threading.Event()
    thread = threading.Thread(target=terminal.follower.run, args=(stopped,))
    thread.start()
    terminal.store.add_traces(shop())
    stopped.set()
    thread.join()
    assert "GET /cart/{item}" in terminal.stream.getvalue()
    assert TRACE in terminal.stream.getvalue()
