"""A running `eco2-tracing view` on free ports."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

from eco2_tracing._cli.processes import Child as NewProcess
from tests.browser.made import Made, send
from tests.support.children import Child
from tests.view.requests import wait_until

_open = build_opener(ProxyHandler({})).open
COMMAND = [
    "-m",
    "eco2_tracing",
    "view",
    *["--port", "0", "--grpc-port", "0", "--http-port", "0", "--zipkin-port", "0"],
]


@dataclass(frozen=True)
class Viewer:
    """The viewer's addresses.

    Attributes:
        url: The page.
        otlp: The receiver of OTLP/HTTP.
        pid: The process.
    """

    url: str
    otlp: str
    pid: int

    def get(self, path: str, **parameters: object) -> Any:
        """Return what the JSON API answers."""
        query = f"?{urlencode(parameters)}" if parameters else ""
        with _open(f"{self.url}{path}{query}", timeout=60) as answer:
            return json.load(answer)

    def send(self, *traces: Made) -> str:
        """Send traces, and wait until all their spans are held; return the id of the last."""
        send(self.otlp, traces)
        last = traces[-1]

        def is_held() -> bool:
            found = self.get("/api/traces", trace_id=last.trace_id)["traces"]
            return bool(found) and found[0]["spans"] > 0

        wait_until(is_held)
        return last.trace_id


@contextmanager
def running_viewer(kind: type[NewProcess] = Child) -> Iterator[Viewer]:
    """Run a viewer until the block ends."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "ECO2_"))}
    with kind("view", [sys.executable, *COMMAND], environ) as child:
        yield viewer_of(child)


def viewer_of(child: NewProcess) -> Viewer:
    """Wait until a process has written the viewer's addresses."""
    found = child.wait_for_line(r"traces at (http://\S+:\d+); OTLP on \S+ \(gRPC\) and (\d+) \(HTTP\)")
    return Viewer(found.group(1), f"http://127.0.0.1:{found.group(2)}", child._process.pid)
