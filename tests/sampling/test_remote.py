"""Following a server: off the request path, through its absences, forks and the end."""

from __future__ import annotations

import logging
import os
import threading

import pytest
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from eco2_tracing.sampling import JaegerRemote
from eco2_tracing.sampling._remote.fetch import parse_endpoint
from eco2_tracing.sampling._remote.sampler import rate_limiter
from tests.support.jaeger import wait_for


def ratio(rate):
    """What a server answers for a ratio."""
    return {"probabilisticSampling": {"samplingRate": rate}}


class Server:
    """A server that a function call polls."""

    def __init__(self, answer=None):
        self.answer = answer if answer is not None else ratio(0.5)
        self.asked = 0
        self.instrumented = None

    def __call__(self):
        self.asked += 1
        self.instrumented = is_instrumentation_enabled()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def remote(server, clock):
    """Makes samplers that follow the server, and ends them."""
    made = []

    def make(interval_s=3600.0, fetch=server, endpoint="http://jaeger:5778/sampling"):
        sampler = JaegerRemote(
            parse_endpoint(endpoint),
            "shop",
            interval_s=interval_s,
            initial_ratio=0.25,
            limiter=rate_limiter(1, clock),
            fetch=fetch,
        )
        made.append(sampler)
        return sampler

    yield make
    for sampler in made:
        sampler.close()


def test_nothing_is_asked_before_the_first_decision(remote, server):
    """Until then there is no thread; the initial ratio is in force."""
    sampler = remote()
    assert sampler.probability("GET") == 0.25
    assert sampler.jaeger_tags("GET") == ("probabilistic", 0.25)
    assert sampler.get_description() == "JaegerRemote{http://jaeger:5778/sampling: TraceIdRatioBased{0.25}}"
    assert sampler._thread is None
    assert server.asked == 0


def test_the_first_decision_starts_one_thread(remote, server):
    """It decides at once by the initial ratio, and the server's answer comes in the background."""
    sampler = remote()
    assert sampler.sample(0, "GET") in (0.25, 0.5)
    wait_for(lambda: sampler.probability("GET") == 0.5)
    sampler.decide(0, "GET")
    assert [t.daemon for t in threading.enumerate() if t.name == "eco2-tracing-sampling"] == [True]
    assert server.instrumented is False


def test_the_server_is_asked_again(remote, server):
    """A strategy that changes is followed without a restart."""
    sampler = remote(interval_s=0.005)
    sampler.decide(0, "GET")
    wait_for(lambda: sampler.probability("GET") == 0.5)
    server.answer = ratio(0.75)
    wait_for(lambda: sampler.probability("GET") == 0.75)


def test_whether_names_matter_is_the_strategys(remote, server):
    """A strategy by operation needs span names from the poll that fetches it."""
    sampler = remote()
    assert sampler.refresh()
    assert not sampler.needs_name
    each = {"operation": "GET", "probabilisticSampling": {"samplingRate": 1}}
    server.answer = {
        "operationSampling": {"defaultSamplingProbability": 0.5, "perOperationStrategies": [each]}
    }
    assert sampler.refresh()
    assert sampler.needs_name


def test_a_strategy_that_did_not_change_keeps_its_state(remote, server):
    """A limiter that knows the load is not begun anew by each poll."""
    server.answer = {"rateLimitingSampling": {"maxTracesPerSecond": 5}}
    sampler = remote()
    assert sampler.refresh()
    limiter = sampler._current
    assert sampler.refresh()
    assert sampler._current is limiter


@pytest.mark.parametrize(
    "bad", [OSError("away"), "nonsense", {}, {"probabilisticSampling": {"samplingRate": 9}}]
)
def test_the_last_good_strategy_is_kept(remote, server, caplog, bad):
    """While the server is away or sends no strategy; one warning says what is used."""
    sampler = remote()
    assert sampler.refresh()
    server.answer = bad
    assert [sampler.refresh() for _ in range(3)] == [False] * 3
    assert sampler.probability("GET") == 0.5
    server.answer = ratio(0.1)
    assert sampler.refresh()
    assert sampler.probability("GET") == 0.1
    told = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(told) == 1
    assert "http://jaeger:5778/sampling" in told[0]
    assert "TraceIdRatioBased{0.5} stays in use" in told[0]


def test_close_ends_the_thread_at_once(remote, server):
    """Between two polls an hour apart; the last strategy stays in use and nothing starts again."""
    sampler = remote()
    sampler.decide(0, "GET")
    thread = sampler._thread
    wait_for(lambda: sampler.probability("GET") == 0.5)
    sampler.close()
    assert not thread.is_alive()
    sampler.close()
    assert sampler.sample(0, "GET") == 0.5
    assert not thread.is_alive()
    assert server.asked == 1


def test_close_ends_a_question_that_is_not_answered(remote, caplog):
    """A server that holds the connection is left, without a warning."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        sampler = remote(fetch=None, endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}")
        sampler.decide(0, "GET")
        thread = sampler._thread
        connection, _ = silent.accept()
        with connection:
            connection.recv(1)
            sampler.close()
            thread.join(30)
    assert not thread.is_alive()
    assert not caplog.records


def test_close_before_the_first_decision_and_from_the_thread_itself(remote, clock):
    """No thread is begun any more; a fetch that closes its own sampler does not wait for itself."""
    sampler = remote()
    sampler.close()
    sampler.decide(0, "GET")
    assert sampler._thread is None
    closing = remote(fetch=lambda: closing.close())  # noqa: PLW0108 - it is not bound yet
    closing.decide(0, "GET")
    closing._thread.join(30)
    assert not closing._thread.is_alive()


def test_many_first_decisions_start_one_thread(remote, server):
    """Threads that decide at the same moment start it once."""
    sampler = remote()
    starters = [threading.Thread(target=sampler.sample, args=(0, "GET")) for _ in range(8)]
    with sampler._lock:
        for starter in starters:
            starter.start()
    for starter in starters:
        starter.join()
    wait_for(lambda: sampler.probability("GET") == 0.5)
    assert server.asked == 1


def test_a_thread_that_cannot_start_leaves_the_initial_ratio(remote, monkeypatch, caplog):
    """At the end of the interpreter no thread starts; requests go on."""

    def refuse(self):
        raise RuntimeError("can't start new thread")

    sampler = remote()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert sampler.sample(0, "GET") == 0.25
    sampler._thread = None
    assert "can't start new thread" in caplog.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_polls_for_itself(remote, server):
    """The parent's thread is not there; the child's next decision starts its own."""
    sampler = remote()
    sampler.decide(0, "GET")
    wait_for(lambda: server.asked == 1)
    server.answer = ratio(0.75)
    pid = os.fork()
    if pid == 0:  # pragma: no cover - runs in the child
        sampler.decide(0, "GET")
        wait_for(lambda: sampler.probability("GET") == 0.75)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert sampler.probability("GET") == 0.5
