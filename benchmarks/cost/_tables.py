"""The README's table and the table of growth: chosen figures of the records."""

from __future__ import annotations

from pathlib import Path

from benchmarks.cost._results import Results, Spread
from benchmarks.cost.plots import MESH
from benchmarks.variants import UNTRACED

DEFAULT = Path(__file__).parents[1] / "results" / "latest.json"
NO_VALUE = "not measured"
# What the README shows: the words, the part, its row (the first if empty), and the variants' sampling.
README = (
    (
        "requests a second of one core, in percent of the untraced application, not sampled",
        "server",
        "mesh",
        "unsampled",
    ),
    ("… sampled and exported", "server", "mesh", "sampled"),
    ("request behind the mesh, not sampled, errors kept (the default)", "request", MESH, "unsampled"),
    ("… sampled and exported", "request", MESH, "sampled"),
    ("httpx call, sampled and exported", "call", "", "sampled"),
)


def readme(results: Results) -> list[list[str]]:
    """Give the cells of the README's table: medians, and the command of each part."""
    cells = [["", "eco2-tracing", "stock", "share", ""]]
    for words, part, row, sampling in README:
        row = row or next(iter(results.rows(part)), "")
        names = [f"{one}, {sampling}" for one in ("ours", "stock")]
        share = ""
        if part == "server":
            ratios = [results.ratio(part, row, name, UNTRACED, "rps") for name in names]
            shown = [NO_VALUE if one is None else f"{one.median * 100:.0f} %" for one in ratios]
        else:
            ours, stock = (results.added(part, row, name, UNTRACED, "cpu_us") for name in names)
            shown = [NO_VALUE if one is None else f"{one.median:.0f} µs" for one in (ours, stock)]
            if ours and stock:
                share = f"{ours.median / stock.median * 100:.2g} %"
        command = "" if words.startswith("…") else f"`python -m benchmarks.cost {part}`"
        cells.append([words, *shown, share, command])
    return cells


def slope(results: Results, part: str, variant: str) -> float | None:
    """Give the CPU of one further route, header or span, in µs: between the fewest and the most."""
    rows = results.rows(part)
    ends = [results.added(part, row, variant, UNTRACED, "cpu_us") for row in (rows[:1] + rows[-1:])]
    if len(ends) < 2 or not all(ends) or rows[0] == rows[-1]:
        return None
    first, last = ends
    assert first is not None
    assert last is not None
    return (last.median - first.median) / (float(rows[-1]) - float(rows[0]))


def growth(results: Results) -> list[list[str]]:
    """Give the cells of the table of growth."""
    variants = ("ours, unsampled", "ours, sampled", "stock, unsampled", "stock, sampled")
    cells = [["", *(one.replace("ours", "eco2-tracing") for one in variants)]]
    for part, words in (("routes", "route"), ("headers", "header"), ("spans", "span")):
        slopes = [slope(results, part, variant) for variant in variants]
        cells.append([f"µs a further {words}", *("" if one is None else f"{one:.3f}" for one in slopes)])
    for part, words in (
        ("memory", "MiB added by the last half of the load, collector down"),
        ("trace_memory", "MiB added by the last half of the spans of one request"),
    ):
        rows = results.rows(part)
        line = [words]
        for variant in variants:
            found = [
                results.spread(part, row, variant, "memory_mib") for row in (rows[len(rows) // 2 :] or [""])
            ]
            line.append(f"{found[-1].median - found[0].median:.1f}" if found[0] and found[-1] else "")
        cells.append(line)
    return cells


OVERVIEW = (
    ("requests/s, of untraced", "server", "mesh", "rps"),
    ("p99, of untraced", "server", "mesh", "p99_ms"),
    ("MiB over untraced", "server", "mesh", "memory_mib"),
    ("µs a request", "request", MESH, "cpu_us"),
    ("µs a full-size request", "full", "", "cpu_us"),
    ("µs an httpx call", "call", "", "cpu_us"),
    ("µs a manual span", "span", "", "cpu_us"),
    ("µs a response of 100 chunks", "stream", "", "cpu_us"),
)


def tracers(results: Results) -> list[str]:
    """Give the tracers that were measured with sampled requests, without their sampling."""
    names = [one.variant for one in results.records if one.variant.endswith(", sampled")]
    return list(dict.fromkeys(one.removesuffix(", sampled") for one in names))


def overview(results: Results) -> list[list[str]]:
    """Give one line a tracer: its figures for unsampled and for sampled requests."""
    cells = [["unsampled / sampled", *(words for words, *_ in OVERVIEW), "ms to start"]]
    for tracer in tracers(results):
        line = [tracer.replace("ours", "eco2-tracing")]
        for _, part, row, figure in OVERVIEW:
            row = row or next(iter(results.rows(part)), "")
            compare = results.ratio if figure in {"rps", "p99_ms"} else results.added
            pair = [
                compare(part, row, f"{tracer}, {sampling}", UNTRACED, figure)
                for sampling in ("unsampled", "sampled")
            ]
            line.append(" / ".join(brief(one, figure) for one in pair))
        start = results.added(
            "startup", "imports and configuration", f"{tracer}, sampled", UNTRACED, "cpu_ms"
        )
        cells.append([*line, brief(start, "cpu_ms")])
    return cells


def brief(spread: Spread | None, figure: str) -> str:
    """Write a median alone."""
    if spread is None:
        return "-"
    if figure == "rps":
        return f"{spread.median:.0%}"
    return f"{spread.median:.2f}" if figure == "p99_ms" else f"{spread.median:.0f}"
