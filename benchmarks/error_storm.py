"""An outage: every request fails, far more of them than may be kept.

In the process, 2 000 failing requests a second; over HTTP, as many as a client gets answered. The cap has
to hold, every answer has to be right, and what was not kept has to be counted. Exits with 1 otherwise.

    python benchmarks/error_storm.py [--seconds 20]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from _http import Connection, get_once, resident
from kept_errors import Report, start, versions

from eco2_tracing._cli.services import url_of
from eco2_tracing.testing import OtlpReceiver

CAP = 200
RATE = 2_000
CONNECTIONS = 8


def scope_of(path: str) -> dict:
    """Make the ASGI scope of one request."""
    headers = [(b"host", b"shop"), (b"x-b3-traceid", os.urandom(16).hex().encode())]
    headers += [(b"x-b3-spanid", os.urandom(8).hex().encode()), (b"x-b3-sampled", b"0")]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("10.0.0.1", 1),
        "server": ("10.0.0.2", 80),
        "state": {},
    }


async def ask(app, path: str) -> tuple[int, str]:
    """Send one request in the process; give status and what left the application as an exception."""
    status: list[int] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])

    try:
        await app(scope_of(path), receive, send)
    except RuntimeError as error:
        return status[0], str(error)
    return status[0], ""


async def in_process(app, seconds: float) -> tuple[Counter, list[float], float]:
    """Send failing requests at a pace; give the answers, the milliseconds that each took, and the time."""
    answers: Counter = Counter()
    took: list[float] = []
    begun = time.perf_counter()
    for number in range(int(RATE * seconds)):
        ahead = begun + number / RATE - time.perf_counter()
        if ahead > 0.002:
            await asyncio.sleep(ahead)
        at = time.perf_counter()
        answers[await ask(app, ("/answers", "/raises")[number % 2])] += 1
        took.append((time.perf_counter() - at) * 1000)
    return answers, took, time.perf_counter() - begun


async def over_http(url: str, seconds: float) -> tuple[Counter, list[float]]:
    """Send failing requests on some connections, each after the answer to the one before."""
    answers: Counter = Counter()
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def work() -> None:
        connection = Connection(url)
        while (at := time.perf_counter()) < end:
            status, _, body = await connection.get("/answers", "x-b3-sampled: 0", *ids())
            took.append((time.perf_counter() - at) * 1000)
            answers[status, body] += 1
        await connection.close()

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return answers, took


def ids() -> tuple[str, str]:
    """Make the ids of a caller."""
    return f"x-b3-traceid: {os.urandom(16).hex()}", f"x-b3-spanid: {os.urandom(8).hex()}"


def spread(took: list[float]) -> str:
    """Tell the median and the 99th percentile."""
    took = sorted(took)
    return f"median {took[len(took) // 2]:.2f} ms, 99th percentile {took[len(took) * 99 // 100]:.2f} ms"


def judge(report: Report, where: str, requests: int, seconds: float, told: dict, spans) -> None:
    """Compare kept traces with the cap, and dropped spans with the rest."""
    kept, dropped = told["kept"].get("error", 0), told["dropped"]
    most = CAP * (seconds + 1)
    # As many as there were, where the machine does not manage more than the cap.
    least = min(requests, CAP * seconds) * 0.98
    report.add(
        f"{where}: local traces kept",
        f"{kept}, {kept / seconds:.0f} a second; at most {CAP} a second and {CAP} at once",
        good=least <= kept <= most,
    )
    lost = dropped.get("kept_traces_cap", 0)
    good = lost == sum(dropped.values()) == 2 * (requests - kept)
    report.add(f"{where}: spans counted as dropped", f"{lost} of {requests - kept} refused traces", good=good)
    ids = {(span.trace_id, span.span_id) for span in spans}
    good = len(ids) == len(spans) == 2 * kept
    report.add(f"{where}: spans received", f"{len(spans)}, two of each kept trace", good=good)


def storm_inside(report: Report, seconds: float) -> None:
    """Run the storm in this process."""
    os.environ |= {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}
    os.environ["UNTRACED"] = "1"
    from _shop import failing

    plain = failing()
    del os.environ["UNTRACED"]
    bare, took, _ = asyncio.run(in_process(plain, seconds / 10))
    report.add("in process, untraced", spread(took))
    with OtlpReceiver() as receiver:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver.grpc_endpoint
        traced = failing()
        answers, took, passed = asyncio.run(in_process(traced, seconds))
        from eco2_tracing import flush_tracing, shutdown_tracing, tracing_status

        flush_tracing(10)
        status = tracing_status()
        shutdown_tracing(5)
        spans = receiver.spans
    requests = sum(answers.values())
    report.add("in process, traced", f"{requests} requests, {requests / passed:.0f} a second; {spread(took)}")
    report.add("in process: answers", words(answers), good=answers.keys() == bare.keys() and even(answers))
    told = {"kept": dict(status.traces_kept), "dropped": dict(status.spans_dropped)}
    judge(report, "in process", requests, passed, told, spans)


def even(answers: Counter) -> bool:
    """Whether both kinds of failure were answered equally often."""
    return max(answers.values()) - min(answers.values()) <= 1


def words(answers: Counter) -> str:
    """Tell how often each answer came."""
    return ", ".join(f"{count} times {status} {text!r}" for (status, text), count in answers.items())


def storm_outside(report: Report, seconds: float) -> None:
    """Run the storm over HTTP, against an untraced service and against a traced one."""
    with ExitStack() as stack:
        receiver = stack.enter_context(OtlpReceiver())
        with start("failing", receiver, UNTRACED="1") as untraced:
            bare, took = asyncio.run(over_http(url_of(untraced), seconds / 2))
        report.add("over HTTP, untraced", f"{sum(bare.values()) / seconds * 2:.0f} a second; {spread(took)}")
        traced = stack.enter_context(start("failing", receiver))
        url = url_of(traced)
        before = resident(traced._process.pid)
        begun = time.perf_counter()
        answers, took = asyncio.run(over_http(url, seconds))
        # What was asked last is answered, and kept, after the time is over.
        passed = time.perf_counter() - begun
        after = resident(traced._process.pid)
        body = asyncio.run(get_once(url, "/status"))
        stack.pop_all().close()
        spans = receiver.spans
    requests = sum(answers.values())
    report.add("over HTTP, traced", f"{requests / passed:.0f} a second; {spread(took)}")
    report.add("over HTTP: answers", words(answers), good=answers.keys() == bare.keys())
    report.add(
        "over HTTP: memory of the service", f"{before / 2**20:.0f} MiB before, {after / 2**20:.0f} after"
    )
    judge(report, "over HTTP", requests, passed, json.loads(body), spans)


def main() -> None:
    """Run, print the table, and say by the exit code whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    seconds = parser.parse_args().seconds
    report = Report()
    storm_inside(report, seconds)
    storm_outside(report, seconds)
    print(time.strftime("%Y-%m-%d"), versions())
    print(report)
    raise SystemExit(0 if report.good else 1)


if __name__ == "__main__":
    main()
