"""A guard against slowdowns: the CPU of a request and of a log line, in units of a fixed loop.

Both are measured in turns in one process, and the smallest slice of each counts, so that a slow or
busy machine does not matter. Exits with 1 if a figure is over `LIMIT` times the one that is
committed in ``guard.json`` for this Python.

    python -m benchmarks.cost.guard [--update | --self-test]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cost._app import request_headers
from benchmarks.cost.lines import devnull

BASELINE = Path(__file__).with_name("guard.json")
# A planted slowdown of 30 % is over it. On a busy machine a figure is up to 10 % higher: caches are shared.
LIMIT = 1.25
PLANTED = 0.3
TURNS = 150
UNITS = 50
# A figure over the limit is measured again so often: noise only ever adds.
ATTEMPTS = 6
Work = Callable[[], object]


class Thing:
    """What the loop handles."""

    __slots__ = ("fields", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.fields: dict[str, object] = {}

    def put(self, key: str, value: object) -> None:
        self.fields[key] = value


HEADERS = [(f"x-name-{number}".encode(), f"value {number}".encode()) for number in range(8)]


def loop() -> int:
    """Do one unit of the reference work: calls, dictionaries, bytes and text, as in tracing a request."""
    thing = Thing("GET /items/{item_id}")
    for name, value in HEADERS:
        if name.startswith(b"x-"):
            thing.put(name.decode("latin-1"), value.decode("latin-1"))
    found = {key: text for key, text in thing.fields.items() if isinstance(text, str)}
    return len(f"{thing.name} {int('a2fb4a1d1a96d312', 16):016x} {len(found)}")


def slice_ns(work: Work, count: int) -> float:
    """Measure the CPU of one call, in ns."""
    begun = time.process_time_ns()
    for _ in range(count):
        work()
    return (time.process_time_ns() - begun) / count


def in_loops(works: Mapping[str, Work], turns: int) -> dict[str, float]:
    """Give the CPU of one unit of each work, in calls of `loop`.

    Slices are short, and the shortest of each counts: it is the one that nothing disturbed.

    Args:
        works: Each call does `UNITS` units.
        turns: How often all have their turn.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    loops = []
    for _ in range(turns):
        loops.append(slice_ns(loop, 100))
        for name, work in works.items():
            times[name].append(slice_ns(work, 1) / UNITS)
    return {name: min(found) / min(loops) for name, found in times.items()}


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Answer without a framework: what tracing costs is most of what a request costs."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"ok"})


def requests(app: Any, *, sampled: bool) -> Work:
    """Make what sends `UNITS` requests as a mesh does."""
    headers = [(k.encode(), v.encode()) for k, v in request_headers(21, sampled=sampled).items()]
    runner = asyncio.new_event_loop()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        pass

    async def run() -> None:
        for _ in range(UNITS):
            scope = {
                "type": "http",
                "asgi": {"version": "3.0"},
                "http_version": "1.1",
                "server": ("10.0.3.12", 8000),
                "client": ("127.0.0.6", 41231),
                "scheme": "http",
                "root_path": "",
                "method": "GET",
                "path": "/items/7",
                "raw_path": b"/items/7",
                "query_string": b"",
                "headers": list(headers),
                "state": {},
            }
            await app(scope, receive, send)

    return lambda: runner.run_until_complete(run())


def works() -> dict[str, Work]:
    """Configure the library; give what is measured."""
    import eco2_tracing

    os.environ |= {"OTEL_TRACES_EXPORTER": "none", "OTEL_TRACES_SAMPLER": "parentbased_always_on"}
    eco2_tracing.configure_logging(service_name="guard")
    eco2_tracing.configure_tracing("guard")
    from fastapi import FastAPI

    app = FastAPI()
    app.add_middleware(lambda _app: answer)
    eco2_tracing.instrument_app(app)
    (handler,) = logging.getLogger().handlers
    handler.stream = devnull()
    log = logging.getLogger("guard")
    log.setLevel(logging.INFO)

    def lines() -> None:
        for _ in range(UNITS):
            log.info("user %s logged in from %s", "bob", "10.0.0.1", extra={"user_id": "7"})

    return {
        "unsampled request": requests(app, sampled=False),
        "sampled request": requests(app, sampled=True),
        "log line": lines,
    }


def slower(work: Work, by: float) -> Work:
    """Plant a slowdown: so many more calls of `loop` in each call of ``work``."""

    def both() -> None:
        work()
        for _ in range(round(by)):
            loop()

    return both


def check(measured: Mapping[str, Work], baseline: Mapping[str, float]) -> set[str]:
    """Print each figure beside its baseline; give the names of those over the limit."""
    best = in_loops(measured, TURNS)
    for _ in range(ATTEMPTS - 1):
        again = {name: work for name, work in measured.items() if best[name] > baseline[name] * LIMIT}
        best |= (
            {name: min(best[name], found) for name, found in in_loops(again, TURNS).items()} if again else {}
        )
    failed = {name for name, found in best.items() if found > baseline[name] * LIMIT}
    for name, found in best.items():
        words = "SLOWER" if name in failed else "ok"
        print(f"{name}: {found:.2f} loops, {found / baseline[name]:.0%} of {baseline[name]:.2f}: {words}")
    return failed


def self_test() -> bool:
    """Plant a slowdown of 30 % in each; tell whether all are noticed, and nothing without it."""
    measured = works()
    before = in_loops(measured, TURNS)
    slow = {f"slow {name}": slower(work, PLANTED * before[name] * UNITS) for name, work in measured.items()}
    # All in the same turns, so that the machine treats all alike.
    found = in_loops(measured | slow, 2 * TURNS)
    for name in measured:
        print(f"{name}: {found[f'slow {name}'] / found[name]:.0%} with {PLANTED:.0%} more work")
    return all(found[f"slow {name}"] > found[name] * LIMIT for name in measured)


def main(arguments: Sequence[str]) -> int:
    """Check, or write the figures of this Python.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="benchmarks.cost.guard", description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="commit to the figures of this machine")
    parser.add_argument(
        "--self-test", action="store_true", help="plant a slowdown of 30 %% and see that it is noticed"
    )
    given = parser.parse_args(arguments)
    if given.self_test:
        return 0 if self_test() else 1
    python = ".".join(platform.python_version_tuple()[:2])
    committed = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    if given.update:
        committed[python] = {name: round(one, 3) for name, one in in_loops(works(), 10 * TURNS).items()}
        BASELINE.write_text(json.dumps(committed, indent=2, sort_keys=True) + "\n")
        print(committed[python])
        return 0
    if python not in committed:
        print(f"skipped: no figures for Python {python}; --update writes them")
        return 0
    return 1 if check(works(), committed[python]) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
