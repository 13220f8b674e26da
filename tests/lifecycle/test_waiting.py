"""The wait at the end of a process: shorter where a person waits and no collector listens."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from eco2_tracing import configure_tracing, flush_tracing, span, tracing_status
from eco2_tracing._lifecycle import tracing, waiting
from eco2_tracing._lifecycle.configure import _process
from eco2_tracing._lifecycle.waiting import Patience, person_waits
from tests.support.servers import free_port

SLICE_S = waiting._SLICE_S


class Exporter:
    """An exporter with a clock: each flush takes its whole time, and one of its outcomes."""

    def __init__(self, clock, outcomes, error=None, error_after_s=0.0, answered=True):
        self.is_answered = lambda: answered
        self.clock = clock
        self.outcomes = list(outcomes)
        self.error = error
        self.error_after_s = error_after_s
        self.begun = clock.now

    def force_flush(self, timeout_millis):
        """Take the time."""
        self.clock.now += timeout_millis / 1000
        return self.outcomes.pop(0) if self.outcomes else False

    def stats(self):
        """The latest error."""
        has_failed = self.error and self.clock.now - self.begun >= self.error_after_s
        return SimpleNamespace(
            last_error=self.error if has_failed else None,
            last_error_at=datetime.now(UTC) if has_failed else None,
        )


@pytest.fixture
def clock(monkeypatch):
    """A clock that only flushes move."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(waiting, "monotonic", lambda: clock.now)
    return clock


def test_a_person_waits_in_the_foreground(monkeypatch):
    """Of a terminal on stderr or stdin, or anywhere under `--reload`; not in the background."""
    assert person_waits(["uvicorn", "app:app", "--reload"], ())
    assert person_waits(["fastapi", "dev"], ())
    assert not person_waits(["uvicorn", "dev:app"], ())
    with Path(os.devnull).open() as no_terminal:
        assert not person_waits(["uvicorn"], [no_terminal.fileno()])
    monkeypatch.setattr(os, "tcgetpgrp", lambda stream: os.getpgrp() if stream == 7 else 1)
    assert person_waits(["uvicorn"], (2, 7))
    assert not person_waits(["uvicorn"], (2, 0))


def test_a_collector_that_answers_gets_everything(clock):
    """Slow as it is: the wait goes on to its limit."""
    slow = Exporter(clock, [False] * 50 + [True])
    assert Patience().useful_seconds([slow], 2.5) == pytest.approx(2.5 - 51 * SLICE_S)
    assert Patience().useful_seconds([Exporter(clock, [])], 2.5) == 0
    assert Patience().useful_seconds([], 2.5) == 2.5


@pytest.mark.parametrize(
    ("error", "waited_s"),
    [("[Errno 111] Connection refused", SLICE_S), ("UNAVAILABLE", 0.56)],
)
def test_an_address_that_fails(clock, error, waited_s):
    """Refused connections end the wait at once, other failures after a retry."""
    before = clock.now
    assert Patience().useful_seconds([Exporter(clock, [], error)], 2.5) == 0
    assert clock.now - before == pytest.approx(waited_s)


def test_an_address_that_sends_nothing(clock):
    """It has half a second."""
    before = clock.now
    assert Patience().useful_seconds([Exporter(clock, [], answered=False)], 2.5) == 0
    assert clock.now - before == pytest.approx(0.5, abs=1.5 * SLICE_S)


def test_the_next_wait_of_the_same_end(clock):
    """It does not try again, unless it comes later."""
    patience = Patience()
    exporter = Exporter(clock, [], "refused")
    assert patience.useful_seconds([exporter], 2.5) == 0
    before = clock.now
    assert patience.useful_seconds([exporter], 2.4) == 0
    assert clock.now == before
    clock.now += 5
    assert patience.useful_seconds([Exporter(clock, [True])], 2.4) == pytest.approx(2.4 - SLICE_S)


def test_one_of_two_addresses_fails(clock):
    """The other one gets everything."""
    exporters = [Exporter(clock, [], "refused"), Exporter(clock, [False, True])]
    before = clock.now
    assert Patience().useful_seconds(exporters, 2.5) == 0
    assert clock.now - before == pytest.approx(4 * SLICE_S)


def test_an_earlier_failure_does_not_count(clock):
    """The collector may be back."""
    exporter = Exporter(clock, [False, True])
    exporter.stats = lambda: SimpleNamespace(
        last_error="refused", last_error_at=datetime.now(UTC) - timedelta(seconds=5)
    )
    assert Patience().useful_seconds([exporter], 2.5) == pytest.approx(2.5 - 2 * SLICE_S)


def test_the_end_of_a_process_with_no_collector(monkeypatch, caplog):
    """The rest of the budget is not used; a collector that answers gets the spans."""
    monkeypatch.setattr(tracing, "person_waits", lambda: True)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    configure_tracing("shop")
    waits = []
    monkeypatch.setattr(_process.tracing.delivery, "flush", waits.append)
    with span("lost"):
        pass
    _process.tracing.flush_at_end()
    assert waits == [0]
    assert "OTEL_TRACES_EXPORTER to waterfall" in caplog.text
    monkeypatch.undo()


def test_the_end_of_a_process_with_a_collector(monkeypatch, otlp_receiver):
    """It gets everything, and nothing is left to wait for."""
    monkeypatch.setattr(tracing, "person_waits", lambda: True)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp_receiver.grpc_endpoint)
    configure_tracing("shop")
    with span("sent"):
        pass
    assert _process.tracing.flush_at_end()
    assert [span.name for span in otlp_receiver.spans] == ["sent"]
    assert flush_tracing()
    assert tracing_status().spans_sent == 1


def test_the_end_of_a_process_with_a_slow_collector(monkeypatch, otlp_receiver):
    """It has sent its HTTP/2 settings, so that the wait goes on beyond the time for an address that sends nothing."""
    monkeypatch.setattr(tracing, "person_waits", lambda: True)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp_receiver.grpc_endpoint)
    configure_tracing("shop")
    otlp_receiver.answer_after(waiting._SILENCE_S + 0.3)
    with span("sent"):
        pass
    assert _process.tracing.flush_at_end()
    assert [span.name for span in otlp_receiver.spans] == ["sent"]


def test_the_end_of_a_process_whose_collector_sends_nothing(monkeypatch):
    """The connection is accepted, and the spans are given up."""
    monkeypatch.setattr(tracing, "person_waits", lambda: True)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        configure_tracing("shop")
        with span("lost"):
            pass
        waits = []
        monkeypatch.setattr(_process.tracing.delivery, "flush", waits.append)
        _process.tracing.flush_at_end()
        assert waits == [0]
        monkeypatch.undo()


def test_a_processor_of_the_application(monkeypatch):
    """It has the whole time: its address may answer."""
    monkeypatch.setattr(tracing, "person_waits", lambda: True)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    processor = SimpleNamespace(
        on_start=lambda *_: None, on_end=lambda _: None, shutdown=lambda: None, force_flush=lambda _: True
    )
    configure_tracing("shop", span_processors=[processor])
    waits = []
    monkeypatch.setattr(_process.tracing.delivery, "flush", waits.append)
    _process.tracing.flush_at_end()
    assert waits == [pytest.approx(2.5, abs=1)]
    monkeypatch.undo()


def test_a_disabled_configuration_has_nothing_to_wait_for(monkeypatch):
    """There is no sampler and no exporter."""
    monkeypatch.setattr(tracing, "person_waits", lambda: True)
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    configure_tracing("shop")
    assert _process.tracing.shutdown_at_end()
