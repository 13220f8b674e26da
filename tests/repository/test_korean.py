"""The Korean pages have the headings, commands and settings of the English ones."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from tests.repository.snippets import FENCE
from tests.repository.sources import ROOT

PAIRS = [("README.md", "README.ko.md"), ("docs/getting-started.md", "docs/getting-started.ko.md")]
HEADING = re.compile(r"^(#+) ", re.MULTILINE)
SETTING = re.compile(r"\b(?:OTEL|ECO2_TRACING)_[A-Z0-9_]+\b")
INLINE = re.compile(r"`([^`\n]+)`")
# The benchmarks write this table into the English README only.
FIGURES = re.compile(r"<!-- bench: .*?<!-- /bench -->", re.DOTALL)


class Outline(NamedTuple):
    """The parts of a page that do not depend on its language."""

    headings: list[str]
    blocks: list[str]
    settings: set[str]
    inline: set[str]


def outline(text: str) -> Outline:
    """The levels of the headings, the code blocks, the names of settings and the code within sentences."""
    text = FIGURES.sub("", text)
    prose = FENCE.sub("", text)
    return Outline(
        headings=HEADING.findall(prose),
        blocks=[found[0] for found in FENCE.finditer(text)],
        settings=set(SETTING.findall(text)),
        inline=set(INLINE.findall(prose)),
    )


@pytest.mark.parametrize(("english", "korean"), PAIRS)
def test_a_korean_page_follows_its_english_one(english, korean):
    """Headings, code blocks, settings and code within sentences are the same, in the same order."""
    wanted, found = (outline((ROOT / page).read_text(encoding="utf-8")) for page in (english, korean))
    assert found.headings == wanted.headings
    assert found.blocks == wanted.blocks
    assert found.settings == wanted.settings
    assert found.inline == wanted.inline


@pytest.mark.parametrize(("english", "korean"), PAIRS)
def test_the_pages_are_in_two_languages(english, korean):
    """Each heading of the Korean page is in Korean, apart from names of products."""
    hangul = re.compile("[가-힣]")
    titles = re.findall(
        r"^#+ (?:\d\. )?(.+)$", FENCE.sub("", (ROOT / korean).read_text("utf-8")), re.MULTILINE
    )
    assert [title for title in titles if not hangul.search(title)] in (
        ["eco2-tracing"],
        ["Jaeger", "Kubernetes"],
    )
    assert not hangul.search((ROOT / english).read_text("utf-8").replace("[한국어]", ""))


@pytest.mark.parametrize(
    "changed",
    [
        "# A\n\n`b`\n\n```console\n$ run\n```\n\nOTEL_A\n",
        "# A\n\n## B\n\n`b`\n\n```console\n$ start\n```\n\nOTEL_A\n",
        "# A\n\n## B\n\n`b`\n\n```console\n$ run\n```\n\nOTEL_B\n",
        "# A\n\n## B\n\n`c`\n\n```console\n$ run\n```\n\nOTEL_A\n",
    ],
    ids=["heading", "command", "setting", "code"],
)
def test_a_page_that_falls_behind_is_noticed(changed):
    """A heading, a command, a setting or code that differs changes the outline."""
    page = "# A\n\n## B\n\n`b`\n\n```console\n$ run\n```\n\nOTEL_A\n"
    assert outline(changed) != outline(page)
    assert outline(page.replace("A\n", "가\n", 1)) == outline(page)
