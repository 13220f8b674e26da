"""The plots of the documentation, drawn from the records."""

from __future__ import annotations

from pathlib import Path

from benchmarks.cost._results import Results, Spread
from benchmarks.cost._svg import Bar, Line, Panel, bars, panels
from benchmarks.variants import UNTRACED

# Label and colour of the lines.
LINES = {
    "ours, sampled": ("eco2-tracing, sampled", 0),
    "ours, unsampled": ("eco2-tracing, unsampled", 1),
    "stock, sampled": ("stock, sampled", 2),
    "stock, unsampled": ("stock, unsampled", 3),
    UNTRACED: ("untraced", 4),
}
MESH = "mesh (21 headers, 100 routes)"


def named(variant: str) -> str:
    """Give a variant's name as the documentation writes it."""
    return variant.replace("ours", "eco2-tracing")


def note_of(results: Results) -> str:
    """Say when and with what was measured."""
    wanted = ("python", "fastapi", "uvicorn", "opentelemetry-sdk")
    versions = [one for one in results.meta["versions"].split(", ") if one.split(" ")[0] in wanted]
    return f"{results.meta['date']}; {', '.join(versions)}; nox -s bench"


def _groups(spreads: dict[str, Spread | None], scale: float = 1) -> list[list[Bar]]:
    """Put the unsampled and the sampled variant of each tracer beside each other."""
    groups: dict[str, list[Bar]] = {}
    for variant, spread in spreads.items():
        tracer, _, sampling = variant.partition(", ")
        if spread is None or sampling not in {"unsampled", "sampled"}:
            continue
        colour = (1 if sampling == "unsampled" else 0) + (0 if tracer.startswith("ours") else 2)
        values = (spread.median * scale, spread.low * scale, spread.high * scale)
        groups.setdefault(tracer, []).append(Bar(named(variant), *values, colour))
    return list(groups.values())


LEGEND = ("eco2-tracing, sampled", "unsampled", "another tracer, sampled", "unsampled")


def server_plot(results: Results) -> str:
    """Requests a second, of the untraced application's."""
    variants = results.variants("server", "mesh")
    spreads = {one: results.ratio("server", "mesh", one, UNTRACED, "rps") for one in variants}
    title = "Requests a second of one uvicorn on one core, in percent of the untraced application's"
    return bars(title, note_of(results), "%", _groups(spreads, 100), LEGEND)


def request_plot(results: Results) -> str:
    """CPU that tracing adds to a request."""
    variants = results.variants("request", MESH)
    spreads = {one: results.added("request", MESH, one, UNTRACED, "cpu_us") for one in variants}
    title = "CPU that tracing adds to a request behind a mesh (21 headers, 100 routes)"
    return bars(title, note_of(results), "µs", _groups(spreads), LEGEND)


def lines_of(results: Results, part: str, figure: str, *, added: bool) -> list[Line]:
    """Give the lines of one growth chart; ``added`` subtracts the untraced application's figure."""
    lines = []
    for variant, (label, colour) in LINES.items():
        points = []
        for row in results.rows(part):
            spread = (
                results.added(part, row, variant, UNTRACED, figure)
                if added
                else results.spread(part, row, variant, figure)
            )
            if spread and not (added and variant == UNTRACED):
                points.append((float(row), max(spread.median, 0.0)))
        if points:
            lines.append(Line(label, points, colour))
    return lines


def growth_plot(results: Results) -> str:
    """How cost grows with routes, headers, spans and load."""
    charts = [
        Panel("Routes", "routes", "added µs a request", lines_of(results, "routes", "cpu_us", added=True)),
        Panel("Headers", "headers", "added µs a request", lines_of(results, "headers", "cpu_us", added=True)),
        Panel("Spans", "spans", "added µs a request", lines_of(results, "spans", "cpu_us", added=True)),
        Panel(
            "Collector down",
            "sampled requests",
            "MiB of the process",
            lines_of(results, "memory", "memory_mib", added=False),
        ),
        Panel(
            "One long trace",
            "spans of one unsampled request",
            "MiB of the process",
            lines_of(results, "trace_memory", "memory_mib", added=False),
        ),
    ]
    return panels(
        "What cost and memory grow with", note_of(results), [chart for chart in charts if chart.lines]
    )


PLOTS = {"server": server_plot, "request": request_plot, "growth": growth_plot}
NEEDED = {"server": ("server", "mesh"), "request": ("request", MESH), "growth": ("routes", "1")}


def write_plots(results: Results, folder: Path) -> list[Path]:
    """Draw what was measured into files of a folder; give their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, draw in PLOTS.items():
        if results.variants(*NEEDED[name]):
            path = folder / f"{name}.svg"
            path.write_text(draw(results))
            written.append(path)
    return written
