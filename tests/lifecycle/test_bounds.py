"""The end of a process waits a limited time for a collector that does not answer."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.export.receivers import BlackHole
from tests.lifecycle.servers import LIMIT_S, SERVERS, environment, serving
from tests.support import programs
from tests.support.servers import free_port

BOUND_S = 5.0


@contextmanager
def black_hole() -> Iterator[str]:
    """An endpoint that accepts connections and never answers."""
    with BlackHole() as hole:
        yield f"http://127.0.0.1:{hole.port}"


@contextmanager
def refused() -> Iterator[str]:
    """An endpoint that refuses connections."""
    yield f"http://127.0.0.1:{free_port()}"


@pytest.mark.parametrize("endpoint", [black_hole, refused])
@pytest.mark.parametrize("name", ["uvicorn", "gunicorn", "gunicorn --preload"])
def test_a_full_queue_does_not_hold_up_the_exit(name, endpoint, tmp_path):
    """Lifespan, signal and exit together take five seconds at most, and leave the exit status as it is."""
    server = SERVERS[name]
    pytest.importorskip(server.needs)
    with ExitStack() as stack:
        url = stack.enter_context(endpoint())
        environ = environment(url, OTEL_BSP_MAX_QUEUE_SIZE="20", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="20")
        running = [
            stack.enter_context(serving(command, tmp_path / kind, environ))
            for kind, command in server.commands().items()
        ]
        for served in running:
            served.wait_for(served.answers)
        for served in running:
            served.work(30)
        ends: dict[int, tuple[int, float]] = {}
        threads = [
            threading.Thread(target=lambda n=n, s=s: ends.update({n: s.stop(signal.SIGTERM)}))
            for n, s in enumerate(running)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT_S)
    assert {code for code, _ in ends.values()} == {server.at_sigterm}
    assert max(seconds for _, seconds in ends.values()) <= BOUND_S


@pytest.mark.parametrize("worker", ["sync", "gevent"])
def test_a_master_and_its_workers_end_in_one_budget(worker, tmp_path):
    """Both have spans that no collector takes: the master ends after its workers, and waits for the rest."""
    for name in ("flask", f"gunicorn.workers.{worker if worker == 'sync' else 'ggevent'}"):
        pytest.importorskip(name)
    command = [sys.executable, "-W", "ignore", "-m", "gunicorn", "tests.lifecycle.flasked:app", "--preload"]
    command += ["-b", "127.0.0.1:{port}", "-k", worker, "-w", "2"]
    with (
        black_hole() as url,
        serving(command, tmp_path / "log", environment(url, SPAN_AT_IMPORT="1")) as served,
    ):
        served.wait_for(served.answers)
        served.work(12)
        code, seconds = served.stop(signal.SIGTERM)
    assert code == 0
    assert seconds <= BOUND_S


def test_the_event_loop_goes_on_while_a_lifespan_ends(tmp_path):
    """The flush at the end of a lifespan does not block the event loop."""
    with black_hole() as url:
        done = programs.run(
            [sys.executable, "-m", "tests.lifecycle.ticking"],
            env=environment(url),
            timeout=LIMIT_S,
        )
    assert done.returncode == 0, done.stderr
    flushed_s, longest_s = map(float, done.stdout.split())
    assert flushed_s > 1.0
    assert longest_s < flushed_s / 4
