"""The tables and plots of a results file.

    python -m benchmarks.cost.report [FILE] [--readme | --write]

Prints all tables in Markdown, or the README's table. With ``--write`` it writes the tables of the README
and of `docs/benchmarks.md` between their marks, and draws the plots of `docs/benchmarks/`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cost import in_process, lines, memory, whole_server
from benchmarks.cost._results import Results, Spread
from benchmarks.cost._tables import DEFAULT, growth, overview, readme
from benchmarks.cost.plots import named, write_plots
from benchmarks.variants import UNTRACED

ROOT = Path(__file__).parents[2]
MARKS = re.compile(r"(?P<begin><!-- bench: (?P<name>\w+) -->)\n.*?(?P<end><!-- /bench -->)", re.DOTALL)
CPU = ("cpu_us", "CPU µs", 1)
# By part: the title; figures with their titles, digits, and whether they are compared, as ratio or difference.
TITLES = {
    "server": "Whole server on one core: uvicorn with uvloop and httptools",
    "plain_server": "Whole server on one core: uvicorn with asyncio and h11",
    "gunicorn": "Whole server on one core: gunicorn with two uvicorn workers",
    "request": "CPU of a request",
    "full": "CPU of a full-size request",
    "call": "CPU of an httpx call",
    "span": "CPU of a manual span",
    "stream": "CPU of a streamed response",
    "export": "Spans ended and exported",
    "line": "CPU of a log line",
    "startup": "Start-up",
}
SERVER = (
    ("rps", "requests/s", 0, "ratio"),
    ("p50_ms", "p50 ms", 2, "ratio"),
    ("p99_ms", "p99 ms", 2, "ratio"),
    ("cpu_us", "CPU µs a request", 0, "ratio"),
    ("memory_mib", "MiB", 0, ""),
)
COLUMNS: dict[str, tuple[tuple[str, str, int, str], ...]] = {
    **dict.fromkeys(whole_server.COMMANDS, SERVER),
    **dict.fromkeys(in_process.PARTS, ((*CPU, "added"),)),
    "line": (("cpu_us", "CPU µs", 2, "ratio"),),
    "startup": (("cpu_ms", "CPU ms", 0, "added"), ("wall_ms", "wall ms", 0, "added")),
    "export": (("per_s", "spans/s", 0, ""), (*CPU, "added")),
    **dict.fromkeys(memory.PARTS, (("memory_mib", "MiB", 1, ""),)),
}


def base_of(part: str) -> str:
    """Give the variant that the others of a part are compared with."""
    return lines.TEXT if part == lines.PART else UNTRACED


def compared(results: Results, place: tuple[str, str, str], figure: str, how: str, digits: int) -> str:
    """Give a ratio or a difference to the base, with its range over the rounds."""
    part, row, variant = place
    if not how or variant == base_of(part):
        return ""
    compare = results.ratio if how == "ratio" else results.added
    spread = compare(part, row, variant, base_of(part), figure)
    if spread is None:
        return ""
    if how == "ratio":
        return f"{spread.median:.1%} ({spread.low:.0%} to {spread.high:.0%})"
    return f"+{spread.median:.{digits}f} ({spread.low:.{digits}f} to {spread.high:.{digits}f})"


def arrived(results: Results, part: str, row: str, variant: str) -> str:
    """Give the share of the requests whose data arrived."""
    served = results.values(part, row, variant, "served")
    counts = results.values(part, row, variant, "arrived_requests")
    return f"{min(1.0, sum(counts.values()) / sum(served.values())):.1%}" if served else ""


def table(results: Results, part: str, row: str) -> list[list[str]]:
    """Give the cells of one row's table, its head first."""
    columns = COLUMNS[part]
    head = [row]
    for _, title, _, how in columns:
        head += [title, *({"ratio": ["of the base"], "added": ["added"]}.get(how, []))]
    cells = [head + ["arrived"] * (part in whole_server.COMMANDS)]
    for variant in results.variants(part, row):
        line = [named(variant)]
        for figure, _, digits, how in columns:
            spread: Spread | None = results.spread(part, row, variant, figure)
            line.append(f"{spread.median:.{digits}f}" if spread else "")
            if how:
                line.append(compared(results, (part, row, variant), figure, how, digits))
        cells.append(line + [arrived(results, part, row, variant)] * (part in whole_server.COMMANDS))
    return cells


