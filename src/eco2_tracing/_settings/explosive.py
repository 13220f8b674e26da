"""Finds regular expressions whose search takes time out of proportion to the text.

`re` backtracks: where one text can be matched in many ways, and then fails, all of them are tried. The expression is
turned into its position automaton (Glushkov's). Two paths of one loop that read the same text take exponential time.
A chain of loops that can read the same text takes polynomial time, which is estimated for the longest text looked at.
The construction follows Weideman et al., "Analyzing Matching Time Behavior of Backtracking Regular Expression
Matchers" (CIAA 2016).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from itertools import product
from math import factorial
from typing import Any

from eco2_tracing._settings.automaton import Automaton, TooLargeError, automaton_of
from eco2_tracing._settings.globs import LONGEST_URL, is_glob

_LEADING = r"\A\.\*\??(?=[\w/\\-])"  # a search finds the same without it
_MOST_STEPS = 10_000_000.0
_MOST_PAIRS = 200_000
_TRIAL_LENGTHS = range(6, 26, 2)
_TRIAL_S = 0.02


def takes_too_long(expression: str) -> bool:
    """Tell whether some text of `LONGEST_URL` characters takes far too long to search.

    Args:
        expression: A regular expression that compiles.
    """
    if not re.search(r"[*+{]", expression) or is_glob(expression):
        return False
    try:
        automaton = automaton_of(re.sub(_LEADING, "", expression))
    except TooLargeError:
        return False
    except Exception:  # noqa: BLE001 - the parser is private to `re`: without it, expressions are tried
        return _fails_trial(expression)
    loops = _loops(automaton)
    return any(_is_ambiguous(automaton, loop) for loop in loops) or _steps(automaton, loops) > _MOST_STEPS


def _loops(automaton: Automaton) -> list[frozenset[int]]:
    """Return the strongly connected components that contain a cycle, first ones first (Tarjan, without recursion)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    found: list[frozenset[int]] = []
    for root in range(len(automaton.follow)):
        work = [(root, iter(automaton.follow[root]))] if root not in index else []
        if work:
            index[root] = low[root] = len(index)
            stack.append(root)
            on_stack.add(root)
        while work:
            at, following = work[-1]
            for each in following:
                if each not in index:
                    index[each] = low[each] = len(index)
                    stack.append(each)
                    on_stack.add(each)
                    work.append((each, iter(automaton.follow[each])))
                    break
                if each in on_stack:
                    low[at] = min(low[at], index[each])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[at])
                if low[at] == index[at]:
                    cut = stack.index(at)
                    component, stack[cut:] = frozenset(stack[cut:]), []
                    on_stack -= component
                    if len(component) > 1 or at in automaton.follow[at]:
                        found.append(component)
    return found[::-1]


def _is_ambiguous(automaton: Automaton, loop: frozenset[int]) -> bool:
    """Tell whether a loop can read one text on two paths that begin and end at the same position."""
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
    # A pair of different positions that leads to one position: the texts of both paths are the same.
    return any(left != right for at in loop for left, right in before.get((at, at), ()))


def _steps(automaton: Automaton, loops: list[frozenset[int]]) -> float:
    """Estimate the steps of the longest chain of loops that can read the same text."""
    masks = [_union(automaton, loop) for loop in loops]
    chains: list[tuple[float, int]] = []
    longest = 0.0
    for at, loop in enumerate(loops):
        distance = None if automaton.anchored else _distance(automaton, automaton.first, loop, masks[at])
        starts = 1.0 if distance is None else LONGEST_URL / distance
        best = (starts * LONGEST_URL, 1 if distance is None else 2)
        for earlier in range(at):
            common = masks[earlier] & masks[at]
            following = {each for one in loops[earlier] for each in automaton.follow[one]} - loops[earlier]
            between = _distance(automaton, following, loop, common)
            if between is not None:
                steps, loops_before = chains[earlier]
                best = max(best, (steps * LONGEST_URL / between, loops_before + 1))
        chains.append(best)
        longest = max(longest, best[0] / factorial(best[1]))
    return longest


def _union(automaton: Automaton, loop: frozenset[int]) -> int:
    mask = 0
    for at in loop:
        mask |= automaton.masks[at]
    return mask


def _distance(automaton: Automaton, begin: Iterable[int], loop: frozenset[int], common: int) -> int | None:
    """Count the characters up to a loop, all of them among the common ones; ``None`` where there is no such way."""
    level = {at for at in begin if automaton.masks[at] & common}
    seen = set(level)
    distance = 1
    while level:
        if level & loop:
            return distance
        level = {
            each
            for at in level
            for each in automaton.follow[at]
            if each not in seen and automaton.masks[each] & common
        }
        seen |= level
        distance += 1
    return None


def _fails_trial(expression: str) -> bool:
    """Search texts of growing length, and stop at the first that takes long: the next would take a multiple."""
    search: Any = re.compile(expression).search
    units = {"a", "0", "/", " ", "ab", *re.findall(r"\w", expression)[:20]}
    for unit in sorted(units):
        for length in _TRIAL_LENGTHS:
            began = time.perf_counter()
            search(unit * length + "\0")
            if time.perf_counter() - began > _TRIAL_S:
                return True
    return False
