"""A flood of requests that force sampling, from outside, on a service that trusts nobody."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import time
from collections.abc import Iterator

from benchmarks._http import Connection
from benchmarks.reliability._processes import serving
from benchmarks.reliability._row import Figure, Row, Scale, Variant

from eco2_tracing.testing import OtlpReceiver

HEAD = 0.01
A_SECOND = 1000
SENDERS = 32
SIGMAS = 4.0
ENVIRON = {
    "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
    "OTEL_TRACES_SAMPLER_ARG": str(HEAD),
    "ECO2_TRACING_TRUST_INBOUND": "false",
}
FORMS = (
    ("traceparent: 00-{trace}-{span}-01",),
    ("traceparent: 00-{trace}-{span}-01", "tracestate: ot=th:0;rv:ffffffffffffff"),
    ("b3: {trace}-{span}-1",),
    ("b3: {trace}-{span}-d",),
    ("x-b3-traceid: {trace}", "x-b3-spanid: {span}", "x-b3-sampled: 1"),
    ("x-b3-traceid: {trace}", "x-b3-spanid: {span}", "x-b3-flags: 1"),
    ("x-b3-flags: 1",),
    ("b3: 1",),
)
NAME = "GET /jobs/{item}"


def forcing() -> Iterator[list[str]]:
    """Give header lines that force sampling, in each form, every time with other ids."""
    source = random.Random(1)
    while True:
        for form in FORMS:
            # Ids that a ratio sampler takes at any rate, as an attacker would choose them.
            trace = f"{source.getrandbits(64) | 1:016x}{source.getrandbits(40):016x}"
            span = f"{source.getrandbits(63) | 1:016x}"
            yield [line.format(trace=trace, span=span) for line in form]


async def drive(url: str, count: int) -> float:
    """Send so many requests at a steady rate; give the seconds it took."""
    numbers, headers = itertools.count(), forcing()
    begun = time.monotonic()

    async def work() -> None:
        connection = Connection(url)
        while (number := next(numbers)) < count:
            await asyncio.sleep(begun + number / A_SECOND - time.monotonic())
            status, _, _ = await connection.get(f"/jobs/{number}", *next(headers))
            if status != 200:
                raise RuntimeError(f"answered {status}")
        await connection.close()

    await asyncio.gather(*(work() for _ in range(SENDERS)))
    return time.monotonic() - begun


def measure(variant: Variant, scale: Scale) -> Figure:
    """Compare what is exported with what the head sampler may take."""
    count = scale.of(20_000, 1000)
    with OtlpReceiver() as receiver:
        with serving(
            variant, receiver.grpc_endpoint, options=("--no-access-log",), environ=ENVIRON
        ) as served:
            took = asyncio.run(drive(f"http://127.0.0.1:{served.port}", count))
            served.get("/flush")
        exported = len(receiver.find(NAME))
    allowed = HEAD * count + SIGMAS * math.sqrt(HEAD * (1 - HEAD) * count)
    share = (
        f"{exported / count:.2%} of {count:,} requests exported at {HEAD:.0%}, {count / took:.0f} a second"
    )
    return Figure(share.replace(",", " ", 1), 0 < exported <= allowed)


ROWS = (
    Row(
        "flood",
        "requests that force sampling do not raise the exports of a service that does not trust its callers",
        "exports within the head sampler's rate",
        measure,
    ),
)