def print_part(results: Results, part: str) -> None:
    """Print one part's tables as text."""
    for row in results.rows(part):
        cells = table(results, part, row)
        widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
        print(f"\n{part}")
        for line in cells:
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def in_markdown(cells: Sequence[Sequence[str]]) -> list[str]:
    """Write a table in Markdown, its first line being the head."""
    head, *body = cells
    written = [f"| {' | '.join(head)} |", f"|---{'|--:' * (len(head) - 1)}|"]
    return written + [f"| {' | '.join(line)} |" for line in body]


def markdown(results: Results) -> str:
    """Give all tables."""
    meta = results.meta
    written = [
        f"{meta['date']}, {meta['machine']}; {meta['versions']}.",
        f"Command: `{meta['command']}`.",
        "",
    ]
    written += ["### Overview", "", *in_markdown(overview(results)), ""]
    for part, title in TITLES.items():
        if rows := results.rows(part):
            written += [f"### {title}", ""]
            for row in rows:
                written += [*in_markdown(table(results, part, row)), ""]
    written += ["### Growth", "", *in_markdown(growth(results)), ""]
    for name, reason in results.skipped.items():
        written.append(f"Not measured: {named(name)}: {reason}.")
    return "\n".join(written).rstrip() + "\n"


def heading(results: Results) -> list[str]:
    """Say when, where and with what was measured."""
    meta = results.meta
    return [f"{meta['date']}, {meta['machine']}, `{meta['versions']}`. Command: `{meta['command']}`."]


def short_heading(results: Results) -> list[str]:
    """Say when and with which Python and FastAPI was measured, and what the application does."""
    meta = results.meta
    versions = dict(one.split(" ", 1) for one in meta["versions"].split(", "))
    measured = (
        f"{meta['date']}, {meta['machine']}, Python {versions['python']}, FastAPI {versions['fastapi']}."
    )
    return [f"{measured} The application does next to nothing, which is the worst case."]


def sections(results: Results) -> dict[str, list[str]]:
    """Give the lines between the marks ``<!-- bench: NAME -->`` and ``<!-- /bench -->`` of the documentation."""
    server = results.rows("server")
    return {
        "heading": heading(results),
        "readme": [*in_markdown(readme(results)), "", *short_heading(results)],
        "server": in_markdown(table(results, "server", server[0])) if server else [],
        "overview": in_markdown(overview(results)),
        "lines": in_markdown(log_lines(results)) if results.rows("line") else [],
        "growth": in_markdown(growth(results)),
    }


def log_lines(results: Results) -> list[list[str]]:
    """Give the ratio of each formatter to plain text, by kind of line."""
    rows = results.rows("line")
    cells = [["of a plain text line", *rows]]
    for variant in results.variants("line", rows[0]):
        ratios = [results.ratio("line", row, variant, lines.TEXT, "cpu_us") for row in rows]
        cells.append([variant, *(f"{one.median:.2f}" if one else "" for one in ratios)])
    return cells


def filled(text: str, found: dict[str, list[str]]) -> str:
    """Write sections between the marks of a page; those without records stay as they are."""

    def section(match: re.Match[str]) -> str:
        body = found.get(match["name"])
        return f"{match['begin']}\n{chr(10).join(body)}\n{match['end']}" if body else match[0]

    return MARKS.sub(section, text)


def write(results: Results) -> None:
    """Write the documentation's tables and plots."""
    found = sections(results)
    for page in (ROOT / "README.md", ROOT / "docs" / "benchmarks.md"):
        page.write_text(filled(page.read_text(), found))
        print(f"written: {page}")
    for path in write_plots(results, ROOT / "docs" / "benchmarks"):
        print(f"drawn: {path}")


def main(arguments: Sequence[str]) -> None:
    """Print the tables; draw the plots."""
    parser = argparse.ArgumentParser(prog="benchmarks.cost.report", description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--readme", action="store_true", help="the README's table")
    parser.add_argument("--write", action="store_true", help="write the documentation's tables and plots")
    given = parser.parse_args(arguments)
    results = Results.read(given.file)
    if not results.records:
        parser.error(f"{given.file} has no records; python -m benchmarks.cost writes it")
    if given.write:
        write(results)
    else:
        print("\n".join(in_markdown(readme(results))) if given.readme else markdown(results))


if __name__ == "__main__":
    main(sys.argv[1:])
