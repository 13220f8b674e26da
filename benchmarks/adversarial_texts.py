"""CPU time of masking texts that are built to be slow.

Run it as ``python benchmarks/adversarial_texts.py [mixtures] [seed] [kinds]``.

Each text repeats one piece up to 100 KB. Pieces are the beginnings of all searches (names, separators, prefixes of
tokens, statements, messages of drivers, URLs), the texts of the tests, and random mixtures of them. Each text is
masked as one kind of field: free text (`note`), `url.full`, `url.query`, `db.query.text`, and items of a list (`list`).

For each kind it prints the number of texts, how many took longer than 5 ms and 3 ms, and the slowest ones. A time is
the least of several runs, in milliseconds of CPU time.

Arguments:
    mixtures: Number of random mixtures; 2000 if absent.
    seed: Of the random mixtures; 1 if absent.
    kinds: Comma-separated; all if absent.
"""

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from eco2_tracing._redaction import Redactor, commands, keys, messages, sql, tokens

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.redaction.test_bounds import PIECES

LENGTH = 100_000
LIMIT = 5.0
SHOWN = 5
KINDS = ("note", "url.full", "url.query", "db.query.text", "list")

NAMES = (
    *keys.STRONG, *keys.EXACT, *keys.COOKIES, *keys.KOREAN, *keys.FIELDS, "code", "value", "env", "login",
    "name", "key",
)  # fmt: skip
BEHIND_NAMES = (
    "", " ", "=", ": ", ":", '": "', "': '", "=>", "->", "%3D", "%253D", ", ", '", "', "', b'", " '", ' "', ">", " <",
    "\\", '\\\\"', "&", ";", "=;", "= ", "=(", "=[", "={", "('", '="', ": |\n ", ":\n  ", ' is "', " provided: ", "==",
    "=a;", "=a b;", "\\u003d", "\n", "\t", ".", "-", "_", "_prod ", "_prod=", "s={", "s=['",
)  # fmt: skip
BEHIND_WORDS = (
    "", " ", " '", ' "', ": \"'", "': '", " (", " ('x'", " x ", "x,", ":", "\n", ' \\"', ' "x" ', "]",
)  # fmt: skip
BEHIND_PREFIXES = ("", "x", " ", "a1", "a1b2c3d4e5f6g7h8 ", "-", "_", ".", "/", "%3D")
BEHIND_PROGRAMS = (" ", " -p", " -p ", " -P ", " x ", " -U a%", " -u a:", "/", "\n", " '")
OTHERS = (
    "bearer", "basic", "negotiate", "apikey", "digest ", "Bearer ", "eyJ", "eyJabcdefgh.", "eyJabcdefgh.a.",
    "-----BEGIN PRIVATE KEY-----", "AUTH ", "AUTH a ", "code=", "code='", "; path=", "; ", "=; ", "hook", "://", "//",
    "@", "://@", "://a:b@", "://a:", "/\\/", "?a=", "&a=", "?a=%3D", "%3A%2F%2F", "%40", "://%40", "%25", "%2540",
    "thin:", "a:b@tcp(", "'", '"', "\\'", '\\"', "(", "[", "{", "<", "`", "\\", "$$", "--", "/*", "#", "$a$", "q'[",
    "msg': 'x', 'input': ", 'msg":', "'msg", "mysql -p", "curl -u ", "htpasswd -b a b ", "openssl -pass ", "A", "é",
    "İ", "비", "0a", "a-", "a_", "0", "xSK", "SKAC", "YC", "a.", "select a, ", "select a from b ", "update a b c ",
    "set ", "insert a b into ", "EXEC a ", "call a(", "CALL a(", "set password '", "line 1: ", "LINE 1: ", "WITH 'x",
    '\nWITH "', '"name": "a", ', '"value": "x", "name": "', 'value": "', "Server=a;", "a=b; path=/; ",
)  # fmt: skip
NUMBERED = (
    "password#", "token#", "secret_#", "a#", "x-api-key-#", "?a#", "&token#", "user.#", "ghp_#", "key-#",
    "password#=x ", "token#: y ", "a#password=x&", "x#_token=y;", "&a#=%41", "?b#=c&", "key#=", '"a#_secret": "x", ',
    "--a#-token x ", "a#.token ",
)  # fmt: skip
BEGINNINGS = (
    "", "\"'=:?&@//%40%3D; -p x\\n ", "token=x select a from b where 'x' value\" input: line 1: Key (a)=( msg ",
    "@//%40= ",
)  # fmt: skip
"""Texts that make each search look at the rest."""


