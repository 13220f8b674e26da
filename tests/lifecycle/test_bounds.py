"""The end of a process waits a limited time for a collector that does not answer."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec

import pytest

from tests.export.receivers import BlackHole
from tests.lifecycle.servers import LIMIT_S, SERVERS, environment, serving, stop_together
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


WORKERS = {"sync": ("gunicorn", "flask"), "gevent": ("gunicorn", "flask", "gevent")}
"""Kinds of workers of gunicorn, and what each needs."""
FULL = [
    (name, end) for name in ("uvicorn", "gunicorn", "gunicorn --preload") for end in (black_hole, refused)
]


def stop_full(name, endpoint, folder, ready: threading.Barrier) -> list[tuple[int, float]]:
    """Fill the queues of a server, with a lifespan and without; return status and seconds of their ends."""
    with ExitStack() as stack:
        url = stack.enter_context(endpoint())
        environ = environment(url, OTEL_BSP_MAX_QUEUE_SIZE="20", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="20")
        running = [
            stack.enter_context(serving(command, folder / f"{name} {endpoint.__name__} {kind}", environ))
            for kind, command in SERVERS[name].commands().items()
        ]
        for served in running:
            served.wait_for(served.answers)
        for served in running:
            served.work(30)
        ready.wait(2 * LIMIT_S)
        return stop_together(running)


@pytest.fixture(scope="module")
def full_ends(tmp_path_factory):
    """The ends of all servers, which are stopped at the same time because they wait."""
    folder = tmp_path_factory.mktemp("full")
    cases = [case for case in FULL if find_spec(SERVERS[case[0]].needs)]
    ready = threading.Barrier(len(cases))
    with ThreadPoolExecutor(len(cases)) as pool:
        return dict(zip(cases, pool.map(lambda case: stop_full(*case, folder, ready), cases), strict=True))


@pytest.mark.quiet
@pytest.mark.parametrize("endpoint", [black_hole, refused])
@pytest.mark.parametrize("name", ["uvicorn", "gunicorn", "gunicorn --preload"])
def test_a_full_queue_does_not_hold_up_the_exit(name, endpoint, full_ends):
    """Lifespan, signal and exit together take five seconds at most, and leave the exit status as it is."""
    pytest.importorskip(SERVERS[name].needs)
    ends = full_ends[name, endpoint]
    assert {code for code, _ in ends} == {SERVERS[name].at_sigterm}
    assert max(seconds for _, seconds in ends) <= BOUND_S


@pytest.fixture(scope="module")
def masters_ends(tmp_path_factory):
    """The ends of a gunicorn with each kind of worker, after spans that no collector takes."""
    folder = tmp_path_factory.mktemp("masters")
    command = [sys.executable, "-W", "ignore", "-m", "gunicorn", "tests.lifecycle.flasked:app", "--preload"]
    command += ["-b", "127.0.0.1:{port}", "-w", "2", "-k"]
    there = [worker for worker, needs in WORKERS.items() if all(map(find_spec, needs))]
    with black_hole() as url, ExitStack() as stack:
        environ = environment(url, SPAN_AT_IMPORT="1")
        running = [
            stack.enter_context(serving([*command, worker], folder / worker, environ)) for worker in there
        ]
        for served in running:
            served.wait_for(served.answers)
            served.work(12)
        return dict(zip(there, stop_together(running), strict=True))


@pytest.mark.quiet
@pytest.mark.parametrize("worker", WORKERS)
def test_a_master_and_its_workers_end_in_one_budget(worker, masters_ends):
    """Both have spans that no collector takes: the master ends after its workers, and waits for the rest."""
    if worker not in masters_ends:
        pytest.skip(f"one of {', '.join(WORKERS[worker])} is not installed")
    code, seconds = masters_ends[worker]
    assert code == 0
    assert seconds <= BOUND_S


@pytest.mark.quiet
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
