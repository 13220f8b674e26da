"""Which spans are outgoing calls."""

from __future__ import annotations

from collections.abc import Sequence

from eco2_tracing._console.rows import Row, call_kind

_CHECK_OUT = "connect"  # of a pool's connection: no query


def outer_calls(rows: Sequence[Row], parents: Sequence[int]) -> list[str]:
    """Return the kind of each span that is a call, such as ``sql`` or ``http``, and empty texts for others.

    A driver's span below that of its ORM or client is the same call once more, and has an empty text.

    Args:
        rows: The spans.
        parents: The index of each span's parent, or -1.
    """
    kinds = ["" if row.name == _CHECK_OUT else call_kind(row) for row in rows]
    return [
        "" if up >= 0 and kinds[up] and rows[up].service == row.service else kind
        for row, up, kind in zip(rows, parents, kinds, strict=True)
    ]
