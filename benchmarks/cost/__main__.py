"""Measure what tracing costs, in one run: this library, the untraced application, and other tracers.

    python -m benchmarks.cost [PART ...] [--quick] [--json FILE] [--append] [--variants WORD ...]

Records go to the JSON file after each round, so that a run can be cut. `--append` adds to the
file's records; without it, the records of the measured parts are replaced.
"""

from __future__ import annotations

import argparse
import importlib
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cost._results import Results, describe
from benchmarks.cost._run import Options
from benchmarks.cost.report import print_part
from benchmarks.peers import Variant, missing
from benchmarks.variants import chosen

# Each has `measure`; the order is that of the report.
PARTS = {"server": "whole_server"}
JSON = Path(__file__).parents[1] / "results" / "latest.json"


def installed(variants: Sequence[Variant]) -> tuple[list[Variant], dict[str, str]]:
    """Tell which variants can be measured, and why the others cannot."""
    absent = {one.name: missing(one) for one in variants}
    found = [one for one in variants if not absent[one.name]]
    return found, {name: f"{package} is not installed" for name, package in absent.items() if package}


def run(parts: Sequence[str], options: Options, path: Path, results: Results) -> None:
    """Measure parts, write each record as it comes, and print each part's table."""
    for part in parts:
        begun = time.monotonic()
        module = importlib.import_module(f"benchmarks.cost.{PARTS[part]}")
        for record in module.measure(options):
            results.records.append(record)
            results.write(path)
        print_part(results, part)
        print(f"({part}: {time.monotonic() - begun:.0f} s)\n", flush=True)


def main(arguments: Sequence[str]) -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(prog="benchmarks.cost", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all without")
    parser.add_argument("--quick", action="store_true", help="few and short rounds: under 4 minutes for all")
    parser.add_argument("--json", type=Path, default=JSON, metavar="FILE")
    parser.add_argument("--append", action="store_true", help="add rounds to those in the file")
    parser.add_argument("--variants", nargs="+", metavar="WORD", help="those whose name contains a word")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--seconds", type=int, default=0, help="how long a load on a server lasts")
    parser.add_argument(
        "--workers", type=int, default=1, help="of the whole server; gunicorn if more than one"
    )
    given = parser.parse_args(arguments)
    parts = given.parts or list(PARTS)
    if unknown := set(parts) - PARTS.keys():
        parser.error(f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    variants, skipped = installed(chosen(given.variants))
    for name, reason in skipped.items():
        print(f"skipped: {name}: {reason}")
    results = Results.read(given.json)
    if not given.append:
        results.drop(parts)
    results.meta = describe(shlex.join(["python", "-m", "benchmarks.cost", *arguments]))
    results.skipped = skipped
    run_name = f"{time.time():.0f}"
    options = Options(variants, given.quick, run_name, given.rounds, given.seconds, given.workers)
    run(parts, options, given.json, results)


if __name__ == "__main__":
    main(sys.argv[1:])
