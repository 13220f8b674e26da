"""The sentences of README and `docs/`, measured: `python -m tests.repository.prose [REVISION] [--show N] [PAGE…]`.

With a revision, the pages of that commit are measured first. `--show 10` adds the longest sentences, and those that are
passive or have no subject. Code, headings and tables are left out.

The measures are rules of thumb. A sentence is passive if a form of "be" and a participle follow each other. It has no
subject if it begins with a participle or an inflected verb, or has no verb at all. An imperative has its subject.
"""

from __future__ import annotations

import argparse
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from tests.repository.sources import ROOT

NAMED = "README.md docs"
KOREAN = ".ko.md"  # the rules are those of English
# What is no prose: front matter, comments, code, headings, tables, pictures, titles of tabs and admonitions.
NO_PROSE = re.compile(
    r"\A---\n.*?^---$|<!--.*?-->|^(?P<indent> *)(?P<fence>`{3,})[^\n]*\n.*?^(?P=indent)(?P=fence)`*[ \t]*$"
    r"|^#+ [^\n]*$|^ *\|[^\n]*$|!\[[^\]]*\]\([^)]*\)|^ *(?:===|!!!|\?\?\?)[^\n]*$|<[^>\n]+>",
    re.MULTILINE | re.DOTALL,
)
BLOCK = re.compile(r"\n\s*\n|\n(?= *(?:[-*+]|\d+\.) )")
MARKER = re.compile(r"^ *(?:[-*+>]|\d+\.) +")
END = re.compile(r"(?<=[.!?])[\"')*_]*\s+(?=[\"'(*_`\[]*[A-Z0-9`])|(?<=:)\s*$")
ABBREVIATIONS = re.compile(r"\b(?:e\.g|i\.e|etc|vs|cf|Mr|No)\.")
LINK = re.compile(r"\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])?")
WORD = re.compile(r"[A-Za-z][A-Za-z'-]*|\d[\w.,%]*|`")


def _words(text: str) -> list[str]:
    return text.split()


BE = r"(?:am|is|are|was|were|be|been|being|isn't|aren't|gets?|got)"
IRREGULAR = _words(
    "begun bound bought brought built chosen cut done drawn driven fed forgotten found given gone had heard held "
    "hidden hit kept known laid left lost made meant met overridden overwritten paid put read reset rewritten run said "
    "seen sent set shown shut split spent stuck sunk taken thrown told understood undone unset withdrawn withheld won "
    "worn written"
)
ADVERB = (
    r"(?:\s+(?:\w+ly|not|never|also|still|then|only|always|already|thus|first|too|again|both|all|even|just))*"
)
PARTICIPLE = rf"(?:\w+ed|{'|'.join(IRREGULAR)})"
PASSIVE = re.compile(rf"\b{BE}{ADVERB}\s+{PARTICIPLE}\b", re.IGNORECASE)
# Adjectives, and verbs whose participle describes the subject.
NO_PASSIVE = re.compile(
    rf"\b{BE}{ADVERB}\s+(?:need|red|speed|embed|hundred|indeed|limited|related|nested)\b", re.IGNORECASE
)
AUXILIARY = _words(
    "am is are was were be been has have had do does did can cannot could may might must shall should will would"
)
VERBS = _words(
    "accept accepts act acts add adds allow allows answer answers appear appears append appends applies apply "
    "arrive arrives ask asks assert asserts avoid avoids become becomes begin begins behave behaves belong belongs "
    "bind binds block blocks break breaks bring brings buffer buffers build builds call calls came cancel cancels "
    "capture captures carries carry cause causes change changes check checks choose chooses close closes come comes "
    "compare compares configure configures connect connects consider considers contain contains continue continues "
    "copies copy cost costs count counts cover covers create creates decide decides decode decodes define defines "
    "delete deletes deliver delivers depend depends describe describes detect detects differ differs disable "
    "disables discard discards disconnect disconnects display displays do drop drops enable enables encode encodes "
    "end ends escape escapes exclude excludes exist exists expect expects explain explains export exports extract "
    "extracts fail fails fall falls fill fills filter filters find finds finish finishes fit fits flush flushes "
    "follow follows format formats forward forwards found gave get gets give gives go goes grow grows hand handle "
    "handles hands happen happens help helps hid hide hides hold holds ignore ignores import imports include "
    "includes inherit inherits inject injects install installs instrument instruments interpret interprets join "
    "joins keep keeps kill kills knew know knows lack lacks last lasts lead leads leave leaves let lets limit "
    "limits link links list listen listens lists load loads log logs look looks lose loses make makes map maps mask "
    "masks match matches matter matters mean means measure measures mention mentions merge merges miss misses move "
    "moves name names need needs occur occurs offer offers open opens overlap override overrides own owns parse "
    "parses pass passes patch patches pause pauses pay pays place places poll polls precede precedes prefer prefers "
    "print prints process produce produces propagate propagates protect protects prove proves provide provides pull "
    "put puts queue quote quotes raise raises ran reach reaches read reads receive receives record records refuse "
    "refuses reject rejects remain remains remove removes rename renames render renders repeat repeats replace "
    "replaces report reports request requests require requires reset resets resolve resolves respect respects "
    "respond responds restart restarts restore restores retries retry return returns rotate rotates run runs sample "
    "samples saturate save saves saw say says search see seem sees send sends sent serialize serializes serve "
    "serves set sets share shares show shows skip skips sleep sleeps sort sorts stand stands start starts state "
    "states stay stays stop stops store stores strip strips submit suggest suggests support supports survive "
    "survives switch switches take takes tell tells test tests think time took trace traces travel treat treats "
    "tries truncate truncates trust trusts try turn turns type understand unset use uses verifies verify wait waits "
    "want wants warn warns weight weights went win wins work works wrap wraps write writes yield yields"
)
FINITE = frozenset({*AUXILIARY, *VERBS, "doesn't", "don't", "isn't", "aren't", "can't", "won't"})
INFLECTED = frozenset(
    {word for word in VERBS if re.search("[^s]s$", word)} | {"is", "are", "was", "were", "has", "does"}
)
# Words that end like an inflected verb or a participle, and begin a sentence as its subject.
NOUNS = frozenset(
    _words(
        "answers calls changes checks costs counts exports imports links lists logs names needs processes queues reads "
        "records reports requests returns runs samples sets settings shares starts states stores tests traces types "
        "uses limits matches measures need unrelated builds copies covers ends filters forwards guarantees "
        "listed loads nested passes patches polls restarts searches"
    )
)


