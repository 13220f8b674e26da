"""Finds regular expressions whose search takes a time out of proportion to the text.

`re` backtracks: where a text can be matched in many ways and then fails, all of them are tried. The expression is
turned into its position automaton. Two paths through one loop that match the same text take exponential time. A chain
of loops that match the same text takes polynomial time, which is estimated for `LONGEST_URL` characters. The method is
that of Weideman et al., "Analyzing Matching Time Behavior of Backtracking Regular Expression Matchers" (CIAA 2016).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import reduce
from itertools import product
from math import factorial
from operator import or_

from eco2_tracing._guard import attempt
from eco2_tracing._settings.automaton import Automaton, TooLargeError
from eco2_tracing._settings.globs import LONGEST_URL, is_glob

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
