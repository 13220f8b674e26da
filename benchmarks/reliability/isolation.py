"""Many callers on the same connections, as behind a proxy: who gets data of another one?"""

from __future__ import annotations

import re
import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import count
from typing import BinaryIO

from benchmarks.reliability._processes import LIMIT_S, serving
from benchmarks.reliability._row import Figure, Row, Scale, Variant
from benchmarks.reliability.external_hosts import Hosts

from eco2_tracing.testing import SPAN_ID, OtlpReceiver

PARSERS = ("h11", "httptools")
# Beyond what uvicorn reads ahead, so that reading is paused and resumed.
BODY = b"x" * 300_000
PATHS = ("/read", "/metrics/read", "/refuse")
TRACE = "feedfacefeedfacefeedface"
FOUND = re.compile(rf"{TRACE}([0-9a-f]{{8}})|caller-([0-9a-f]{{8}})")


def request(caller: int, path: str, body: bytes) -> bytes:
    """Write a caller's request; every other caller sends no headers of its own."""
    method = "POST" if body else "GET"
    lines = [f"{method} {path}?caller={caller} HTTP/1.1", "host: tried", f"content-length: {len(body)}"]
    if caller % 2 == 0:
        mark = f"caller-{caller:08x}"
        lines += [
            f"traceparent: 00-{TRACE}{caller:08x}-{SPAN_ID}-0{caller // 2 % 2}",
            f"tracestate: vendor={mark}",
            f"baggage: tenant={mark}",
            f"x-request-id: {mark}",
        ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answer(stream: BinaryIO) -> str:
    """Read one response; return its body."""
    status = stream.readline()
    length = 0
    while line := stream.readline().strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    body = stream.read(length).decode()
    if b" 200 " not in status:
        raise RuntimeError(f"answered {status!r} {body}")
    return body


def kept_alive(port: int, callers: Iterable[int], path: str) -> Iterator[tuple[int, str]]:
    """Send one large request after the other; return each caller's answer."""
    with socket.create_connection(("127.0.0.1", port), LIMIT_S) as connection:
        stream = connection.makefile("rb")
        for caller in callers:
            connection.sendall(request(caller, path, BODY))
            yield caller, answer(stream)


def pipelined(port: int, callers: Iterable[int], path: str) -> Iterator[tuple[int, str]]:
    """Send all requests at once; return each caller's answer."""
    callers = list(callers)
    with socket.create_connection(("127.0.0.1", port), LIMIT_S) as connection:
        connection.sendall(b"".join(request(caller, path, b"") for caller in callers))
        stream = connection.makefile("rb")
        for caller in callers:
            yield caller, answer(stream)


def sent(port: int, numbers: Iterator[int], rounds: int) -> Iterator[tuple[int, str]]:
    """Use connections in each way; return each caller's answer."""
    for _ in range(rounds):
        for path in PATHS:
            yield from kept_alive(port, [next(numbers) for _ in range(4)], path)
            if path != "/refuse":
                yield from pipelined(port, [next(numbers) for _ in range(4)], path)


def foreign(caller: int, text: str) -> bool:
    """Return whether a text has something of another caller."""
    return any(int(one or other, 16) != caller for one, other in FOUND.findall(text))


def calls(hosts: Hosts) -> Iterator[tuple[int, str]]:
    """Return the headers of each call, with the caller that it was made for."""
    for _, headers in hosts.received:
        yield int(headers["x-caller"]), repr(headers)


def lines(log: str) -> Iterator[tuple[int, str]]:
    """Return the log lines of the application, with their callers."""
    for line in log.splitlines():
        if (found := re.search(r"caller (\d+) is served", line)) is not None:
            yield int(found[1]), line


def measure(variant: Variant, scale: Scale) -> Figure:
    """Count what carries data of another caller."""
    numbers = count(2)
    mixed: Counter[str] = Counter()
    total = 0
    for parser in PARSERS:
        with OtlpReceiver() as receiver, Hosts().listening() as hosts, ExitStack() as stack:
            environ = {"RELIABILITY_SINK": f"http://127.0.0.1:{hosts.port}/"}
            options = ("--http", parser, "--loop", "asyncio")
            served = stack.enter_context(
                serving(
                    variant,
                    receiver.grpc_endpoint,
                    options=options,
                    routes="_routes_isolation",
                    environ=environ,
                )
            )
            served.prove_traced(receiver)
            answers = list(sent(served.port, numbers, scale.of(20, 2)))
            served.flush()
            served.stop()
            spans = [
                (int(str(span.attributes["url.query"]).partition("=")[2]), span.trace_id)
                for span in receiver.spans
                if "caller=" in str(span.attributes.get("url.query"))
            ]
            written = list(lines(served.log.read_text(errors="replace")))
            called = list(calls(hosts))
        if not len(answers) == len(called) == len(written) or not spans:
            raise RuntimeError(
                f"{len(answers)} answers, {len(called)} calls, {len(written)} lines, {len(spans)} spans"
            )
        total += len(answers)
        for name, found in (("answers", answers), ("calls", called), ("spans", spans), ("lines", written)):
            mixed[name] += sum(foreign(caller, text) for caller, text in found)
    told = ", ".join(f"{mixed[name]} {name}" for name in ("answers", "calls", "spans", "lines"))
    return Figure(f"of {total} requests {told}", not mixed.total())


ROWS = (
    Row(
        "isolation",
        "a request has no data of another caller on the same connection",
        "0",
        measure,
    ),
)
