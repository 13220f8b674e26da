"""The whole server on one core, under load: requests a second, latency, CPU and memory.

A uvicorn for each variant runs on the first core; `wrk` and the receiver run on the second one. The
load goes to one server after the other, and to the untraced one in between, so that what is compared
was measured within some ten seconds. Between two loads each server delivers what it has queued.

    python -m benchmarks.cost server [--rounds 6] [--seconds 2] [--variants ours stock]
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cost._app import request_headers
from benchmarks.cost._child import ROOT, environment
from benchmarks.cost._process import cpu_s, memory_mib, on_core, wait_idle, wait_until
from benchmarks.cost._results import Record
from benchmarks.cost._run import Options
from benchmarks.cost._sink import Receiver
from benchmarks.peers import Sink, Variant

APP = "benchmarks.cost._app:served"
QUIET = ("--log-level", "warning")
ROW = "mesh"
# The command lines, by part. uvicorn takes uvloop and httptools where they are installed.
UVICORN = ("uvicorn", "--factory", APP, "--port", "{port}", "--no-access-log", *QUIET)
COMMANDS = {
    "server": UVICORN,
    "plain_server": (*UVICORN, "--loop", "asyncio", "--http", "h11"),
    "gunicorn": (
        "gunicorn",
        f"{APP}()",
        "-b",
        "127.0.0.1:{port}",
        "-w",
        "2",
        *QUIET,
        "-k",
        "uvicorn_worker.UvicornWorker",
    ),
}
CONNECTIONS = 16
BLOCK = 4
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
    del headers["host"]  # `wrk` writes its own
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


def measures(part: str, variant: Variant) -> bool:
    """Whether a variant has a part: the other servers are a check on this library and the stock set-up."""
    return part == "server" or (variant.peer in {"untraced", "ours", "stock"} and not variant.option)


@contextmanager
def serving(part: str, variant: Variant, sink: Sink, log: Path) -> Iterator[Server]:
    """Run a server until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = environment(variant, sink)
    with log.open("ab") as out:
        words = (word.format(port=port) for word in COMMANDS[part])
        command = [*on_core(0), sys.executable, "-m", *words]
        process = subprocess.Popen(command, env=environ, cwd=ROOT, stdout=out, stderr=out)
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
    """Measure the parts that were asked for, one after the other."""
    if not shutil.which("wrk"):
        print("the whole server is skipped: `wrk` is not installed (apt-get install wrk)")
        return
    for part in options.parts:
        if part == "gunicorn" and not importlib.util.find_spec("uvicorn_worker"):
            print("gunicorn is skipped: gunicorn and uvicorn-worker are not installed")
            continue
        yield from measure_part(part, options)


def measure_part(part: str, options: Options) -> Iterator[Record]:
    """Measure all variants under one server, round after round."""
    variants = [one for one in options.variants if measures(part, one)]
    rounds = options.rounds or (1 if options.quick else 6)
    seconds = options.seconds or (1 if options.quick else 2)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        script = folder / "load.lua"
        script.write_text(SCRIPT)
        receiver = stack.enter_context(Receiver(len(variants), on_core(1)))
        servers = [
            stack.enter_context(serving(part, one, sink, folder / f"{number}.log"))
            for number, (one, sink) in enumerate(zip(variants, receiver.sinks, strict=True))
        ]
        stack.enter_context(_logs_on_failure(folder))
        for server in servers:
            wait_until(server.answers, f"the first answer of {server.variant.name!r}", 60)
        for server in [] if options.quick else servers:
            server.load(script, 1)  # warms up
        for number in range(rounds):
            for index, block in enumerate(blocks(servers, backwards=number % 2 == 1)):
                for server in block:
                    figures = server.load(script, seconds)
                    yield Record(part, ROW, f"{options.run}.{number}.{index}", server.variant.name, figures)
        for index, server in enumerate(servers):
            counts = {f"arrived_{name}": value for name, value in receiver.arrived(index).items()}
            figures = {"served": server.served, **counts}
            yield Record(part, ROW, f"{options.run}.all", server.variant.name, figures)


def blocks(servers: Sequence[Server], *, backwards: bool) -> list[list[Server]]:
    """Put the untraced server before each four others, so that what is compared is near in time.

    Args:
        servers: All, the untraced one first.
        backwards: The other way round, so that no variant always follows the same one.
    """
    untraced, *others = servers
    if backwards:
        others.reverse()
    return [[untraced, *others[at : at + BLOCK]] for at in range(0, len(others), BLOCK)]


@contextmanager
def _logs_on_failure(folder: Path) -> Iterator[None]:
    try:
        yield
    except Exception:
        for log in sorted(folder.glob("*.log")):
            if text := log.read_text():
                print(f"{log.name}: {text[-2000:]}", file=sys.stderr)
        raise
