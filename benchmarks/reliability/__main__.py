"""The reliability table: this library and the stock set-up on real servers, with faults.

Prints a row for each promise, and exits with 1 when one of this library's is not held.

    python -m benchmarks.reliability [--quick] [--markdown FILE] [--list] [ROW ...]
"""

from __future__ import annotations

import argparse
import importlib
import platform
import sys
import time
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.reliability._row import Figure, Row, Scale, Variant

# Each has `ROWS`; the order is that of the table.
MODULES: tuple[str, ...] = (
    "headers",
    "values",
    "batches",
    "collector",
    "outage",
    "shutdown",
    "servers",
    "stalls",
    "forks",
    "cycles",
    "clock",
    "settings",
    "leaks",
    "external_hosts",
    "isolation",
    "flood",
    "broken",
    "lines",
)
VERSIONS = (
    "eco2-tracing",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation-fastapi",
    "fastapi",
    "uvicorn",
    "httpx",
    "grpcio",
)
VARIANTS: tuple[Variant, ...] = ("ours", "stock")


def all_rows() -> list[Row]:
    """Give every row, in the order of the table."""
    modules = (importlib.import_module(f"benchmarks.reliability.{name}") for name in MODULES)
    return [row for module in modules for row in module.ROWS]


def measured(row: Row, variant: Variant, scale: Scale) -> Figure:
    """Measure one cell; an exception is the result `failed`."""
    try:
        return row.measure(variant, scale)
    except Exception as error:  # noqa: BLE001 - the other rows go on
        traceback.print_exc()
        first = f"{error}".partition("\n")[0]
        return Figure(f"failed: {type(error).__name__} {first}"[:100], held=False)


def run(rows: Sequence[Row], scale: Scale) -> list[tuple[Row, dict[Variant, Figure]]]:
    """Measure all rows, and print each as it is known."""
    table = []
    for row in rows:
        begun = time.monotonic()
        figures = {variant: measured(row, variant, scale) for variant in VARIANTS}
        table.append((row, figures))
        print(f"{row.name}: {row.promise} [{row.goal}] ({time.monotonic() - begun:.0f} s)")
        for variant, figure in figures.items():
            print(f"  {variant:6} {figure.text}  ({'held' if figure.held else 'NOT HELD'})", flush=True)
    return table


def versions_text() -> str:
    """The versions of the measured packages."""
    python = f"Python {platform.python_version()}"
    return ", ".join([python, *(f"{name} {version(name)}" for name in VERSIONS)])


def markdown(table: Sequence[tuple[Row, dict[Variant, Figure]]]) -> str:
    """Give the table as the documentation shows it."""
    lines = [f"{time.strftime('%Y-%m-%d')}; {versions_text()}.", ""]
    lines += ["| | promise | goal | eco2-tracing | stock |", "|---|---|---|---|---|"]
    for row, figures in table:
        cells = [f"`{row.name}`", row.promise, row.goal, *(cell(figures[one]) for one in VARIANTS)]
        lines.append("| " + " | ".join(text.replace("|", "\\|") for text in cells) + " |")
    return "\n".join(lines) + "\n"


def cell(figure: Figure) -> str:
    """A result as a cell; a missed goal is bold."""
    return figure.text if figure.held else f"**{figure.text}**"


def chosen(rows: Sequence[Row], names: Sequence[str]) -> list[Row]:
    """Give the rows of those names, all where none is given."""
    known = {row.name for row in rows}
    if unknown := set(names) - known:
        raise SystemExit(
            f"no row is called {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}"
        )
    return [row for row in rows if not names or row.name in names]


def main(arguments: Sequence[str], rows: Sequence[Row]) -> int:
    """Run the scoreboard.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="benchmarks.reliability", description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help="names of rows; all without")
    parser.add_argument("--quick", action="store_true", help="small sizes: a look in passing")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there, too")
    parser.add_argument("--list", action="store_true", help="tell the rows' names")
    options = parser.parse_args(arguments)
    wanted = chosen(rows, options.rows)
    if options.list:
        print("\n".join(f"{row.name}: {row.promise}" for row in wanted))
        return 0
    print(time.strftime("%Y-%m-%d"), versions_text(), flush=True)
    table = run(wanted, Scale(full=not options.quick))
    if options.markdown:
        options.markdown.write_text(markdown(table))
    return 0 if all(figures["ours"].held for _, figures in table) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], all_rows()))
