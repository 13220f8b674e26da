"""A collector in a separate process, which can be killed and does not use the measuring process's time.

The handle is `Collector`; run as a program this module is the collector itself, which takes one
command a line on standard input, as JSON, and answers each with a line.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from benchmarks.reliability._processes import ROOT, free_port


class Collector:
    """An OTLP receiver in a process; after a kill and a start it listens on the same ports.

    Attributes:
        endpoint: For gRPC.
        http_endpoint: For OTLP over HTTP.
    """

    def __init__(self) -> None:
        self._ports = [0, 0]
        self.start()
        self.endpoint, self.http_endpoint = (f"http://127.0.0.1:{port}" for port in self._ports)

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [sys.executable, "-m", __spec__.name, *map(str, self._ports)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._ports = self._answer()

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def freeze(self) -> None:
        """Stop the process, with its connections open."""
        self._process.send_signal(signal.SIGSTOP)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.kill()

    def fail_with(self, grpc_code: str = "UNAVAILABLE", http_status: int = 503) -> None:
        """Fail all requests from now on."""
        self._ask("fail_with", grpc_code=grpc_code, http_status=http_status)

    def answer_after(self, delay_s: float) -> None:
        """Answer late from now on."""
        self._ask("answer_after", delay_s=delay_s)

    def reject_partly(self, rejected: int) -> None:
        """Accept requests but for some of their spans from now on."""
        self._ask("reject_partly", rejected=rejected)

    def recover(self) -> None:
        """Succeed again; delayed responses are sent."""
        self._ask("recover")

    def clear(self) -> None:
        """Discard received spans."""
        self._ask("clear")

    def answers(self) -> dict[str, int]:
        """The number of each response."""
        return self._ask("answers")

    def names(self) -> list[str]:
        """Give the names of the spans received."""
        return self._ask("names")

    def wait_for_more(self, than: int, timeout_s: float) -> float | None:
        """Wait until it holds more spans than so many.

        Returns:
            The monotonic time of that moment, or ``None`` when the time is up.
        """
        end = time.monotonic() + timeout_s
        while self._ask("count") <= than:
            if time.monotonic() > end:
                return None
            time.sleep(0.02)
        return time.monotonic()

    def _ask(self, verb: str, **arguments: Any) -> Any:
        self._process.stdin.write(json.dumps([verb, arguments]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the collector has died")
        return json.loads(line)


@contextmanager
def black_hole() -> Iterator[str]:
    """An endpoint that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as hole:
        yield f"http://127.0.0.1:{hole.getsockname()[1]}"


@contextmanager
def refused() -> Iterator[str]:
    """An endpoint that refuses connections."""
    yield f"http://127.0.0.1:{free_port()}"


def main() -> None:
    """Run the collector until standard input ends."""
    from collections import Counter

    from eco2_tracing.testing import OtlpReceiver

    grpc_port, http_port = map(int, sys.argv[1:])
    with OtlpReceiver(grpc_port=grpc_port, http_port=http_port) as receiver:
        told = {
            "answers": lambda: Counter(request.answer for request in receiver.requests),
            "names": lambda: [span.name for span in receiver.spans],
            "count": lambda: len(receiver.spans),
        }
        print(json.dumps([receiver.grpc_port, receiver.http_port]), flush=True)
        for line in sys.stdin:
            verb, arguments = json.loads(line)
            done = told[verb]() if verb in told else getattr(receiver, verb)(**arguments)
            print(json.dumps(done), flush=True)


if __name__ == "__main__":
    main()
