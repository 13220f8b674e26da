"""Forks in every order; each process makes a span named after itself and logs its node: see ``test_forks``."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from contextlib import ExitStack

from eco2_tracing import _lazy_imports, configure_logging, configure_tracing, flush_tracing, span
from eco2_tracing._lifecycle import configure
from tests.support.c_fork import c_fork


def say(name: str) -> None:
    """Make a span, and a log line inside it."""
    with span(name):
        logging.getLogger("forking").info(name)


fork_process = c_fork() if sys.argv[3:] == ["in C"] else os.fork
"""A fork in C does not run Python's fork hooks."""


def fork(work) -> int:
    """Fork; the child works and exits like a script."""
    pid = fork_process()
    if pid == 0:
        work()
        sys.exit(0)
    return pid


def wait_for(pids: list[int]) -> None:
    """Wait for every child and check its exit status."""
    for pid in pids:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def nested(name: str, depth: int) -> None:
    """A child that has children."""
    say(name)
    if depth:
        wait_for([fork(lambda: nested(f"{name}.0", depth - 1))])
    say(f"{name} again")


def terminated() -> None:
    """A child of multiprocessing that is terminated, as a pool's workers are."""
    say("terminated")
    signal.raise_signal(signal.SIGTERM)


BUSY = 150
THREADS = 4


def busy(children: int) -> None:
    """Fork in a thread while other threads end spans and flush, and the export thread runs."""

    def child(name: str) -> None:
        say(name)
        wait_for([fork(lambda: delivered(f"{name}.0"))])
        delivered(f"{name} again")

    def delivered(name: str) -> None:
        # A child of a thread ends with it, past all that ends a process otherwise.
        say(name)
        os._exit(0 if flush_tracing(20.0) else 3)

    def work() -> None:
        for _ in range(BUSY):
            with span("busy"):
                pass
            flush_tracing(20.0)

    def forks() -> None:
        wait_for([fork(lambda n=n: child(f"child {n}")) for n in range(children)])
        ended.append("forks")

    ended: list[str] = []
    threads = [threading.Thread(target=target) for target in [forks] + [work] * THREADS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == ["forks"]


def held(work) -> None:
    """Run while another thread holds every lock of the library, as a forked child inherits them."""
    tracing = configure._process.tracing
    (exporter,) = tracing.delivery.exporters
    buffer = tracing.tail_sampler.buffer
    locks = [
        exporter._queue._lock, exporter._starting, buffer._lock, buffer._exporter._lock, tracing.budget._lock,
        configure._process.lock, _lazy_imports._gate.lock,
        tracing.provider._tracer_registry._lock,
    ]  # fmt: skip
    holds, over = threading.Event(), threading.Event()

    def hold() -> None:
        with ExitStack() as stack:
            for lock in locks:
                stack.enter_context(lock)
            holds.set()
            over.wait()

    thread = threading.Thread(target=hold, daemon=True)  # a child would wait for another one when it ends
    thread.start()
    holds.wait()
    work()
    over.set()
    thread.join()


def daemonize(children: int) -> None:
    """Fork twice, without a span of the process in between."""
    wait_for([fork(lambda: [say(f"child {n}") for n in range(children)])])


def main(plan: str, children: int) -> None:
    """Run a plan."""
    configure_logging()
    if plan == "before":
        pids = [fork(lambda n=n: (configure_tracing("forked"), say(f"child {n}"))) for n in range(children)]
        configure_tracing("forked")
        say("parent")
        wait_for(pids)
        return
    configure_tracing("forked")
    say("parent")
    if plan == "after":
        wait_for([fork(lambda n=n: say(f"child {n}")) for n in range(children)])
    elif plan == "busy":
        busy(children)
    elif plan == "open":
        with span("open"):
            logging.getLogger("forking").info("open")
            wait_for([fork(lambda n=n: say(f"child {n}")) for n in range(children)])
    elif plan == "held":
        held(lambda: wait_for([fork(lambda n=n: say(f"child {n}")) for n in range(children)]))
    elif plan == "daemon":
        wait_for([fork(lambda: daemonize(children))])
    elif plan == "nested":
        wait_for([fork(lambda n=n: nested(f"child {n}", 2)) for n in range(children)])
    else:
        context = multiprocessing.get_context(plan)
        workers = [context.Process(target=say, args=(f"child {n}",)) for n in range(children)]
        workers += [context.Process(target=terminated)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        codes = [worker.exitcode for worker in workers]
        assert codes == [0] * children + [-signal.SIGTERM], codes
    say("parent again")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
elif __name__ == "__mp_main__":  # in a child that multiprocessing spawned
    configure_logging()
    configure_tracing("forked")
