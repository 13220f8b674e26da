"""After an outage, spans arrive without a flush, in limited time, and none is lost."""

from __future__ import annotations

from typing import Any

import pytest

from eco2_tracing._export.batch.worker import MAX_BACKOFF_S
from eco2_tracing._settings import TracingSettings
from tests.export.conftest import Open
from tests.export.paths import Path
from tests.export.receivers import GrpcReceiver, HttpReceiver, eventually
from tests.export.spans import make_span
from tests.support.servers import free_port

PATIENCE_S = 15.0


def test_the_longest_wait() -> None:
    """One timed-out try and the longest backoff fit into 15 s."""
    assert TracingSettings().otlp.timeout_s + MAX_BACKOFF_S <= PATIENCE_S


@pytest.mark.parametrize("used", [True, False], ids=["a connection is open", "none is"])
@pytest.mark.parametrize("fault", ["silent", "reset"])
def test_a_way_that_breaks(
    fault: str, used: bool, receiver: Any, open_batcher: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """Spans arrive after half-open connections, hanging peers and resets, without a flush."""
    with Path(receiver.port) as path:
        scheme = "" if isinstance(receiver, GrpcReceiver) else "http://"
        endpoint = f"{scheme}127.0.0.1:{path.port}" + ("/v1/traces" if scheme else "")
        batcher = open_batcher(endpoint, timeout_s=0.3)
        expected = []
        if used:
            batcher.on_end(make_span("before"))
            assert batcher.force_flush(20_000)
            expected.append("before")
        path.fault = fault
        batcher.on_end(make_span("during"))
        eventually(lambda: batcher.stats().last_error)
        path.fault = None
        batcher.on_end(make_span("after"))
        eventually(lambda: batcher.stats().sent == len(expected) + 2)
        assert receiver.names == [*expected, "during", "after"]
        assert sum(batcher.stats().dropped.values()) == 0
        eventually(lambda: len(caplog.messages) == 2)
        assert ["again after" in line for line in caplog.messages] == [False, True]
        assert batcher.shutdown()


@pytest.mark.parametrize("kind", [GrpcReceiver, HttpReceiver])
def test_a_port_that_was_closed(kind: Any, open_batcher: Open) -> None:
    """A collector that starts late or restarts gets the queued spans."""
    port = free_port()
    batcher = open_batcher(
        f"127.0.0.1:{port}" if kind is GrpcReceiver else f"http://127.0.0.1:{port}/v1/traces"
    )
    # The HTTP receiver goes on with the connections that it has when it is closed.
    names = ("early", "later") if kind is GrpcReceiver else ("early",)
    for name in names:
        batcher.on_end(make_span(name))
        eventually(lambda: batcher.stats().last_error)
        with kind(port) as receiver:
            eventually(lambda: batcher.stats().queued == 0)
            assert receiver.names == [name]
    assert batcher.stats().sent == len(names)
    assert batcher.shutdown()


def test_a_server_that_goes_away_politely(open_batcher: Open) -> None:
    """After a GOAWAY during a call, that call finishes and the next one uses a new connection."""
    port = free_port()
    batcher = None
    names = []
    for name in ("one", "two", "three"):
        with GrpcReceiver(port) as receiver:
            batcher = batcher or open_batcher(receiver.endpoint)
            batcher.on_end(make_span(name))
            eventually(lambda receiver=receiver: receiver.names)
            receiver.stop(grace=5)
            names += receiver.names
    assert batcher
    assert names == ["one", "two", "three"]
    assert sum(batcher.stats().dropped.values()) == 0
    assert batcher.shutdown()
