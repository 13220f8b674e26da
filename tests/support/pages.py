"""Parts of the pages of `docs/`: their programs, files, commands and outputs."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.repository import snippets
from tests.support import programs

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BIN = Path(sys.executable).parent
_FILE = re.compile(r"`([\w.]+\.py)`[^\n]*\n+```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def read(page: str) -> str:
    """The text of a page, named by its path in `docs/`; skips if a module that it needs is missing."""
    snippets.require(DOCS / page)
    return (DOCS / page).read_text(encoding="utf-8")


def of(page: str, kind: str) -> list[str]:
    """The texts of the blocks of a kind; skips as `read` does."""
    return [block.text for block in snippets.blocks(read(page)) if block.kind == kind]


def files(page: str) -> dict[str, str]:
    """The Python files that a page shows, by the name that stands above each."""
    return dict(_FILE.findall(read(page)))


def commands(page: str) -> list[str]:
    """The commands of a page, without the prompt."""
    return [
        line.removeprefix("$ ")
        for text in of(page, "console")
        for line in text.splitlines()
        if line.startswith("$ ")
    ]


def environment(**more: str) -> dict[str, str]:
    """The environment of a shell in which the virtual environment of the tests is active."""
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("OTEL_", "ECO2_")) and key != "WEB_CONCURRENCY"
    }
    return inherited | {"PATH": f"{BIN}{os.pathsep}{inherited['PATH']}"} | more


def output(page: str, more: str, cwd: Path, **environ: str) -> str:
    """What the Python blocks of a page print, in one program that ends with more code."""
    program = "\n".join([*of(page, "python"), more])
    done = programs.run([sys.executable, "-c", program], env=environment(**environ), cwd=cwd, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def lines(text: str) -> list[Mapping[str, object]]:
    """The JSON lines of an output."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
