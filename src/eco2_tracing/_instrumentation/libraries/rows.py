"""The number of rows that a query returns, for ``ECO2_TRACING_CAPTURE=rows``."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from inspect import iscoroutine

from opentelemetry.trace import Span, get_current_span

from eco2_tracing._guard import guarded
from eco2_tracing._instrumentation.common.replacement import Instance

ROWS = "db.response.returned_rows"
_MOST = 2**63  # PyMySQL's cursor without a buffer says that it has 2**64 - 1 rows

Count = Callable[[Instance, Instance], int | None]
"""Returns the rows that a call of a driver returned, by its result and the cursor; ``None`` if they are not known."""


def counted(count: Count, result: Instance, cursor: Instance) -> Instance:
    """Record the rows of a driver's call on the current span; return its result, also a coroutine."""
    if iscoroutine(result):
        return _awaited(count, result, cursor)
    record(get_current_span(), count, result, cursor)
    return result


async def _awaited(count: Count, call: Coroutine[object, object, Instance], cursor: Instance) -> Instance:
    result = await call
    record(get_current_span(), count, result, cursor)
    return result


def record(span: Span, count: Count, result: Instance, cursor: Instance) -> None:
    """Set the number of rows on a span."""
    with guarded("counting the rows of a query"):
        rows = count(result, cursor) if span.is_recording() else None
        if rows is not None:
            span.set_attribute(ROWS, rows)


def rows_of_cursor(_: Instance, cursor: Instance) -> int | None:
    """Return the rows of a DB-API cursor that has executed a query; a statement without a result has none."""
    rows = cursor.rowcount
    return rows if cursor.description is not None and type(rows) is int and 0 <= rows < _MOST else None


def _rows_of_list(rows: list[Instance], _: Instance) -> int:
    return len(rows)


def _rows_of_row(row: Instance, _: Instance) -> int:
    return int(row is not None)


ASYNCPG: dict[str, Count] = {
    "fetch": _rows_of_list,
    "fetchmany": _rows_of_list,
    "fetchrow": _rows_of_row,
}
"""By asyncpg's method. `fetchval` does not say whether there was a row, and `execute` returns none."""