def spelled(prefix: str) -> str:
    """Return one text that the pattern of a token's prefix matches."""
    text = re.sub(r"\(\?:([^|)]*)[^)]*\)\??", r"\1", prefix).replace("\\", "")
    return re.sub(r"\[(.)[^\]]*\](\{\d+(,\d+)?\})?", r"\1", text)


def all_pieces() -> list[str]:
    """Return the beginnings of all searches."""
    begins = [
        *messages._DETAILS, *sql._PATTERNS, *sql.STARTS, *(word.lower() for word in sql.STARTS),
    ]  # fmt: skip
    prefixes = " ".join(prefixes for prefixes, _ in tokens._FORMS).split()
    found = [
        *PIECES, *OTHERS, *NUMBERED,
        *(name + behind + more for name in NAMES for behind in BEHIND_NAMES for more in ("", "x ")),
        *(word + behind for word in begins for behind in BEHIND_WORDS),
        *(spelled(prefix) + behind for prefix in prefixes for behind in BEHIND_PREFIXES),
        *(program + behind for program in commands._TOOLS for behind in BEHIND_PROGRAMS),
    ]  # fmt: skip
    return [piece for piece in dict.fromkeys(found) if piece]


def mixtures(pieces: list[str], count: int, source: random.Random) -> Iterator[str]:
    """Yield random sequences of two to six pieces."""
    for _ in range(count):
        parts = source.choices(pieces, k=source.choice((2, 2, 2, 3, 4, 6)))
        yield "".join(part + source.choice(("", "", " ", "\n", "'", '"', "=", ";")) for part in parts)


def repeated(piece: str, beginning: str) -> str:
    """Return a text of the whole length; a `#` in a short piece becomes a counter."""
    times = LENGTH // len(piece) + 1
    if piece in NUMBERED:
        return (beginning + "".join(piece.replace("#", str(number)) for number in range(times)))[:LENGTH]
    return (beginning + piece * times)[:LENGTH]


def least_ms(call: Callable[[], object], times: int) -> float:
    """Return the least CPU time of some calls, in milliseconds."""
    taken = []
    for _ in range(times):
        begin = time.process_time_ns()
        call()
        taken.append(time.process_time_ns() - begin)
    return min(taken) / 1e6


def masking_ms(redactor: Redactor, kind: str, text: str) -> float:
    """Return the time for one text; a slow one is measured again, because other processes disturb a single run."""
    attributes: dict[str, object] = {kind: text}
    if kind == "list":
        attributes = {kind: [text[at : at + 1000] for at in range(0, LENGTH, 1000)]}

    def call() -> None:
        redactor._statements.clear()  # known statements are remembered
        redactor.attributes(attributes)

    taken = least_ms(call, 1)
    for times, above in ((3, LIMIT / 2), (16, LIMIT * 0.8)):
        if taken > above:
            taken = min(taken, least_ms(call, times))
    return taken


def main(count: str = "2000", seed: str = "1", kinds: str = ",".join(KINDS)) -> int:
    """Measure and print the times of each kind; returns 1 if a text took longer than the limit."""
    source = random.Random(int(seed))
    redactor = Redactor()
    redactor.prepare()
    pieces = all_pieces()
    pieces += mixtures(pieces, int(count), source)
    slow = 0
    for kind in kinds.split(","):
        texts = [(piece, source.choice(BEGINNINGS)) for piece in pieces]
        times = [(masking_ms(redactor, kind, repeated(*text)), *text) for text in texts]
        times.sort(reverse=True)
        above = [sum(taken > limit for taken, *_ in times) for limit in (LIMIT, LIMIT - 1, LIMIT - 2)]
        slow += above[0]
        print(f"{kind}: {len(times)} texts of {LENGTH} characters, {above[0]} above {LIMIT:g} ms, ", end="")
        print(f"{above[1]} above {LIMIT - 1:g} ms, {above[2]} above {LIMIT - 2:g} ms")
        for taken, piece, beginning in times[:SHOWN]:
            print(f"  {taken:.2f} ms  {beginning!r} and {piece!r}")
    return int(slow > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
