"""Hostile headers on raw sockets: the answers are those of the untraced application."""

from __future__ import annotations

import random
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

from benchmarks.reliability._processes import LIMIT_S, Served, serving
from benchmarks.reliability._row import Figure, Row, Scale, Variant

from eco2_tracing.testing import SPAN_ID, TRACE_ID, OtlpReceiver

SEED = 20261122
PARSERS = ("h11", "httptools")
# A server that refuses a request with some of it unread may reset the connection before its answer is read.
TRIES = 5
# Every header that either variant reads, and what is valid in it.
READ: dict[bytes, bytes] = {
    b"b3": f"{TRACE_ID}-{SPAN_ID}-1".encode(),
    b"x-b3-traceid": TRACE_ID.encode(),
    b"x-b3-spanid": SPAN_ID.encode(),
    b"x-b3-parentspanid": SPAN_ID[::-1].encode(),
    b"x-b3-sampled": b"1",
    b"x-b3-flags": b"1",
    b"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01".encode(),
    b"tracestate": b"a=1,b@c=2",
    b"baggage": b"user=kim;p=1,tenant=%ec%97%90",
    b"x-request-id": b"8f4e1ab2-7f0c-9d3a-b9a2-52d1a6b0c1de",
    b"user-agent": b"curl/8.5",
    b"host": b"auth-api:8000",
    b"x-forwarded-for": b"10.0.3.12, 127.0.0.6",
    b"x-forwarded-proto": b"https",
    b"forwarded": b"for=10.0.3.12;proto=https",
    b"authorization": b"Bearer x",
    b"cookie": b"a=b; c=d",
    b"x-captured": b"anything",
}
# And what says that the trace is not recorded: what fails then is kept, and the answer may tell so.
UNSAMPLED = {
    b"b3": f"{TRACE_ID}-{SPAN_ID}-0".encode(),
    b"x-b3-sampled": b"0",
    b"x-b3-flags": b"0",
    b"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-00".encode(),
}
TOKENS = (
    *(b"", b"0", b"1", b"d", b"-", b"=", b",", b";", b"%", b"%zz", b"%ff", b"true"),
    *(b"\xff", b"\xed\xa0\x80", b"\t", b"0" * 32, b"\xe2\x80\xae", b"99999999999999999999"),
)
PATHS = (
    *(b"/echo/a",) * 5,
    b"/boom",
    b"/echo/%ff%00?token=%zz&x=\xff",
    b"/boom",
    b"/nothing",
    b"/echo/\xc3\xa9",
)
# With tracing, an answer may tell its caller of a kept trace; this form alone.
TOLD = re.compile(rb"server-timing: trace;desc=00-[0-9a-f]{32}-[0-9a-f]{16}-01\r\n")
DATE = re.compile(rb"date: [^\r\n]*\r\n")
CAPTURE = {
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": ".*",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE": ".*",
}


def mutilated(source: random.Random, name: bytes) -> bytes:
    """Give what was a valid value once."""
    value = bytearray(READ[name] * source.choice((1, 1, 1, 2, 40)))
    for _ in range(source.randrange(4)):
        at = source.randrange(len(value) + 1)
        value[at : at + source.randrange(3)] = source.choice((*TOKENS, bytes([source.randrange(256)])))
    return bytes(value) * (source.choice((10, 100)) if source.random() < 0.03 else 1)


def every_byte() -> Iterator[tuple[bytes, bytes]]:
    """Give each byte in each header: alone, and inside of what is valid."""
    for name, valid in READ.items():
        for byte in range(256):
            yield name, bytes([byte])
            yield name, valid[: len(valid) // 2] + bytes([byte]) + valid[len(valid) // 2 :]


def hostile_requests(count: int) -> Iterator[bytes]:
    """Give so many requests, the same in every run: every byte first, in an order of chance."""
    source = random.Random(SEED)
    names = sorted(READ)
    bytewise = list(every_byte())
    source.shuffle(bytewise)
    for number in range(count):
        pairs = [bytewise[number]] if number < min(len(bytewise), count * 9 // 10) else []
        if number % 4 == 0 or not pairs:
            for name in source.choices(names, k=source.choice((1, 2, 5))):
                pairs.extend([(name, mutilated(source, name))] * source.choice((1, 1, 1, 2, 30)))
        valid = READ | UNSAMPLED if source.random() < 0.5 else READ
        pairs.extend((name, valid[name]) for name in source.sample(names, source.randrange(6)))
        source.shuffle(pairs)
        upper = source.random() < 0.2
        lines = [b"GET " + source.choice(PATHS) + b" HTTP/1.1", b"connection: close"]
        if not any(name == b"host" for name, _ in pairs):
            lines.append(b"host: auth-api")
        lines.extend((name.upper() if upper else name) + b": " + value for name, value in pairs)
        yield b"\r\n".join(lines) + b"\r\n\r\n"


def answer(served: Served, request: bytes) -> bytes:
    """Send bytes on a connection of their own; give all that comes back but the date and the told trace."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=LIMIT_S) as connection:
        try:
            connection.sendall(request)
            with suppress(OSError):  # it may have been refused, and the connection closed, by now
                connection.shutdown(socket.SHUT_WR)
            found = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        except ConnectionError:  # refused before all of it was read
            found = b""
    head, gap, body = found.partition(b"\r\n\r\n")
    return TOLD.sub(b"", DATE.sub(b"", head + b"\r\n")) + gap + body


def differs(plain: Served, traced: Served, request: bytes) -> bool:
    """Tell whether the traced application answers differently, each time."""
    return all(answer(plain, request) != answer(traced, request) for _ in range(TRIES))


def measure(variant: Variant, scale: Scale) -> Figure:
    """Count the answers that differ, half of the requests to each of uvicorn's parsers."""
    each = scale.of(10_000, 400) // len(PARSERS)
    differing = []
    with OtlpReceiver() as receiver:
        for parser in PARSERS:
            options = ("--http", parser, "--no-access-log", "--log-level", "critical")
            if parser == "h11":
                options += ("--h11-max-incomplete-event-size", "1048576")
            with ExitStack() as stack:
                plain, traced = (
                    stack.enter_context(
                        serving(
                            mode,
                            receiver.grpc_endpoint,
                            options=options,
                            routes="_routes_echo",
                            environ=CAPTURE,
                        )
                    )
                    for mode in ("bare", variant)
                )
                traced.prove_traced(receiver)
                receiver.clear()
                requests = hostile_requests(each)
                differing += [request for request in requests if differs(plain, traced, request)]
        return Figure(
            f"{len(differing):,} of {each * len(PARSERS):,} differ".replace(",", " "), not differing
        )


ROWS = (
    Row(
        "headers",
        "hostile headers, in every header that is read, do not change a response",
        "0 differing of 10 000",
        measure,
    ),
)
