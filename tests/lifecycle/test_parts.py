"""Exit budget, signal handlers and waiting, each alone."""

from __future__ import annotations

import asyncio
import signal
import threading

import anyio
import pytest
from anyio.to_thread import current_default_thread_limiter
from opentelemetry.sdk.trace import SpanProcessor

from eco2_tracing import configure_tracing, shutdown_tracing
from eco2_tracing._lifecycle import processes
from eco2_tracing._lifecycle.delivery import (
    EXIT_BUDGET_S,
    LEAST_S,
    RENEWAL_S,
    WORKERS_END_S,
    Delivery,
    ExitBudget,
)
from eco2_tracing._lifecycle.processes import TerminationHandler


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_waits_share_one_budget():
    """Consecutive waits share the budget, and concurrent waits end together."""
    clock = Clock()
    budget = ExitBudget(threading.RLock(), 4.0, clock)
    with budget.spend() as left:
        assert left == 4.0
        clock.now += 1
        with budget.spend() as inner:
            assert inner == 3.0
            clock.now += 1
    clock.now += RENEWAL_S - 1
    with budget.spend() as left:
        assert left == 2.0
        clock.now += 5
    with budget.spend() as left:
        assert left == 0.0


def test_the_budget_leaves_room_for_the_rest_of_the_end():
    """The budget is half of the 5 s in which a process without a collector must end."""
    assert EXIT_BUDGET_S <= 5 / 2


def test_a_budget_comes_back():
    """The budget is whole again after 30 s without a wait."""
    clock = Clock()
    budget = ExitBudget(threading.RLock(), 4.0, clock)
    with budget.spend():
        clock.now += 4
    clock.now += RENEWAL_S + 1
    with budget.spend() as left:
        assert left == 4.0


def test_parent_and_children_share_one_budget():
    """A child's wait shortens the budget of a parent that ends soon after, once."""
    clock = Clock()
    parent = ExitBudget(threading.RLock(), 4.0, clock)
    child = parent.of_child(threading.RLock())
    with child.spend() as left:
        assert left == 4.0
        clock.now += 3
    clock.now += 1
    with parent.spend() as left:
        assert left == 1.0
    with parent.spend() as left:
        assert left == 1.0
    clock.now += RENEWAL_S + 1
    with parent.spend() as left:
        assert left == 4.0
    with child.spend():
        clock.now += 4
    clock.now += WORKERS_END_S + 1
    with parent.spend() as left:
        assert left == 4.0
    with child.of_child(threading.RLock()).spend():
        pass
    with parent.of_child(threading.RLock()).spend():
        clock.now += 5
    with parent.spend() as left:
        assert left == LEAST_S


@pytest.fixture
def handlers():
    """Put the process's signal handlers back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_signals_are_taken_only_where_they_would_kill(handlers):
    """Other handlers stay; ours is removed unless it was replaced."""
    handler = TerminationHandler(lambda: None)

    def theirs(*_) -> None: ...

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, theirs)
    handler.install()
    handler.install()
    assert signal.getsignal(signal.SIGINT) is theirs
    assert signal.getsignal(signal.SIGTERM) == handler._handle
    handler.remove()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    handler.install()
    signal.signal(signal.SIGTERM, theirs)
    handler.remove()
    assert signal.getsignal(signal.SIGTERM) is theirs


def test_other_threads_leave_signals_alone(handlers):
    """Only the main thread sets handlers."""
    handler = TerminationHandler(lambda: None)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for call in (handler.install, handler.remove):
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_server_that_has_the_signal_flushes_at_its_own_end(handlers):
    """The flush follows uvicorn's shutdown and may fail; ``remove`` restores the method."""
    from uvicorn import Config, Server

    flushed = []

    class Quick(Server):
        async def shutdown(self, sockets=None) -> None:
            flushed.append("server")

    def flush() -> None:
        flushed.append("flush")
        raise RuntimeError("told to")

    server = Quick(Config("app"))
    signal.signal(signal.SIGTERM, server.handle_exit)
    handler = TerminationHandler(flush)
    handler.install()
    handler.install()
    watched = server.shutdown
    asyncio.run(watched())
    assert flushed == ["server", "flush"]
    handler.remove()
    assert server.shutdown != watched
    asyncio.run(watched())
    assert flushed == ["server", "flush", "server"]


