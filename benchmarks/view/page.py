"""How soon the viewer's page shows things, beside Jaeger's page in the same browser.

Run it as ``python -m benchmarks.view.page``; ``--jaeger-ui FOLDER`` names Jaeger's built page where the command
``jaeger`` has none, ``--rounds 9`` measures more often. It needs the groups ``test`` and ``browser`` and a Chromium.
"""

from __future__ import annotations

import argparse
import gzip
import random
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

from benchmarks.view._service import running_service
from benchmarks.view._targets import CLICK, OURS, Target, jaeger_page, missing_page
from tests.browser.chromium import LAPTOP, running_browser
from tests.browser.made import send
from tests.browser.shop import large, many
from tests.browser.viewer import Viewer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LARGE, TRACES, REQUESTS = 5_000, 10_000, 100
BATCH = 2_000
# The time of the first rows, since the navigation began.
FIRST_ROWS = """
(selector) => {
  window.firstRows = null;
  new MutationObserver((_, watch) => {
    if (document.querySelectorAll(selector).length < 10) return;
    watch.disconnect();
    requestAnimationFrame(() => setTimeout(() => { window.firstRows = performance.now(); }));
  }).observe(document, {childList: true, subtree: true});
}
"""
ARRIVALS = """
() => {
  window.arrivals = {};
  const look = () => {
    for (const row of document.querySelectorAll('[data-id]')) {
      window.arrivals[row.dataset.id] ??= performance.timeOrigin + performance.now();
    }
  };
  new MutationObserver(() => requestAnimationFrame(look)).observe(document, {childList: true, subtree: true});
}
"""


class Measured:
    """The figures of one page, in milliseconds if nothing else is said."""

    def __init__(self, browser: Browser, target: Target, rounds: int) -> None:
        self._browser = browser
        self._target = target
        self._rounds = rounds
        self.figures: dict[str, str] = {}

    def run(self) -> dict[str, str]:
        """Measure everything."""
        self._note("start to page", [self._start() for _ in range(self._rounds)])
        with self._target.running() as server:
            self._large(server)
            self._filter(server)
        return self.figures

    def _note(self, name: str, values: Sequence[float], unit: str = " ms") -> None:
        self.figures[name] = f"{median(values):,.0f}{unit}"

    def _page(self, stack: ExitStack, server: Viewer) -> Page:
        context = stack.enter_context(self._browser.new_context(base_url=server.url, viewport=LAPTOP))
        return context.new_page()

    def _start(self) -> float:
        """Milliseconds from the start of the server until its page can be used."""
        begin = time.perf_counter()
        with ExitStack() as stack:
            page = self._page(stack, stack.enter_context(self._target.running()))
            page.goto(self._target.start, wait_until="commit")
            page.wait_for_selector(self._target.ready)
            return (time.perf_counter() - begin) * 1e3

    def _large(self, server: Viewer) -> None:
        """A trace of 5 000 spans: its first rows, the nodes, the click on a row."""
        trace = large(spans=LARGE)
        send(server.otlp, [trace])
        rows, nodes, clicks = [], [], []
        for _ in range(self._rounds):
            with ExitStack() as stack:
                page = self._page(stack, server)
                page.add_init_script(f"({FIRST_ROWS})({self._target.row!r})")
                page.goto(f"/trace/{trace.trace_id}")
                page.wait_for_function("() => window.firstRows !== null")
                rows.append(page.evaluate("window.firstRows"))
                page.wait_for_load_state("networkidle")
                nodes.append(page.evaluate("document.querySelectorAll('*').length"))
                page.evaluate("selector => document.querySelector(selector)?.remove()", self._target.detail)
                clicks.append(page.evaluate(CLICK, [self._target.click, self._target.detail]))
        self._note("5 000 spans: first rows", rows)
        self._note("5 000 spans: nodes", nodes, "")
        self._note("5 000 spans: detail", clicks)

    def _filter(self, server: Viewer) -> None:
        """A search in a list of 10 000 traces."""
        traces = list(many(TRACES))
        for at in range(0, TRACES, BATCH):
            send(server.otlp, traces[at : at + BATCH])
        script, arguments = self._target.filter
        times = []
        for _ in range(self._rounds):
            with ExitStack() as stack:
                page = self._page(stack, server)
                page.goto(self._target.search)
                page.wait_for_selector(self._target.item)
                page.wait_for_load_state("networkidle" if self._target is not OURS else "load")
                if self._target is OURS:
                    grid = "document.querySelector('[role=grid]').getAttribute('aria-rowcount')"
                    page.wait_for_function(f"() => Number({grid}) >= {TRACES}")
                times.append(page.evaluate(script, arguments))
        self._note("list of 10 000: filter", times)


def arrivals(browser: Browser) -> str:
    """Return how long after a request's root span has ended its row is shown: median and 95th percentile."""
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder)) as (server, call):
        with browser.new_context(base_url=server.url, viewport=LAPTOP) as context:
            page = context.new_page()
            page.add_init_script(f"({ARRIVALS})()")
            page.goto("/")
            page.wait_for_selector(OURS.ready)
            pause = random.Random(1)
            for number in range(REQUESTS + 5):
                call(number)
                time.sleep(pause.uniform(0.05, 0.35))
            page.wait_for_function(f"() => Object.keys(window.arrivals).length >= {REQUESTS}")
            seen = page.evaluate("window.arrivals")
        traces = server.get("/api/traces", limit=REQUESTS)["traces"]
    ends = {one["trace_id"]: int(one["start_ns"]) / 1e6 + one["duration_ms"] for one in traces}
    late = [seen[one] - end for one, end in ends.items() if one in seen]
    return f"{median(late):,.0f} ms, 95 %: {quantiles(late, n=20)[-1]:,.0f} ms ({len(late)} requests)"


def size() -> str:
    """Return the size of all files of the viewer's page, compressed as one stream."""
    page = files("eco2_tracing").joinpath("_view", "page")
    every = b"".join(one.read_bytes() for one in page.iterdir() if one.is_file())
    return f"{len(gzip.compress(every)) / 1024:.0f} KiB"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jaeger-ui", default="", metavar="FOLDER")
    options = parser.parse_args()
    reason = missing_page(options.jaeger_ui)
    targets = [OURS] if reason else [OURS, jaeger_page(options.jaeger_ui)]
    with running_browser() as browser:
        print(f"Chromium {browser.version}, {options.rounds} rounds, medians")
        live = arrivals(browser)
        columns = [Measured(browser, target, options.rounds).run() for target in targets]
    columns[0] = {"page, compressed": size(), "root's end to its row": live, **columns[0]}
    names = list(columns[0])
    print(f"| | {' | '.join(target.name for target in targets)} |")
    print(f"|---|{'---|' * len(targets)}")
    for name in names:
        print(f"| {name} | {' | '.join(column.get(name, '') for column in columns)} |")
    if reason:
        print(f"Jaeger's page is not measured: {reason}")


if __name__ == "__main__":
    main()
