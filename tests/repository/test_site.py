"""The documentation's site: it builds offline without a warning, has every page, and answers questions."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import pytest

from tests.repository.sources import ROOT
from website import hooks

FIRST_HITS = 3
FIRST_SCREEN = 2_000
"""Characters of text and code that a window of 1 440 x 900 shows below its header."""
QUESTIONS = tomllib.loads((ROOT / "tests" / "repository" / "questions.toml").read_text())["question"]


def config() -> dict[str, object]:
    """`mkdocs.yml`."""
    return pytest.importorskip("yaml").safe_load((ROOT / "mkdocs.yml").read_text())


def docs_pages() -> list[str]:
    """The pages of `docs/`, as the navigation names them."""
    docs = ROOT / "docs"
    return sorted(path.relative_to(docs).as_posix() for path in docs.rglob("*.md"))


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built as `nox -s docs` does: a warning is an error."""
    for module in ("material", "mkdocs", "mkdocstrings"):
        pytest.importorskip(module)
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_in_the_navigation():
    """Each page of `docs/` has one place in the navigation, and each place a page."""
    nav = list(hooks.entries(hooks.expanded(config()["nav"], docs_pages())))
    assert sorted(nav) == docs_pages()


def test_patterns_of_the_navigation():
    """A pattern stands for the pages of its folder that are not named; a section without pages is left out."""
    nav = ["index.md", {"How to": ["how-to/b.md", "how-to/*.md"]}, {"None": ["none/*.md"]}, "*.md"]
    pages = ["a.md", "how-to/a.md", "how-to/b.md", "how-to/c/d.md", "index.md"]
    assert hooks.expanded(nav, pages) == ["index.md", {"How to": ["how-to/b.md", "how-to/a.md"]}, "a.md"]
    assert hooks.expanded(["a*.md", "*.md"], ["ab.md", "b.md"]) == ["ab.md", "b.md"]


def test_links_to_files_outside_docs():
    """A page links to the file's page on the site, and that page to others by the same rule."""
    text = "[a](../README.md#cost) [b](../examples/auth_api.py) [c](logs.md#fields) [d](https://e.org) [e](../none.md)"
    assert hooks.relinked("docs/demo.md", "demo.md", text) == (
        "[a](repository/README.md#cost) [b](repository/examples/auth_api.py.md) [c](logs.md#fields) "
        "[d](https://e.org) [e](../none.md)"
    )
    made = hooks.file_pages({"docs/demo.md": "[a](../README.md) [b](../examples/)"})
    assert {"repository/README.md", "repository/CHANGELOG.md", "repository/examples/README.md"} <= set(made)
    assert "](../getting-started.md)" in made["repository/README.md"]


def test_nothing_is_loaded_from_other_hosts(site):
    """No page has a script, style, font or picture with a host."""
    loads = re.compile(
        r"<(?:script|img|iframe|source)[^>]*\ssrc=\"?(?:https?:)?//|<link[^>]*href=\"?(?:https?:)?//"
    )
    found = {path.name: hit[0] for path in site.rglob("*.html") if (hit := loads.search(path.read_text()))}
    assert found == {}
    styles = [
        path.name for path in site.rglob("*.css") if re.search(r"url\(\"?(?:https?:)?//", path.read_text())
    ]
    assert styles == []


@dataclass(frozen=True)
class Hit:
    """A section that the search found: its page, and the text from there on."""

    page: str
    text: str


class Search:
    """The search of the site, with the index, the weights and the order of Material's search worker."""

    def __init__(self, site: Path) -> None:
        pytest.importorskip("lunr")
        from lunr.builder import Builder
        from lunr.stop_word_filter import WORDS, stop_word_filter

        index = json.loads((site / "search" / "search_index.json").read_text())
        self.docs: list[Mapping[str, str]] = index["docs"]
        self.places = {each["location"]: place for place, each in enumerate(self.docs)}
        self.common = frozenset(WORDS)
        builder = Builder()
        builder.pipeline.add(stop_word_filter)
        builder.b(0)
        builder.ref("location")
        builder.field("title", boost=1000)
        builder.field("text", boost=1)
        self.separator = re.compile(index["config"]["separator"])
        for each in self.docs:
            texts = {field: re.sub(r"<[^>]+>", " ", each[field]) for field in ("title", "text")}
            words = {field: self.words(text) for field, text in texts.items()}
            builder.add({"location": each["location"], **words}, {"boost": each.get("boost", 1)})
        self.index = builder.build()

    def words(self, text: str) -> list[str]:
        """The words of a text or of a query."""
        return [word.lower() for word in self.separator.split(text) if word]

    def __call__(self, query: str) -> Iterator[Hit]:
        """The pages that match, best first, each at its best section."""
        words = self.words(query)
        terms = [term for term in words if term not in self.common]
        found: list[tuple[float, str]] = []
        for each in self.index.search(" ".join(f"{word}*" for word in words)):
            tokens = each["match_data"].metadata
            matched = sum(any(token.startswith(term) for token in tokens) for term in terms) / len(terms)
            preference = matched + ("#" not in each["ref"])
            found.append((each["score"] * (1 + preference**2), each["ref"]))
        seen = set()
        for _, location in sorted(found, reverse=True):
            page = location.partition("#")[0].removesuffix(".html")
            if page not in seen:
                seen.add(page)
                yield Hit(page, self.text(location))

    def text(self, location: str) -> str:
        """The text of a section and of what follows on its page."""
        page = location.partition("#")[0]
        following = self.docs[self.places[location] :]
        same = [each for each in following if each["location"].partition("#")[0] == page]
        joined = "\n".join(f"{each['title']}\n{each['text']}" for each in same)
        return unescape(re.sub(r"<[^>]+>", "", joined))


@pytest.fixture(scope="module")
def search(site) -> Search:
    """The search of the site."""
    return Search(site)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question["types"])
def test_questions_are_answered(question, search):
    """One of the first hits is a page for the question, and answers it on the first screen."""
    if f"{question['pages'][0]}.md" not in docs_pages():
        pytest.skip(f"there is no page {question['pages'][0]} yet")
    hits = list(search(question["types"]))[:FIRST_HITS]
    fitting = [hit for hit in hits if hit.page in question["pages"]]
    assert fitting, f"found {[hit.page for hit in hits]}"
    assert any(re.search(question["answer"], hit.text[:FIRST_SCREEN]) for hit in fitting), fitting[0].text[
        :FIRST_SCREEN
    ]


def test_there_are_fifteen_questions():
    """Each has its thread."""
    assert len(QUESTIONS) == 15
    assert all(question["thread"].startswith("https://") for question in QUESTIONS)
