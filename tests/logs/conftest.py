"""Reads the lines on stdout, and restores logging after each test."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eco2_tracing import _guard, logs

Lines = Callable[[], list[dict[str, Any]]]


STDOUT = pytest.StashKey[io.StringIO]()


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Run the test itself without pytest's own handlers, and with the stdout of `out`."""
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    stdout, sys.stdout = sys.stdout, item.stash.get(STDOUT, sys.stdout)
    try:
        return (yield)
    finally:
        root.handlers, sys.stdout = handlers, stdout


@pytest.fixture(autouse=True)
def _clean_logging() -> Iterator[None]:
    """Undo what a test configured."""
    logs.reset_logging()
    _guard.forget_warnings()
    yield
    logs.reset_logging()


@pytest.fixture
def out(request: pytest.FixtureRequest) -> Lines:
    """Read what was written to stdout since, each line as one JSON object."""
    stdout = request.node.stash[STDOUT] = io.StringIO()

    def read() -> list[dict[str, Any]]:
        text = stdout.getvalue()
        assert text == "" or text.endswith("\n")
        stdout.seek(0)
        stdout.truncate()
        # Split at every line separator that any reader knows, not at "\n" alone.
        return [json.loads(line, object_pairs_hook=without_repeats) for line in text.splitlines()]

    return read


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a JSON object; a repeated name would let one field replace another."""
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), names
    return dict(pairs)
