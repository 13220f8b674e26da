"""The page of `examples/browser` in a headless Chromium: its spans and those of the services are one trace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.browser.chromium import need_browser, running_browser
from tests.repository.sources import ROOT
from tests.support.children import Child
from tests.support.jaeger import jaeger, wait_for, wait_for_trace
from tests.support.servers import free_port
from tests.support.trees import assert_shown

__all__ = ["jaeger"]

EXAMPLE = ROOT / "examples" / "browser"
PAGE = "docs/interop.md"
BUILT = ("package.json", "package-lock.json", ".npmrc", "src", "index.html", "page.py", "api.py")


@pytest.fixture(scope="module")
def chromium() -> None:
    """Skip without a Chromium or Playwright."""
    need_browser()


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Path:
    """A copy of the example with its script built; skips without npm, or if its packages cannot be had."""
    if (npm := shutil.which("npm")) is None:
        pytest.skip("no command npm on PATH")
    folder = tmp_path_factory.mktemp("browser")
    for name in BUILT:
        source = EXAMPLE / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    install = (npm, "ci", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=0")
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        pytest.skip(f"npm ci: {done.stderr.strip().splitlines()[0]}")
    done = subprocess.run(
        (npm, "run", "build"), cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def page_url(example, jaeger):
    """The URL of the page; it, the API and the collector have an origin each."""
    page, api = free_port(), free_port()
    outside = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "ECO2_TRACING_"))}
    environ = outside | {
        "PYTHONPATH": str(example),
        "OTEL_EXPORTER_OTLP_ENDPOINT": jaeger.otlp_grpc,
        "COLLECTOR_ORIGIN": jaeger.otlp_http,
        "API_ORIGIN": f"http://127.0.0.1:{api}",
        "PAGE_ORIGIN": f"http://127.0.0.1:{page}",
    }
    with ExitStack() as stack:
        for name, port in (("page", page), ("api", api)):
            command = [sys.executable, "-m", "uvicorn", f"{name}:app", "--port", str(port)]
            stack.enter_context(Child(name, command, environ)).wait_for_line("running on http://")
        yield f"http://127.0.0.1:{page}/"


def test_page_load_click_and_fetch(page_url, chromium, jaeger):
    """They are in the trace of the page's own request, and the API's span is below the call."""
    with running_browser() as browser:
        page = browser.new_page()
        problems = []
        page.on("console", lambda message: problems.append(message.text))
        page.goto(page_url)
        trace_id = page.locator("meta[name=traceparent]").get_attribute("content").split("-")[1]
        page.get_by_role("button").click()
        wait_for(lambda: "tea" in page.locator("#order").inner_text() or problems)
        assert problems == []
        # The page stays open until its spans have been sent.
        trace = wait_for_trace(jaeger, trace_id, 7)
    assert trace.is_one_tree
    assert set(trace.services) == {"shop-page", "shop-browser", "shop-api"}
    (called,) = [span for span in trace.spans if span.service == "shop-api"]
    assert trace.parent(called).service == "shop-browser"
    assert trace.parent(trace.parent(called)).name == "click"
    assert_shown(trace, PAGE)


def test_preflight_requests_leave_no_trace(page_url, chromium, jaeger):
    """`shop-api` exports no span of the browser's OPTIONS requests, and `shop-page` none of its script."""
    found = jaeger.get(f"{jaeger.query}/api/v3/operations?service=shop-api")["operations"]
    assert {one["name"] for one in found} == {"GET /api/v1/orders/{order_id}"}
    found = jaeger.get(f"{jaeger.query}/api/v3/operations?service=shop-page")["operations"]
    assert {one["name"] for one in found} == {"GET /"}
