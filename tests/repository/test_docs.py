"""Every Python snippet of README and `docs/` runs, and every link has a target."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository.sources import ROOT

PAGES = [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS = re.compile(r"^<!-- needs: (.*) -->$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def snippets(text: str) -> list[tuple[int, str]]:
    """The Python blocks of a page, each with its first line number."""
    return [
        (text.count("\n", 0, found.start(2)) + 1, found[2])
        for found in FENCE.finditer(text)
        if found[1] in {"python", "py"}
    ]


def script(page: str, blocks: list[tuple[int, str]]) -> str:
    """One program of a page's blocks, with the line numbers of the page."""
    lines = [f"def run(line, text, names): exec(compile('\\n' * (line - 1) + text, {page!r}, 'exec'), names)"]
    lines += ["names = {'__name__': 'snippet'}"]
    lines += [f"run({line}, {text!r}, names)" for line, text in blocks]
    return "\n".join(lines)


def run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program that does not export and inherits no configuration."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "ECO2_"))}
    environ |= {"OTEL_TRACES_EXPORTER": "none"}
    return subprocess.run(
        command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=120, check=False
    )


def name(page: Path) -> str:
    """A page's path in the repository."""
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in PAGES if snippets(page.read_text())], ids=name)
def test_snippets_run(page, tmp_path):
    """The blocks of a page run in order, if the packages that the page needs are installed."""
    for needed in NEEDS.findall(page.read_text()):
        for module in needed.split(", "):
            pytest.importorskip(module)
    blocks = [block for block in snippets(page.read_text()) if "def test_" not in block[1]]
    (tmp_path / "snippets.py").write_text(script(name(page), blocks))
    done = run([sys.executable, "snippets.py"], tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", [page for page in PAGES if "\ndef test_" in page.read_text()], ids=name)
def test_snippets_that_are_tests_pass(page, tmp_path):
    """The blocks with tests pass under pytest, with the library's plugin alone."""
    for line, text in snippets(page.read_text()):
        if "def test_" in text:
            (tmp_path / f"test_line_{line}.py").write_text(text)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=name)
def test_links_have_targets(page):
    """A relative link names a file of the repository."""
    targets = [target for target in LINK.findall(page.read_text()) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_page_is_in_the_index():
    """The index links to each page."""
    index = (ROOT / "docs" / "index.md").read_text()
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert {page for page in pages if f"({page})" not in index} == set()


def test_every_decision_is_in_its_list():
    """The list of decisions links to each record."""
    listed = (ROOT / "docs" / "decisions" / "README.md").read_text()
    records = {path.name for path in (ROOT / "docs" / "decisions").glob("0*.md")}
    assert {record for record in records if f"({record})" not in listed} == set()


FRAMEWORKS = {"fastapi", "starlette"}


def first_imports(text: str) -> list[str]:
    """The packages that a program imports at its top level, in order."""
    found = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import):
            found += [alias.name.partition(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module.partition(".")[0])
    return found


def late(text: str) -> bool:
    """Whether a program imports a framework before eco2_tracing."""
    names = first_imports(text)
    before = names[: names.index("eco2_tracing")] if "eco2_tracing" in names else []
    return not FRAMEWORKS.isdisjoint(before)


def test_every_program_imports_the_library_first():
    """Each snippet and example imports it before FastAPI, whose import an invalid `OTEL_PROPAGATORS` breaks."""
    programs = {
        f"{name(page)}:{line}": text
        for page in PAGES
        for line, text in snippets(page.read_text())
        if "import" in text
    }
    programs |= {name(path): path.read_text() for path in sorted((ROOT / "examples").rglob("*.py"))}
    assert [where for where, text in programs.items() if late(text)] == []
    assert late("from fastapi import FastAPI\nfrom eco2_tracing import span\n")


def test_only_python_blocks_are_snippets():
    """They have their line numbers and no prose."""
    assert snippets("a\n```python\nx = 1\n```\n```console\n$ x\n```\n") == [(3, "x = 1\n")]
