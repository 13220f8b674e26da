"""What receiving takes: CPU time, memory and answers of `eco2-tracing view` while spans arrive.

Run it as ``python -m benchmarks.view.ingest [--rate 5000] [--seconds 60]``. A sender in a process of its own exports
batches of 512 spans over OTLP/gRPC, for two services. Meanwhile the list of traces is fetched twice a second, and the
stream of events of one open page is read. CPU time is user and system time of the viewer, so that another program on
the machine changes it little.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

from benchmarks.cost._process import cpu_s

_OPENER = build_opener(ProxyHandler({}))
_EVERY_S = 0.5


def _peak_mib(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


class _Page:
    """An open page of the list of traces."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._stopped = threading.Event()
        self.took_ms: list[float] = []
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._list, self._events)]
        for thread in self._threads:
            thread.start()

    def _list(self) -> None:
        while not self._stopped.wait(_EVERY_S):
            begin = time.monotonic()
            with _OPENER.open(f"{self._address}/api/traces?limit=100", timeout=60) as response:
                response.read()
            self.took_ms.append((time.monotonic() - begin) * 1000)

    def _events(self) -> None:
        with suppress(OSError), _OPENER.open(f"{self._address}/api/live", timeout=60) as response:
            while not self._stopped.is_set() and response.readline():
                continue

    def close(self) -> None:
        self._stopped.set()
        self._threads[0].join()


def _counts(address: str) -> Any:
    with _OPENER.open(f"{address}/api/traces?limit=1", timeout=60) as response:
        return json.load(response)["counts"]


def measure(rate: float, seconds: float) -> dict[str, object]:
    """Return the figures of one run."""
    ports = [word for name in ("", "grpc-", "http-", "zipkin-") for word in (f"--{name}port", "0")]
    viewer = subprocess.Popen(
        [sys.executable, "-m", "eco2_tracing", "view", *ports], stderr=subprocess.PIPE, text=True
    )
    try:
        assert viewer.stderr is not None
        line = viewer.stderr.readline()
        found = re.search(r"at (http://\S+); OTLP on [^:]+:(\d+)", line)
        if found is None:
            raise RuntimeError(f"the viewer did not start: {line}")
        address, port = found.groups()
        return _measure(viewer.pid, address, [port, str(rate), str(seconds)])
    finally:
        viewer.terminate()
        viewer.wait()


def _measure(pid: int, address: str, arguments: list[str]) -> dict[str, object]:
    page = _Page(address)
    before = cpu_s(pid)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.view._sender", *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    sent = json.loads(done.stdout)
    used = cpu_s(pid) - before
    page.close()
    return _figures(sent, _counts(address), used, page.took_ms) | {"peak_mib": round(_peak_mib(pid), 1)}


def _percentile(values: list[float], share: float) -> float:
    return round(sorted(values)[min(int(len(values) * share), len(values) - 1)], 1) if values else 0.0


def _figures(
    sent: Mapping[str, float], counts: Mapping[str, Any], used_s: float, took_ms: list[float]
) -> dict[str, object]:
    counted = counts["traces"] + counts["removed_traces"]
    return {
        "spans_per_second": round(sent["sent"] / sent["seconds"]),
        "spans_sent": sent["sent"],
        "requests_failed_spans": sent["failed"],
        "refused": counts["refused"],
        "traces_lost_uncounted": sent["traces"] - counted,
        "traces_held": counts["traces"],
        "traces_removed_for_the_limit": counts["removed_traces"],
        "held_mib": round(counts["bytes"] / 2**20, 1),
        "cpu_percent_of_a_core": round(used_s / sent["seconds"] * 100, 1),
        "cpu_us_per_span": round(used_s / sent["sent"] * 1e6, 1),
        "page_ms_median": _percentile(took_ms, 0.5),
        "page_ms_95_percent": _percentile(took_ms, 0.95),
        "page_ms_slowest": _percentile(took_ms, 1),
        "export_ms_slowest": round(sent["slowest_s"] * 1000, 1),
    }


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=5000, help="spans a second")
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    for name, value in measure(arguments.rate, arguments.seconds).items():
        print(f"{name:<30} {value}")


if __name__ == "__main__":
    main()
