"""Equal spans below one parent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from eco2_tracing._console.rows import Row, statement_of
from eco2_tracing._console.summary import MANY_CALLS
from eco2_tracing._view.calls import outer_calls

# A number, or what looks like a UUID or another id, between slashes.
_ID = re.compile(r"/(?:\d+|[0-9a-fA-F-]{8,})(?=[/?\s]|$)")


@dataclass(frozen=True, slots=True)
class Group:
    """Five or more equal spans below one parent.

    Attributes:
        parent: The index of the parent, or -1.
        title: What they have in common.
        spans: Their indexes.
        is_call: True if each is a call of a database or another service: the pattern N+1.
    """

    parent: int
    title: str
    spans: Sequence[int]
    is_call: bool


def without_ids(title: str) -> str:
    """Return a title with ``{id}`` in the place of each segment of a path that is an id."""
    return _ID.sub("/{id}", title)


def groups_of(rows: Sequence[Row], parents: Sequence[int], titles: Sequence[str]) -> list[Group]:
    """Return the groups, ordered by their first span.

    Spans are equal if service, kind and title are, except for the ids in a path; queries, if their statement is.

    Args:
        rows: The spans, ordered by their start.
        parents: The index of each span's parent, or -1.
        titles: What each span does.
    """
    calls = outer_calls(rows, parents)
    equal: dict[tuple[object, ...], list[int]] = {}
    for at, (row, up, title, call) in enumerate(zip(rows, parents, titles, calls, strict=True)):
        what = (call == "sql" and statement_of(row)) or without_ids(title)
        equal.setdefault((up, row.service, row.kind, call, what), []).append(at)
    return [
        Group(parents[found[0]], _common([titles[at] for at in found]), found, bool(calls[found[0]]))
        for found in equal.values()
        if len(found) >= MANY_CALLS
    ]


def _common(titles: Sequence[str]) -> str:
    first = titles[0]
    return first if all(title == first for title in titles) else without_ids(first)
