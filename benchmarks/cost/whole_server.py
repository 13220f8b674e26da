"""The whole server on one core, under load: requests a second, latency, CPU and memory.

A uvicorn for each variant runs on the first core; `wrk` and the receiver run on the second one. The
load goes to one server after the other, round after round, so that a change of the machine's speed
hits all alike. Between two loads each server delivers what it has queued.

    python -m benchmarks.cost server [--rounds 5] [--seconds 4] [--variants ours stock]
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cost._app import request_headers
from benchmarks.cost._process import cpu_s, memory_mib, on_core, wait_idle, wait_until
from benchmarks.cost._results import Record
from benchmarks.cost._run import Options
from benchmarks.cost._sink import Receiver
from benchmarks.peers import Sink, Variant, load

ROOT = Path(__file__).parents[2]
PART = "server"
CONNECTIONS = 16
# A request has its own trace id; the decision is the caller's. `wrk` itself has too little to say.
SCRIPT = """
local requests = {}
local next_one = 0
init = function(args)
  for number = 0, 255 do
    local trace = string.format("463ac35c9f6413ad%016x", number + 1)
    local span = string.format("a2fb4a1d%08x", number + 1)
    wrk.headers["x-b3-traceid"], wrk.headers["x-b3-spanid"] = trace, span
    wrk.headers["traceparent"] = "00-" .. trace .. "-" .. span .. "-0" .. wrk.headers["x-b3-sampled"]
    requests[number] = wrk.format("GET", "/items/" .. number)
  end
end
request = function()
  next_one = (next_one + 1) % 256
  return requests[next_one]
end
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "failed": %d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


@dataclass
class Server:
    """A running server of one variant."""

    variant: Variant
    port: int
    process: subprocess.Popen[bytes]
    served: int = 0

    def get(self) -> int:
        """Send one request; give its status, 0 if nobody listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/items/1", headers={"x-b3-sampled": "0"})
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()

    def answers(self) -> bool:
        """Tell whether it serves.

        Raises:
            RuntimeError: The process has ended.
        """
        if self.process.poll() is not None:
            raise RuntimeError(f"the server of {self.variant.name!r} has ended")
        return self.get() == 200

    def load(self, script: Path, seconds: int) -> dict[str, float]:
        """Put load on it; give what `wrk` found, and CPU and memory."""
        pid = self.process.pid
        before = cpu_s(pid)
        found = wrk(script, self.variant, self.port, seconds)
        wait_idle(pid)
        if found["failed"]:
            raise RuntimeError(f"{found['failed']} requests to {self.variant.name!r} have failed")
        self.served += int(found["requests"])
        return {
            "rps": found["requests"] / found["seconds"],
            "p50_ms": found["p50"],
            "p99_ms": found["p99"],
            "cpu_us": (cpu_s(pid) - before) / found["requests"] * 1e6,
            "memory_mib": memory_mib(pid),
            "requests": found["requests"],
        }


def wrk(script: Path, variant: Variant, port: int, seconds: int) -> dict[str, float]:
    """Run `wrk` and give its figures."""
    headers = request_headers(21, sampled=variant.sampled)
    flags = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    command = [*on_core(1), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), *flags]
    ran = subprocess.run(
        [*command, f"http://127.0.0.1:{port}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 60,
    )
    found: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return found


def command_of(port: int, workers: int) -> list[str]:
    """Give the server's command line: uvicorn, or gunicorn with so many uvicorn workers."""
    app = "benchmarks.cost._app:served"
    if workers == 1:
        words = [
            "uvicorn",
            "--factory",
            app,
            "--port",
            str(port),
            "--no-access-log",
            "--log-level",
            "warning",
        ]
    else:
        words = [
            "gunicorn",
            f"{app}()",
            "-b",
            f"127.0.0.1:{port}",
            "-w",
            str(workers),
            "--log-level",
            "warning",
        ]
        words += ["-k", "uvicorn_worker.UvicornWorker"]
    return [*on_core(0), sys.executable, "-m", *words]


@contextmanager
def serving(variant: Variant, sink: Sink, workers: int, log: Path) -> Iterator[Server]:
    """Run a server until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    dropped = ("OTEL_", "ECO2_", "DD_", "SENTRY_", "ELASTIC_", "LOGFIRE_", "BENCH_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    environ |= {"BENCH_VARIANT": variant.name, "PYTHONPATH": str(ROOT)}
    environ |= load(variant).environment(variant, sink)
    with log.open("ab") as out:
        process = subprocess.Popen(command_of(port, workers), env=environ, cwd=ROOT, stdout=out, stderr=out)
    try:
        yield Server(variant, port, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def measure(options: Options) -> Iterator[Record]:
    """Measure all variants, round after round."""
    if not shutil.which("wrk"):
        print("server: skipped, `wrk` is not installed (apt-get install wrk)")
        return
    variants = options.variants
    rounds, seconds = (
        options.rounds or (2 if options.quick else 5),
        options.seconds or (2 if options.quick else 4),
    )
    row = "mesh" if options.workers == 1 else f"mesh, {options.workers} workers"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        script = folder / "load.lua"
        script.write_text(SCRIPT)
        receiver = stack.enter_context(Receiver(len(variants), on_core(1)))
        servers = [
            stack.enter_context(serving(one, sink, options.workers, folder / f"{number}.log"))
            for number, (one, sink) in enumerate(zip(variants, receiver.sinks, strict=True))
        ]
        with _logs_on_failure(folder):
            for server in servers:
                wait_until(server.answers, f"the first answer of {server.variant.name!r}", 60)
            for server in servers:
                server.load(script, 1)
            for number in range(rounds):
                # In turns forwards and backwards, so that no variant always follows the same one.
                for server in servers if number % 2 == 0 else servers[::-1]:
                    figures = server.load(script, seconds)
                    yield Record(PART, row, f"{options.run}.{number}", server.variant.name, figures)
            for index, server in enumerate(servers):
                counts = receiver.arrived(index)
                figures = {f"arrived_{name}": float(value) for name, value in counts.items()}
                yield Record(
                    PART,
                    row,
                    f"{options.run}.all",
                    server.variant.name,
                    {"served": float(server.served), **figures},
                )


@contextmanager
def _logs_on_failure(folder: Path) -> Iterator[None]:
    try:
        yield
    except Exception:
        for log in sorted(folder.glob("*.log")):
            if text := log.read_text():
                print(f"{log.name}: {text[-2000:]}", file=sys.stderr)
        raise