@dataclass(frozen=True)
class Sentence:
    """A sentence, its page and its line."""

    page: str
    line: int
    text: str

    @property
    def words(self) -> list[str]:
        return WORD.findall(self.text)

    @property
    def is_passive(self) -> bool:
        return any(not NO_PASSIVE.match(found[0]) for found in PASSIVE.finditer(self.text))

    @property
    def has_no_subject(self) -> bool:
        words = [word.lower() for word in self.words]
        first, has_verb = words[0], any(word in FINITE or re.fullmatch(r"\w{3,}ed", word) for word in words)
        is_participle = re.fullmatch(PARTICIPLE, first) and first not in VERBS  # "set" is an imperative
        if first not in NOUNS and (first in INFLECTED or is_participle):
            return not any(word in FINITE for word in words[1:]) or first in INFLECTED
        return not has_verb and not self.text.endswith(":")  # a label is no sentence


def sentences(page: str, text: str) -> Iterator[Sentence]:
    """The sentences of a page; code in a line is one word."""
    blank = NO_PROSE.sub(lambda found: "\n" * found[0].count("\n"), text)
    start = 0
    for found in [*BLOCK.finditer(blank), None]:
        block, begin = blank[start : found.start() if found else None], start
        start = found.end() if found else start
        line = blank.count("\n", 0, begin + len(block) - len(block.lstrip())) + 1
        plain = re.sub(r"``?[^`]+``?", "`", LINK.sub(r"\1", MARKER.sub("", block.strip("\n"))))
        plain = ABBREVIATIONS.sub(lambda found: found[0].replace(".", ""), plain)
        for each in END.split(" ".join(plain.split())):
            if len(WORD.findall(each)) > 2 and each.rstrip("\"')*_")[-1:] in ".!?:":
                yield Sentence(page, line, each)


def pages(revision: str | None, only: Iterable[str]) -> Iterator[Sentence]:
    """The sentences of the pages of a commit, or of the files as they are."""
    wanted = tuple(only) or tuple(NAMED.split())
    if revision is None:
        paths = [path for name in wanted for path in _files(ROOT / name)]
        for path in paths:
            yield from sentences(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
        return
    names = _git("ls-tree", "-r", "--name-only", revision, "--", *wanted).splitlines()
    for name in names:
        if name.endswith(".md") and not name.endswith(KOREAN):
            yield from sentences(name, _git("show", f"{revision}:{name}"))


def _files(path: Path) -> list[Path]:
    found = sorted(path.rglob("*.md")) if path.is_dir() else [path]
    return [each for each in found if not each.name.endswith(KOREAN)]


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True, text=True).stdout


def measures(found: list[Sentence]) -> str:
    """One line of figures."""
    lengths = [len(each.words) for each in found]
    unclear = sum(each.is_passive or each.has_no_subject for each in found)
    return (
        f"{len(found)} sentences, longest {max(lengths)} words, mean {mean(lengths):.1f}, "
        f"over 25 words {sum(length > 25 for length in lengths)}, "
        f"passive or without subject {unclear / len(found):.0%} "
        f"(passive {sum(each.is_passive for each in found)}, "
        f"without subject {sum(each.has_no_subject for each in found)})"
    )


def show(found: list[Sentence], count: int) -> None:
    """Print the sentences that a writer may want to change."""
    kinds = {
        "longest": sorted(found, key=lambda each: -len(each.words)),
        "passive": [each for each in found if each.is_passive],
        "without subject": [each for each in found if each.has_no_subject],
    }
    for kind, chosen in kinds.items():
        print(f"\n{kind}:")
        for each in chosen[:count]:
            print(f"  {each.page}:{each.line} ({len(each.words)}) {each.text}")


def main() -> None:
    """Print the measures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="REVISION or PAGE")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print N sentences of each kind")
    parser.add_argument("--by-page", action="store_true", help="one line for each page")
    options = parser.parse_args()
    only = [name for name in options.names if (ROOT / name).exists()]
    revisions = [name for name in options.names if name not in only]
    for revision in [*revisions, None]:
        found = list(pages(revision, only))
        print(f"{revision or 'now'}: {measures(found)}")
    if options.by_page:
        for page in dict.fromkeys(each.page for each in found):
            print(f"{page}: {measures([each for each in found if each.page == page])}")
    if options.show:
        show(found, options.show)


if __name__ == "__main__":
    main()
