"""Every snippet of README and `docs/` runs or parses, and every link has a target."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.repository.shell import Page, commands, reason, wrong_extras
from tests.repository.snippets import PAGES, SHELLS, Block, blocks, name, of, require
from tests.repository.sources import ROOT
from tests.support import programs

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
# `test_korean` holds that the blocks of Korean pages are those of the English ones.
RUN = [page for page in PAGES if not page.name.endswith(".ko.md")]
# Its commands are those of `test_getting_started`, which compares their output too.
RUN_ELSEWHERE = {ROOT / "docs" / "getting-started.md"}


def snippets(page: Path) -> list[tuple[int, str]]:
    """The Python blocks of a page that are run, each with its first line number."""
    return [(block.line, block.text) for block in of(page, "python") if not block.not_run]


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
    return programs.run(command, cwd=cwd, env=environ, timeout=120)


@pytest.mark.parametrize("page", [page for page in RUN if snippets(page)], ids=name)
def test_snippets_run(page, tmp_path):
    """The blocks of a page run in order, if the packages that the page needs are installed."""
    require(page)
    blocks = [block for block in snippets(page) if "def test_" not in block[1]]
    (tmp_path / "snippets.py").write_text(script(name(page), blocks))
    done = run([sys.executable, "snippets.py"], tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", [page for page in RUN if "\ndef test_" in page.read_text()], ids=name)
def test_snippets_that_are_tests_pass(page, tmp_path):
    """The blocks with tests pass under pytest, with the library's plugin alone."""
    for line, text in snippets(page):
        if "def test_" in text:
            (tmp_path / f"test_line_{line}.py").write_text(text)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


OTHERS = [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "examples").rglob("*.md"))]


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=name)
def test_links_have_targets(page):
    """A relative link names a file of the repository."""
    targets = [target for target in LINK.findall(page.read_text()) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


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
    texts = {
        f"{name(page)}:{line}": text for page in PAGES for line, text in snippets(page) if "import" in text
    }
    texts |= {name(path): path.read_text() for path in sorted((ROOT / "examples").rglob("*.py"))}
    assert [where for where, text in texts.items() if late(text)] == []
    assert late("from fastapi import FastAPI\nfrom eco2_tracing import span\n")


SHELL_PAGES = [page for page in RUN if page not in RUN_ELSEWHERE and of(page, *SHELLS)]


@pytest.mark.parametrize("page", SHELL_PAGES, ids=name)
def test_shell_snippets_run(page, tmp_path):
    """The commands of a page run in order, but for those that `NOT_RUN` or a comment above them leaves out."""
    require(page)
    if any(".write_text(" in text for _, text in snippets(page)):  # files that commands name
        (tmp_path / "snippets.py").write_text(script(name(page), snippets(page)))
        run([sys.executable, "snippets.py"], tmp_path)
    with Page(tmp_path) as shell:
        print("\n".join(shell.run(page.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("page", [page for page in PAGES if of(page, "json", "toml", "yaml")], ids=name)
def test_data_snippets_parse(page):
    """Each JSON, TOML and YAML block can be read."""
    for block in of(page, "json", "toml", "yaml"):
        try:
            if block.kind == "json":
                read_json(block.text)
            elif block.kind == "toml":
                tomllib.loads(block.text)
            else:
                list(pytest.importorskip("yaml").safe_load_all(block.text))
        except ValueError as error:
            pytest.fail(f"line {block.line}: {error}")


def read_json(text: str) -> None:
    """Read one document, or one a line."""
    try:
        json.loads(text)
    except ValueError:
        for line in text.splitlines():
            json.loads(line)


def test_blocks():
    """Each has its line, its language, and the comments above it."""
    text = "a\n```python\nx = 1\n```\n\n<!-- file: a.py -->\n```py\ny\n```\n"
    text += "- b\n\n    <!-- not run: slow -->\n    ```sh\n    z\n    ```\n"
    assert list(blocks(text)) == [
        Block(3, "python", "x = 1\n"),
        Block(8, "python", "y\n", file="a.py"),
        Block(14, "sh", "z\n", not_run="slow"),
    ]


def test_commands():
    """Lines after prompts are commands, the others output; a backslash joins lines."""
    assert list(commands(Block(1, "console", "$ a \\\n  b\nout\n$ c\n"))) == ["a    b", "c"]
    assert list(commands(Block(1, "sh", "# no command\na\n\nb\n"))) == ["a", "b"]
    assert reason("OTEL_SDK_DISABLED=true .venv/bin/pip install x")
    assert not reason("uvicorn app:app")
    assert wrong_extras("pip install 'eco2-tracing[redis,nothing]'") == {"nothing"}
