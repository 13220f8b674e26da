"""The pages that are measured: the viewer's, and Jaeger's."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from tests.browser.viewer import Viewer, running_viewer
from tests.support.servers import free_port

from eco2_tracing._cli.processes import Child

_open = build_opener(ProxyHandler({})).open
PLACEHOLDER = "compiled with the UI assets"

# Each script returns the milliseconds until what was asked for has been painted.
_PAINTED = """
const painted = (holds) => new Promise((resolve) => {
  const done = () => resolve(performance.now() - begin);
  const look = () => holds() && (watch.disconnect(), requestAnimationFrame(() => setTimeout(done)));
  const watch = new MutationObserver(look);
  watch.observe(document, {childList: true, subtree: true, attributes: true, characterData: true});
  const begin = performance.now();
  act();
  look();
});
"""
CLICK = (
    "([row, detail]) => { const act = () => document.querySelectorAll(row)[7].click();"
    + _PAINTED
    + "return painted(() => document.querySelector(detail)); }"
)
OUR_FILTER = (
    """([label, text]) => {
const field = [...document.querySelectorAll('label')].find((one) => one.textContent.startsWith(label));
const input = field.querySelector('input');
const grid = document.querySelector('[role=grid]');
const before = grid.getAttribute('aria-rowcount');
const act = () => { input.value = text; input.dispatchEvent(new Event('input', {bubbles: true})); };
"""
    + _PAINTED
    + "return painted(() => grid.getAttribute('aria-rowcount') !== before); }"
)
JAEGER_SEARCH = (
    """([item, button]) => {
let wasEmpty = false;
const act = () => document.querySelector(button).click();
"""
    + _PAINTED
    + "return painted(() => { const found = document.querySelectorAll(item).length;"
    " wasEmpty ||= found === 0; return wasEmpty && found; }); }"
)


@dataclass(frozen=True)
class Target:
    """A page.

    Attributes:
        name: The heading of its column.
        running: Runs its server.
        start: The path of the first page.
        ready: A selector of what that page has when it can be used.
        row: A selector of the rows of spans.
        click: A selector of what is clicked in rows.
        detail: A selector of what a click shows.
        search: The path of the list that is searched.
        item: A selector of its rows.
        filter: A script that searches, and its arguments.
    """

    name: str
    running: Callable[[], AbstractContextManager[Viewer]]
    start: str
    ready: str
    row: str
    click: str
    detail: str
    search: str
    item: str
    filter: tuple[str, list[str]]


OURS = Target(
    "eco2-tracing view",
    partial(running_viewer, Child),
    "/",
    "[role=grid]",
    "[role=treegrid] .span-row",
    "[role=treegrid] .span-row .title",
    "aside h2",
    "/",
    "[role=grid] [data-id]",
    (OUR_FILTER, ["Route or name", "/things/7"]),
)


def jaeger_page(assets: str) -> Target:
    """Return Jaeger's page.

    Args:
        assets: The folder of its built page, for a command ``jaeger`` without it; or an empty text.
    """
    return Target(
        "Jaeger",
        partial(_running_jaeger, assets),
        "/search",
        ".SearchTracePage--find",
        ".span-row",
        ".span-row .span-name",
        ".detail-row",
        "/search?service=service-7&limit=1500&lookback=1h",
        ".ResultItem",
        (JAEGER_SEARCH, [".ResultItem", ".SearchForm--submit"]),
    )


@contextmanager
def _running_jaeger(assets: str) -> Iterator[Viewer]:
    """Run the command `jaeger` with its data in memory."""
    query, grpc, otlp = free_port(), free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="eco2-jaeger-") as folder:
        config = Path(folder, "jaeger.json")
        config.write_text(json.dumps(_config(query, grpc, otlp, assets)))
        command = ["jaeger", "--config", str(config)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{query}"
            _wait(url, process)
            yield Viewer(url, f"http://127.0.0.1:{otlp}", process.pid)
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()


def _config(query: int, grpc: int, otlp: int, assets: str) -> dict[str, object]:
    at = "127.0.0.1:{}".format
    page = {"ui": {"assets_path": assets}} if assets else {}
    extensions = {
        "jaeger_storage": {"backends": {"memory": {"memory": {"max_traces": 100_000}}}},
        "jaeger_query": {
            "storage": {"traces": "memory"},
            "http": {"endpoint": at(query)},
            "grpc": {"endpoint": at(grpc)},
            **page,
        },
    }
    pipeline = {"receivers": ["otlp"], "processors": [], "exporters": ["jaeger_storage_exporter"]}
    return {
        "service": {
            "extensions": list(extensions),
            "pipelines": {"traces": pipeline},
            "telemetry": {"metrics": {"level": "none"}},
        },
        "extensions": extensions,
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": at(otlp)}}}},
        "exporters": {"jaeger_storage_exporter": {"trace_storage": "memory"}},
    }


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            _open(url, timeout=5).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.005)


def missing_page(assets: str) -> str | None:
    """Return why Jaeger's page cannot be measured; `None` if it can."""
    if shutil.which("jaeger") is None:
        return "no command jaeger on PATH"
    with _running_jaeger(assets) as server, _open(server.url, timeout=5) as answer:
        if PLACEHOLDER in answer.read().decode():
            return "this jaeger was built without its page; --jaeger-ui names the folder of a built one"
    return None
