"""Every error kept at 1 % head sampling: two services under uvicorn, requests without a context.

Prints what was exported of them, and exits with 1 when something is missing, twice or too much.

    python benchmarks/kept_errors.py [--requests 20000] [--concurrency 16]
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import platform
import random
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent))

from _http import Connection, resident  # beside this file

from eco2_tracing._cli.processes import Child
from eco2_tracing._cli.services import url_of
from eco2_tracing.testing import OtlpReceiver, ReceivedSpan

HEAD = 0.01
SIGMAS = 4.0
MEMORY = 0.05
ORDERS, STOCK = "GET /orders/{item}", "GET /stock/{item}"
OF_ORDERS = {ORDERS, "cache", "GET", "store"}
OF_STOCK = {STOCK, "query"}
# By case: share of the requests; what both services have to export of it, and why.
CASES: dict[str, tuple[float, dict[str, str]]] = {
    "raises": (0.006, {"orders": "error"}),
    "answers 503": (0.006, {"orders": "error"}),
    "callee fails": (0.006, {"orders": "error", "stock": "error"}),
    "callee handles": (0.006, {"orders": "upstream", "stock": "error"}),
    "fails early": (0.006, {"orders": "error", "stock": "head"}),
    "slow": (0.004, {"orders": "slow"}),
}


@dataclass
class Report:
    """Rows of a table, and whether each is as it should be."""

    rows: list[tuple[str, str, bool]] = field(default_factory=list)

    def add(self, what: str, found: str, *, good: bool = True) -> None:
        """Add a row."""
        self.rows.append((what, found, good))

    @property
    def good(self) -> bool:
        """Whether every row is as expected."""
        return all(good for _, _, good in self.rows)

    def __str__(self) -> str:
        width = max(len(what) for what, _, _ in self.rows)
        return "\n".join(
            f"{what:{width}}  {found}{'' if good else '  <- WRONG'}" for what, found, good in self.rows
        )


def start(name: str, receiver: OtlpReceiver, **variables: str) -> Child:
    """Run a service under uvicorn, on a port that the system chooses."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "ECO2_"))}
    environ |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.grpc_endpoint,
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": str(HEAD),
        "ECO2_TRACING_SLOW_THRESHOLD_MS": "400",
        "ECO2_TRACING_RESPONSE_HEADER": "x-trace-id",
        **variables,
    }
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "--factory",
        f"_shop:{name}",
        "--app-dir",
        str(Path(__file__).parent),
    ]
    command += ["--host", "127.0.0.1", "--port", "0", "--no-access-log"]
    return Child(name, command, environ)


def planned(requests: int) -> list[str]:
    """Give the case of each request, in an order that is the same in every run."""
    cases = [case for case, (share, _) in CASES.items() for _ in range(round(share * requests))]
    cases += [""] * (requests - len(cases))
    random.Random(1).shuffle(cases)
    return cases


