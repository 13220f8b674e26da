"""Greenlets that end spans while a collector does not answer; run with the library, the moment and what is patched.

Moments: ``first``, before this library is imported; ``imported``, before it is configured; ``configured``, before the
first span; ``started``, once the export thread is there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

GREENLETS, SPANS = 20, 5

PARTS: dict[str, dict[str, dict[str, bool]]] = {
    "gevent": {
        "everything": {},
        "no threads": {"thread": False},
        "no sockets": {"socket": False},
        "no TLS": {"ssl": False},
        "no time": {"time": False},
    },
    "eventlet": {
        "everything": {},
        "no threads": {"thread": False},
        "no sockets": {"socket": False},
        "sockets alone": {"socket": True},
        "no time": {"time": False},
    },
}
"""What is patched, by the arguments of each library."""


def patch(library: str, parts: str) -> None:
    """Replace the blocking parts of the standard library, or some of them."""
    if parts == "nothing":
        return
    if library == "eventlet":
        import_module("eventlet").monkey_patch(**PARTS[library][parts])
    elif parts == "sockets alone":
        import_module("gevent.monkey").patch_socket()
    else:
        import_module("gevent.monkey").patch_all(**PARTS[library][parts])


def run(library: str, work: Callable[[int], Any]) -> list[Any]:
    """Run greenlets to their end."""
    made = import_module(library)
    greenlets = [made.spawn(work, number) for number in range(GREENLETS)]
    return [result(one) for one in greenlets]


def result(greenlet: Any) -> Any:
    """Wait for a greenlet."""
    return greenlet.get(timeout=20) if hasattr(greenlet, "get") else greenlet.wait()


def main(library: str, moment: str, parts: str) -> None:
    """Run the program and print the results."""
    # eventlet imports its modules under the global import lock: that deadlocks if another thread is importing.
    made = import_module(library)
    if moment == "first":
        patch(library, parts)
    from eco2_tracing import (
        configure_logging,
        configure_tracing,
        current_span_id,
        flush_tracing,
        shutdown_tracing,
        span,
        tracing_status,
    )

    if moment == "imported":
        patch(library, parts)
    configure_logging()
    configure_tracing("patched")
    if moment == "configured":
        patch(library, parts)
    with span("early"):
        pass
    if moment == "started":
        flush_tracing(0.2)
        patch(library, parts)
    flush_tracing(0.0)  # where nothing is patched, this greenlet is a thread like any other

    def work(number: int) -> bool:
        """End spans; return whether each stayed the current span of this greenlet."""
        own = []
        for _ in range(SPANS):
            with span(f"greenlet {number}"):
                before = current_span_id()
                made.sleep(0.001)
                own.append(current_span_id() == before)
        return all(own)

    own = run(library, work)
    ticks: list[None] = []

    def tick() -> None:
        while True:
            made.sleep(0.001)
            ticks.append(None)

    ticker = made.spawn(tick)
    delivered = result(made.spawn(flush_tracing, 0.5))
    if parts != "nothing":
        ticks.clear()
        flush_tracing(0.5)
    ticker.kill()
    print(
        "RESULT", json.dumps([all(own), len(ticks) > 1, delivered, tracing_status().spans_queued]), flush=True
    )
    sys.stdin.readline()  # until the collector answers
    print("RESULT", json.dumps(shutdown_tracing(20.0)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
