"""The position automaton of a regular expression, with the number of ways from one position to the next."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_OTHERS = 128  # the bit of all characters beyond ASCII
_ALL = (1 << (_OTHERS + 1)) - 1
_SAMPLES = [*map(chr, range(_OTHERS)), "é"]
_MOST_POSITIONS = 20_000
_MOST_EDGES = 500_000
_FEW, _SMALL = 9, 100


class TooLargeError(Exception):
    """The automaton of an expression is too large to be looked at."""


@dataclass(slots=True)
class Automaton:
    """Positions are the characters of an expression.

    Attributes:
        masks: The characters that each position reads, a bit each.
        follow: The positions that come after each, with the number of ways to get there.
        first: The positions where a match may begin.
        anchored: Whether a match begins at the beginning of the text alone.
    """

    masks: list[int] = field(default_factory=list)
    follow: list[dict[int, int]] = field(default_factory=list)
    first: tuple[int, ...] = ()
    anchored: bool = False


class _Part(NamedTuple):
    empty: int  # in how many ways it reads nothing: none, one, or several
    first: tuple[int, ...]
    last: tuple[int, ...]
    size: int = 0


_NOTHING = _Part(empty=1, first=(), last=())
_SEVERAL = 2


def automaton_of(expression: str) -> Automaton:
    """Build the automaton of an expression.

    Args:
        expression: A regular expression that compiles.

    Raises:
        TooLargeError: It has too many positions.
        Exception: `re` of this Python is made in another way.
    """
    # Private, and in this place since Python 3.11; the caller has something else to do without it.
    parsed: Any = re._parser.parse(expression)  # type: ignore[attr-defined]
    builder = _Builder(bool(parsed.state.flags & re.IGNORECASE))
    whole = builder.sequence(parsed)
    items = list(parsed)
    builder.automaton.first = whole.first
    builder.automaton.anchored = bool(items) and str(items[0][0]) == "AT" and "BEGINNING" in str(items[0][1])
    return builder.automaton


class _Builder:
    """Turns the tree that `re` parses into positions."""

    def __init__(self, fold: bool) -> None:
        self.automaton = Automaton()
        self._fold = fold
        self._edges = 0

    def sequence(self, items: Iterable[Any]) -> _Part:
        """Build parts that stand one after the other."""
        whole = _NOTHING
        for operation, argument in items:
            whole = self._then(whole, self._part(str(operation), argument))
        return whole

    def _part(self, operation: str, argument: Any) -> _Part:
        match operation:
            case "MAX_REPEAT" | "MIN_REPEAT":
                return self._repeat(*argument)
            case "POSSESSIVE_REPEAT":
                body = self.sequence(argument[2])  # nothing is tried again inside of it
                return body._replace(empty=int(body.empty > 0 or argument[0] == 0))
            case "SUBPATTERN":
                return self._grouped(argument)
            case "ATOMIC_GROUP":
                return self.sequence(argument)
            case "BRANCH":
                return self._either([self.sequence(each) for each in argument[1]])
            case "ASSERT" | "ASSERT_NOT":
                return self.sequence(argument[1])._replace(empty=1)
            case "GROUPREF_EXISTS":
                return self._either([self.sequence(each or ()) for each in argument[1:]])
            case "AT" | "FAILURE":
                return _NOTHING
            case "GROUPREF":
                return self._loop(self._position(_ALL))._replace(empty=1)
        return self._position(self._mask(operation, argument))

    def _grouped(self, argument: Any) -> _Part:
        before = self._fold
        self._fold = before or bool(argument[1] & re.IGNORECASE)
        body = self.sequence(argument[3])
        self._fold = before
        return body

    def _repeat(self, least: int, most: int, body: Any) -> _Part:
        part = self.sequence(body)
        if most <= _FEW and part.size * most <= _SMALL:
            return self._counted(least, most, part, body)
        looped = self._loop(part)
        if part.empty and part.first and least > _FEW:
            self._loop(looped)  # which of the required repeats are empty is a matter of choice
        return looped._replace(empty=int(part.empty > 0 or least == 0))

    def _counted(self, least: int, most: int, part: _Part, body: Any) -> _Part:
        """Write a few repeats out: `x{1,3}` is `x(x(x)?)?`."""
        copies = [part, *(self.sequence(body) for _ in range(most - 1))][:most]
        tail = _NOTHING
        for copy in reversed(copies[least:]):
            tail = self._then(copy, tail)
            tail = tail._replace(empty=min(tail.empty + 1, _SEVERAL))
        whole = _NOTHING
        for copy in copies[:least]:
            whole = self._then(whole, copy)
        return self._then(whole, tail)

    def _position(self, mask: int) -> _Part:
        at = len(self.automaton.masks)
        if at >= _MOST_POSITIONS:
            raise TooLargeError
        self.automaton.masks.append(mask)
        self.automaton.follow.append({})
        return _Part(empty=0, first=(at,), last=(at,), size=1)

    def _then(self, left: _Part, right: _Part) -> _Part:
        self._connect(left.last, right.first)
        return _Part(
            empty=min(left.empty * right.empty, _SEVERAL),
            first=left.first + right.first * left.empty,
            last=right.last + left.last * right.empty,
            size=left.size + right.size,
        )

    def _either(self, parts: list[_Part]) -> _Part:
        return _Part(
            empty=min(sum(part.empty for part in parts), _SEVERAL),
            first=tuple(at for part in parts for at in part.first),
            last=tuple(at for part in parts for at in part.last),
            size=sum(part.size for part in parts),
        )

    def _loop(self, part: _Part) -> _Part:
        self._connect(part.last, part.first)
        return part

    def _connect(self, lasts: Iterable[int], firsts: tuple[int, ...]) -> None:
        for last in lasts:
            follow = self.automaton.follow[last]
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
                return self._set(argument)
            case "RANGE":
                mask = 0
                for code in range(argument[0], min(argument[1], _OTHERS) + 1):
                    mask |= self._character(code)
                return mask | (1 << _OTHERS if argument[1] >= _OTHERS else 0)
        return _category(str(argument))  # raises where the operation is another one

    def _set(self, items: Any) -> int:
        mask, negated = 0, False
        for operation, argument in items:
            if str(operation) == "NEGATE":
                negated = True
            else:
                mask |= self._mask(str(operation), argument)
        return _ALL & ~mask | 1 << _OTHERS if negated else mask

    def _character(self, code: int) -> int:
        if code >= _OTHERS:
            return 1 << _OTHERS
        if not self._fold:
            return 1 << code
        return 1 << ord(chr(code).lower()) | 1 << ord(chr(code).upper())


_CATEGORIES = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}


def _category(name: str) -> int:
    kind = _CATEGORIES[name.rpartition("_")[2]]
    mask = 0
    for bit, sample in enumerate(_SAMPLES):
        if (re.match(kind, sample) is not None) != ("_NOT_" in name):
            mask |= 1 << bit
    return mask