async def drive(
    url: str, cases: list[str], concurrency: int, pids: dict[str, int]
) -> tuple[dict[str, str], dict]:
    """Send the requests; give the case of each trace, and the services' memory as the run went on."""
    traces: dict[str, str] = {}
    memory: dict[str, list[int]] = {name: [] for name in pids}
    waiting = iter(enumerate(cases))
    every = max(1, len(cases) // 400)

    async def work() -> None:
        connection = Connection(url)
        for number, case in waiting:
            path = f"/orders/{number}?case={case.replace(' ', '%20')}"
            status, headers, _ = await connection.get(path)
            expected = {"raises": 500, "answers 503": 503}.get(case, 200)
            assert status == expected, (case, status)
            traces[headers["x-trace-id"]] = case
            if number % every == 0:
                for name, pid in pids.items():
                    memory[name].append(resident(pid))
        await connection.close()

    await asyncio.gather(*(work() for _ in range(concurrency)))
    return traces, memory


def judge(report: Report, traces: dict[str, str], spans: tuple[ReceivedSpan, ...]) -> None:
    """Compare the exported traces with the expected ones."""
    found: dict[tuple[str, str], list[ReceivedSpan]] = {}
    for span in spans:
        found.setdefault((span.trace_id, span.service), []).append(span)
    names = {key: {span.name for span in group} for key, group in found.items()}
    roots = {(s.trace_id, s.service): s for s in spans if s.name in (ORDERS, STOCK)}
    for case, (_, expected) in CASES.items():
        asked = [trace for trace, its in traces.items() if its == case]
        for service, reason in expected.items():
            whole = OF_ORDERS if service == "orders" else OF_STOCK
            complete = sum(names.get((trace, service)) == whole for trace in asked)
            reasons = Counter(
                roots[trace, service].attributes["eco2.sampling.reason"]
                for trace in asked
                if (trace, service) in roots
            )
            told = ", ".join(f"{count} {why}" for why, count in reasons.most_common())
            # The head chooses one in a hundred, and a busy machine makes some slow: those say so.
            good = complete == len(asked) and set(reasons) <= {reason, "head", "error", "slow"}
            report.add(f"{case}: complete in {service}", f"{complete} of {len(asked)} ({told})", good=good)
    ordinary = [trace for trace, case in traces.items() if not case]
    by_chance = [t for t in ordinary if (t, "orders") in roots]
    slow = sum(roots[t, "orders"].attributes["eco2.sampling.reason"] == "slow" for t in by_chance)
    chosen, count = len(by_chance) - slow, len(ordinary)
    off = SIGMAS * math.sqrt(count * HEAD * (1 - HEAD))
    low, high = wilson(chosen, count)
    report.add(
        "ordinary traces exported",
        f"{chosen} of {count}: {chosen / count:.2%}, 95 % interval {low:.2%} to {high:.2%}"
        + (f"; {slow} more were slow" if slow else ""),
        good=abs(chosen - HEAD * count) <= off,
    )
    ids = Counter((span.trace_id, span.span_id) for span in spans)
    report.add(
        "spans exported twice", str(sum(count > 1 for count in ids.values())), good=max(ids.values()) == 1
    )
    strange = sum(span.trace_id not in traces for span in spans)
    report.add("spans of no request", str(strange), good=not strange)


def wilson(successes: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Give the 95 % confidence interval of a share."""
    share = successes / count
    middle, spread = (
        share + z * z / (2 * count),
        z * math.sqrt((share * (1 - share) + z * z / (4 * count)) / count),
    )
    return (middle - spread) / (1 + z * z / count), (middle + spread) / (1 + z * z / count)


def run(requests: int, concurrency: int) -> Report:
    """Run everything; give the report."""
    report = Report()
    cases = planned(requests)
    with ExitStack() as stack:
        receiver = stack.enter_context(OtlpReceiver())
        stock = stack.enter_context(start("stock", receiver))
        orders = stack.enter_context(start("orders", receiver, STOCK_URL=url_of(stock)))
        url = url_of(orders)
        begun = time.perf_counter()
        pids = {"orders": orders._process.pid, "stock": stock._process.pid}
        traces, memory = asyncio.run(drive(url, cases, concurrency, pids))
        took = time.perf_counter() - begun
        stack.pop_all().close()  # what is queued is delivered before they end
        spans = receiver.spans
    report.add("requests", f"{requests} in {took:.0f} s, {requests / took:.0f} a second")
    judge(report, traces, spans)
    for name, sizes in memory.items():
        quarter = len(sizes) // 4
        second, last = median(sizes[quarter : 2 * quarter]), median(sizes[-quarter:])
        report.add(
            f"memory of {name}",
            f"{second / 2**20:.1f} MiB in the second quarter, {last / 2**20:.1f} in the last: {last / second - 1:+.1%}",
            good=last <= second * (1 + MEMORY),
        )
    return report


def versions() -> str:
    """Tell what the figures were measured with."""
    packages = ("fastapi", "uvicorn", "httpx", "opentelemetry-sdk")
    return ", ".join(
        [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)]
    )


def main() -> None:
    """Run, print the table, and say by the exit code whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--concurrency", type=int, default=16)
    arguments = parser.parse_args()
    report = run(arguments.requests, arguments.concurrency)
    print(time.strftime("%Y-%m-%d"), versions())
    print(report)
    raise SystemExit(0 if report.good else 1)


if __name__ == "__main__":
    main()
