"""Tables of the records, as text and as Markdown.

python -m benchmarks.cost.report [FILE]
"""

from __future__ import annotations

from benchmarks.cost._results import Results, Spread
from benchmarks.variants import UNTRACED

# By part: the figures of its table, with title and unit, and whether the ratio to the untraced one is shown.
COLUMNS = {
    "server": (
        ("rps", "requests/s", 0, True),
        ("p50_ms", "p50 ms", 2, True),
        ("p99_ms", "p99 ms", 2, True),
        ("cpu_us", "CPU µs", 0, True),
        ("memory_mib", "MiB", 0, False),
    ),
}


def percent(spread: Spread | None) -> str:
    """A ratio with its range."""
    return f"{spread.median:.1%} ({spread.low:.1%} to {spread.high:.1%})" if spread else ""


def print_part(results: Results, part: str) -> None:
    """Print one part's tables."""
    for row in results.rows(part):
        print(f"{part}: {row}")
        for variant in results.variants(part, row):
            cells = []
            for figure, title, digits, compared in COLUMNS[part]:
                spread = results.spread(part, row, variant, figure)
                ratio = results.ratio(part, row, variant, UNTRACED, figure) if compared else None
                if spread:
                    cells.append(f"{title} {spread.median:.{digits}f} {percent(ratio)}")
            served = results.values(part, row, variant, "served")
            arrived = results.values(part, row, variant, "arrived_requests")
            if served:
                cells.append(f"arrived {sum(arrived.values()) / sum(served.values()):.1%}")
            print(f"  {variant:34} " + " | ".join(cells))
