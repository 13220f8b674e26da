"""Finds regular expressions whose search takes a time out of proportion to the text.

`re` backtracks: where a text can be matched in many ways and then fails, all of them are tried. The expression is
turned into its position automaton (Glushkov's). Two paths through one loop that match the same text take exponential
time. A chain of loops that match the same text takes polynomial time, which is estimated for `LONGEST_URL` characters.
The method is that of Weideman et al., "Analyzing Matching Time Behavior of Backtracking Regular Expression Matchers"
(CIAA 2016).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import reduce
from itertools import product
from math import factorial
from operator import or_
from typing import Any, NamedTuple

from eco2_tracing._guard import attempt
from eco2_tracing._settings.globs import LONGEST_URL, is_glob

_OTHERS = 128  # the bit of all characters beyond ASCII
_ALL = (1 << (_OTHERS + 1)) - 1
_SAMPLES = [*map(chr, range(_OTHERS)), "é"]
_CATEGORIES = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}
_MOST_POSITIONS = 20_000
_MOST_EDGES = 500_000
_FEW, _SMALL = 9, 100
_SEVERAL = 2


class TooLargeError(Exception):
    """The automaton of an expression exceeds the limits of positions and edges."""


class _Part(NamedTuple):
    """A part of the expression: `empty` counts the ways to match nothing (0, 1, or several)."""

    empty: int
    first: tuple[int, ...] = ()
    last: tuple[int, ...] = ()
    size: int = 0


_NOTHING = _Part(empty=1)


class Automaton:
    """The position automaton of an expression that compiles: each character is a position.

    Raises:
        TooLargeError: The expression has too many positions or edges.
        Exception: `re` of this Python has another parser, or a construct that is unknown here.
    """

    def __init__(self, expression: str) -> None:
        # Private, and in this place since Python 3.11; the caller has a fallback.
        parsed: Any = re._parser.parse(expression)  # type: ignore[attr-defined]
        self.masks: list[int] = []  # the characters that each position matches, one bit each
        self.follow: list[
            dict[int, int]
        ] = []  # the positions after each one, with the number of ways to get there
        # The positions of each outermost repeat, in order: the strongly connected components with a cycle.
        self.loops: list[range] = []
        self._edges = 0
        self._fold = bool(parsed.state.flags & re.IGNORECASE)
        self.first = self._sequence(parsed).first  # where a match may begin
        begin = parsed[0] if len(parsed) else ("", "")
        self.anchored = str(begin[0]) == "AT" and "BEGINNING" in str(begin[1])

    def _sequence(self, items: Iterable[Any]) -> _Part:
        whole = _NOTHING
        for operation, argument in items:
            whole = self._then(whole, self._part(str(operation), argument))
        return whole

    def _part(self, operation: str, argument: Any) -> _Part:
        match operation:
            case "MAX_REPEAT" | "MIN_REPEAT":
                return self._repeat(*argument)
            case "POSSESSIVE_REPEAT":
                body = self._sequence(argument[2])  # there is no backtracking into it
                return body._replace(empty=int(body.empty > 0 or argument[0] == 0))
            case "SUBPATTERN":
                before = self._fold
                self._fold = before or bool(argument[1] & re.IGNORECASE)
                body = self._sequence(argument[3])
                self._fold = before
                return body
            case "ATOMIC_GROUP":
                return self._sequence(argument)
            case "BRANCH":
                return _either([self._sequence(each) for each in argument[1]])
            case "ASSERT" | "ASSERT_NOT":
                return self._sequence(argument[1])._replace(empty=1)
            case "GROUPREF_EXISTS":
                return _either([self._sequence(each or ()) for each in argument[1:]])
            case "AT" | "FAILURE":
                return _NOTHING
            case "GROUPREF":
                return self._loop(self._position(_ALL))._replace(empty=1)
        return self._position(self._mask(operation, argument))

    def _repeat(self, least: int, most: int, body: Iterable[Any]) -> _Part:
        part = self._sequence(body)
        if most <= _FEW and part.size * most <= _SMALL:
            return self._counted(least, [part, *(self._sequence(body) for _ in range(most - 1))][:most])
        looped = self._loop(part)
        if part.empty and part.first and least > _FEW:
            self._loop(looped)  # any of the required repeats may be the empty ones
        return looped._replace(empty=int(part.empty > 0 or least == 0))

    def _counted(self, least: int, copies: list[_Part]) -> _Part:
        """Write a few repeats out: `x{1,3}` is `x(x(x)?)?`."""
        tail = _NOTHING
        for copy in reversed(copies[least:]):
            tail = self._then(copy, tail)
            tail = tail._replace(empty=min(tail.empty + 1, _SEVERAL))
        for copy in reversed(copies[:least]):
            tail = self._then(copy, tail)
        return tail

    def _position(self, mask: int) -> _Part:
        at = len(self.masks)
        if at >= _MOST_POSITIONS:
            raise TooLargeError
        self.masks.append(mask)
        self.follow.append({})
        return _Part(empty=0, first=(at,), last=(at,), size=1)

    def _then(self, left: _Part, right: _Part) -> _Part:
        self._connect(left.last, right.first)
        return _Part(
            empty=min(left.empty * right.empty, _SEVERAL),
            first=left.first + right.first * left.empty,
            last=right.last + left.last * right.empty,
            size=left.size + right.size,
        )

    def _loop(self, part: _Part) -> _Part:
        """Repeat the part that was built last; its positions are the last ones."""
        self._connect(part.last, part.first)
        if part.first:
            begin = min(part.first)
            self.loops = [loop for loop in self.loops if loop.start < begin]
            self.loops.append(range(begin, len(self.masks)))
        return part

    def _connect(self, lasts: Iterable[int], firsts: tuple[int, ...]) -> None:
        for last in lasts:
            follow = self.follow[last]
            for first in firsts:
                follow[first] = follow.get(first, 0) + 1
            self._edges += len(firsts)
            if self._edges > _MOST_EDGES:
                raise TooLargeError

    def _mask(self, operation: str, argument: Any) -> int:
        match operation:
            case "LITERAL":
                return self._character(argument)
            case "NOT_LITERAL":
                return _ALL & ~self._character(argument) | 1 << _OTHERS
            case "ANY":
                return _ALL & ~(1 << ord("\n"))
            case "IN":
                negated = str(argument[0][0]) == "NEGATE"
                mask = 0
                for item in argument[negated:]:
                    mask |= self._mask(str(item[0]), item[1])
                return _ALL & ~mask | 1 << _OTHERS if negated else mask
            case "RANGE":
                mask = 1 << _OTHERS if argument[1] >= _OTHERS else 0
                for code in range(argument[0], min(argument[1], _OTHERS) + 1):
                    mask |= self._character(code)
                return mask
        return _category(str(argument))  # raises for an unknown operation

    def _character(self, code: int) -> int:
        if code >= _OTHERS:
            return 1 << _OTHERS
        if not self._fold:
            return 1 << code
        return 1 << ord(chr(code).lower()) | 1 << ord(chr(code).upper())


def _either(parts: list[_Part]) -> _Part:
    return _Part(
        empty=min(sum(part.empty for part in parts), _SEVERAL),
        first=tuple(at for part in parts for at in part.first),
        last=tuple(at for part in parts for at in part.last),
        size=sum(part.size for part in parts),
    )


def _category(name: str) -> int:
    kind = _CATEGORIES[name.rpartition("_")[2]]
    matched = (bool(re.match(kind, sample)) != ("_NOT_" in name) for sample in _SAMPLES)
    return sum(1 << bit for bit, matches in enumerate(matched) if matches)


_LEADING = r"\A\.\*\??(?=[\w/\\-])"  # a search finds the same without it
_MOST_STEPS = 10_000_000.0
_MOST_PAIRS = 200_000


def takes_too_long(expression: str) -> bool:
    """Return whether the search of some text of `LONGEST_URL` characters takes far too long."""
    if not re.search(r"[*+{]", expression) or is_glob(expression):
        return False
    # The parser is private to `re`: without it, expressions are used unchecked.
    what = "checking a regular expression"
    automaton = attempt(what, _automaton, re.sub(_LEADING, "", expression), default=None)
    if automaton is None:
        return False
    return any(_is_ambiguous(automaton, loop) for loop in automaton.loops) or _steps(automaton) > _MOST_STEPS


def _automaton(expression: str) -> Automaton | None:
    try:
        return Automaton(expression)
    except TooLargeError:
        return None


def _is_ambiguous(automaton: Automaton, loop: range) -> bool:
    """Return whether two paths of a loop match the same text and begin and end at the same position."""
    follow = {at: [each for each in automaton.follow[at] if each in loop] for at in loop}
    if any(automaton.follow[at][each] > 1 for at in loop for each in follow[at]):
        return True
    masks = automaton.masks
    before: dict[tuple[int, int], list[tuple[int, int]]] = {}
    seen = {(at, at) for at in loop}
    queue = list(seen)
    for pair in queue:
        for left, right in product(follow[pair[0]], follow[pair[1]]):
            if masks[left] & masks[right]:
                after = (left, right) if left <= right else (right, left)
                before.setdefault(after, []).append(pair)
                if after not in seen:
                    seen.add(after)
                    queue.append(after)
        if len(queue) > _MOST_PAIRS:
            return False
    # A pair of different positions leads to one position: both paths matched the same text.
    return any(left != right for at in loop for left, right in before.get((at, at), ()))


def _steps(automaton: Automaton) -> float:
    """Estimate the steps of the longest chain of loops that match the same text."""
    masks = [reduce(or_, (automaton.masks[at] for at in loop)) for loop in automaton.loops]
    chains: list[tuple[float, int]] = []
    for at, loop in enumerate(automaton.loops):
        distance = None if automaton.anchored else _distance(automaton, automaton.first, loop, masks[at])
        best = (LONGEST_URL * 1.0, 1) if distance is None else (LONGEST_URL**2 / distance, 2)
        for earlier, (steps, length) in enumerate(chains):
            begin = {each for one in automaton.loops[earlier] for each in automaton.follow[one]}
            begin.difference_update(automaton.loops[earlier])
            between = _distance(automaton, begin, loop, masks[earlier] & masks[at])
            if between is not None:
                best = max(best, (steps * LONGEST_URL / between, length + 1))
        chains.append(best)
    return max((steps / factorial(length) for steps, length in chains), default=0.0)


def _distance(automaton: Automaton, begin: Iterable[int], loop: range, common: int) -> int | None:
    """Return the number of characters, all of them in ``common``, up to a loop; ``None`` where it is not reached."""
    level = {at for at in begin if automaton.masks[at] & common}
    seen = set(level)
    distance = 1
    while level:
        if not level.isdisjoint(loop):
            return distance
        following = {each for at in level for each in automaton.follow[at]} - seen
        level = {each for each in following if automaton.masks[each] & common}
        seen |= level
        distance += 1
    return None