def no_asyncio(*_):
    """Raise as asyncio does under another loop."""
    raise RuntimeError("no running event loop")


def no_thread(*_):
    """Raise as Python does without further threads."""
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("case", ["asyncio", "another loop", "no thread"])
def test_waiting_beside_a_loop_needs_none_of_the_applications_threads(case, monkeypatch, caplog):
    """The flush needs no thread of the application's pool, and its exception is logged."""

    def fail() -> None:
        raise LookupError

    async def main() -> list[str]:
        limiter = current_default_thread_limiter()
        limiter.total_tokens = 1
        await limiter.acquire_on_behalf_of("a handler that hangs")
        called: list[str] = []
        with anyio.fail_after(30), monkeypatch.context() as patch:
            if case == "another loop":
                patch.setattr(processes.asyncio, "get_running_loop", no_asyncio)
            elif case == "no thread":
                patch.setattr(threading.Thread, "start", no_thread)
            await processes.run_off_loop(lambda: called.append("flush"), "a flush")
            await processes.run_off_loop(fail, f"a flush under {case}")
        assert f"failed at a flush under {case}" in caplog.text
        return called

    # A loop that is not asyncio's is asked for by its own name only: here that is asyncio's again.
    if case == "another loop":
        monkeypatch.setattr(processes, "run_sync", in_place)
        monkeypatch.setattr(processes, "CapacityLimiter", lambda _: None)
    assert asyncio.run(main()) == ["flush"]


async def in_place(wait, **_):
    """Stand in for the thread of another loop."""
    wait()


def test_a_loop_that_closes_while_it_is_told():
    """A loop that closes before the thread reports is no error."""
    gate, loop = threading.Event(), asyncio.new_event_loop()

    async def main() -> None:
        task = asyncio.ensure_future(processes.run_off_loop(lambda: gate.wait(30), "waiting"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    loop.run_until_complete(main())
    loop.close()
    loop.is_closed = lambda: False
    (thread,) = [each for each in threading.enumerate() if each.name == "eco2-tracing-aside"]
    with pytest.MonkeyPatch.context() as patch:
        raised: list[object] = []
        patch.setattr(threading, "excepthook", raised.append)
        gate.set()
        thread.join(30)
    del loop.is_closed
    assert raised == []


@pytest.mark.parametrize("inside", [True, False])
def test_waiting_is_given_up_with_the_task_that_waits(inside):
    """A cancelled wait returns at once; the thread ends later, even after the loop."""
    gate = threading.Event()

    async def main() -> None:
        task = asyncio.create_task(processes.run_off_loop(lambda: gate.wait(30), "waiting"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        if inside:
            gate.set()
            while waiting():
                await asyncio.sleep(0.001)

    def waiting() -> list[threading.Thread]:
        return [one for one in threading.enumerate() if one.name == "eco2-tracing-aside"]

    asyncio.run(main())
    gate.set()
    for one in waiting():
        one.join(30)
    assert waiting() == []


def test_where_no_thread_can_be_started(monkeypatch):
    """If no thread can be started, processors are called in the calling thread."""
    called = []

    class Processor(SpanProcessor):
        def force_flush(self, timeout_millis: int = 30000) -> bool:
            called.append(threading.current_thread())
            return True

    def start(self) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert Delivery((), [Processor()]).flush(1.0) is True
    assert called == [threading.main_thread()]


def test_a_provider_that_somebody_put_over_ours_stays(monkeypatch):
    """Shutdown leaves a provider that was installed over ours."""
    from opentelemetry import trace

    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    configure_tracing("x")
    theirs = trace.NoOpTracerProvider()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", theirs)
    assert shutdown_tracing() is True
    assert trace.get_tracer_provider() is theirs
