"""Each page about moving from another tracer: its application before and after, and what changes in the spans."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.moving.facts import facts, pairs
from tests.support import programs
from tests.support.sections import DOCS, Page, row

ROOT = Path(__file__).parents[2]
SPANS, ATTRIBUTES = "What changes in the spans", "Attributes of a server span"


class Move(NamedTuple):
    """A page.

    Attributes:
        name: Of the page.
        packages: The packages before the move; the page names the version of the first.
        before: The command in front of the server, before the move.
        after: The same after the move.
    """

    name: str
    packages: tuple[str, ...]
    before: str = ""
    after: str = ""

    @property
    def page(self) -> Page:
        """The page."""
        return Page(f"moving/{self.name}.md")


CONTRIB = ("opentelemetry-instrumentation-fastapi", "opentelemetry-instrumentation-httpx")
RUN = "eco2-tracing run"
MOVES = (
    Move("fastapi-instrumentor", CONTRIB),
    Move("opentelemetry-instrument", (*CONTRIB, "opentelemetry-distro"), "opentelemetry-instrument", RUN),
    Move("tracing-py", CONTRIB),
    Move("zipkin", ("py-zipkin",)),
    Move("jaeger-client", ("jaeger-client",)),
    Move("elastic-apm", ("elastic-apm",)),
    Move("ddtrace", ("ddtrace",), "ddtrace-run", RUN),
    Move("logfire", ("logfire",)),
)
VARIABLE = re.compile(r"\b(?:OTEL|ECO2_TRACING)_[A-Z_]+[A-Z]\b")
# Nothing leaves the process, and nothing is looked for in the network.
QUIET = {
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_TRACE_STARTUP_LOGS": "false",
    "DD_AGENT_HOST": "127.0.0.1",
}


def version(package):
    """The installed version; skips if there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed: pip install {package}")


def recorded(move, side):
    """The spans of the page's application, in a process of its own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "ECO2_", "DD_"))}
    kept["OTEL_TRACES_EXPORTER"] = "none"
    words = (move.before if side == "before" else move.after).split()
    if words:
        beside = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        words[0] = shutil.which(words[0], path=beside) or words[0]
    command = [*words, sys.executable, "-m", "tests.moving.record", move.name, side]
    done = programs.run(command, env={**kept, **QUIET}, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout[done.stdout.index('{"requests"') :])


@pytest.fixture(scope="module", params=MOVES, ids=lambda move: move.name)
def moved(request):
    """A page, and the recordings before and after."""
    move = request.param
    for package in move.packages:
        version(package)
    with ThreadPoolExecutor() as pool:
        return move, *pool.map(lambda side: recorded(move, side), ("before", "after"))


def is_of_page(move):
    """Whether the installed version is the one that the page was tried with."""
    package = move.packages[0]
    found = re.search(rf"Tried with `{package}` (\S+?),? ", move.page.text)
    assert found, f"docs/moving/{move.name}.md does not say: Tried with `{package}` <version>"
    return version(package).split(".")[:2] == found[1].split(".")[:2]


def test_spans_are_those_of_the_page(moved):
    """Names, kinds, errors, events and headers, before and after."""
    move, before, after = moved
    shown, wanted = move.page.rows(SPANS), facts(before, after)
    if not is_of_page(move):
        for cells in (*shown, *wanted):
            cells[1] = "another version"
    assert "\n".join(map(row, shown)) == "\n".join(map(row, wanted))


def test_attributes_are_those_of_the_page(moved):
    """Each attribute of a server span, before and after."""
    move, before, after = moved
    if not is_of_page(move):
        pytest.skip(f"the page was tried with another version of {move.packages[0]}")
    shown, wanted = move.page.rows(ATTRIBUTES), pairs(before, after)
    for column in (0, 1):
        names = [{cells[column] for cells in table} - {"none"} for table in (shown, wanted)]
        assert names[0] == names[1], "\n".join(map(row, wanted))


def test_both_sides_are_traced(moved):
    """A request has a server span and the manual span, before and after."""
    _, before, after = moved
    for side in (before, after):
        server, manual, *_ = side["requests"]["item"]
        assert "/items/" in server["name"]
        assert "price" in manual["name"]


@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.name)
def test_settings_exist(move):
    """Each variable that a page says to set is one of this library's."""
    title = "Arguments" if move.name == "fastapi-instrumentor" else "Settings"
    known = set(VARIABLE.findall(Page("reference/settings.md").text))
    named = {name for cells in move.page.rows(title) for name in VARIABLE.findall(cells[-1])}
    assert named
    assert named - known == set()


def test_every_page_is_tried():
    """Each page about moving has an application here."""
    pages = {path.stem for path in (DOCS / "moving").glob("*.md")} - {"index"}
    assert pages == {move.name for move in MOVES}
