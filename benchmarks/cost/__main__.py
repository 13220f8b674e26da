"""Measure what tracing costs, in one run: this library, the untraced application, and other tracers.

    python -m benchmarks.cost [PART ...] [--quick] [--json FILE] [--append] [--variants WORD ...]

A run that is ended by SIGTERM or Ctrl-C leaves what it has measured in the JSON file. `--append` adds
to the file's records; without it, the records of the measured parts are replaced.
"""

from __future__ import annotations

import argparse
import importlib
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from benchmarks.cost import in_process, memory, whole_server
from benchmarks.cost._results import Results, describe
from benchmarks.cost._run import Options
from benchmarks.cost._tables import DEFAULT
from benchmarks.cost.plots import write_plots
from benchmarks.cost.report import print_part
from benchmarks.peers import Variant, missing
from benchmarks.variants import chosen

# The module that measures each part; the order is that of the report.
PARTS = {
    **dict.fromkeys(whole_server.COMMANDS, "whole_server"),
    **dict.fromkeys(in_process.PARTS, "in_process"),
    "line": "lines",
    "startup": "startup",
    **dict.fromkeys(memory.PARTS, "memory"),
}


def installed(variants: Sequence[Variant]) -> tuple[list[Variant], dict[str, str]]:
    """Tell which variants can be measured, and why the others cannot."""
    absent = {one.name: missing(one) for one in variants}
    found = [one for one in variants if not absent[one.name]]
    return found, {name: f"{package} is not installed" for name, package in absent.items() if package}


def run(parts: Sequence[str], options: Options, path: Path, results: Results) -> None:
    """Measure parts, write the records, and print each part's table."""
    for name, group in groupby(parts, PARTS.__getitem__):
        begun, measured = time.monotonic(), tuple(group)
        module = importlib.import_module(f"benchmarks.cost.{name}")
        try:
            for record in module.measure(replace(options, parts=measured)):
                results.records.append(record)
        finally:
            results.write(path)
        for part in measured:
            print_part(results, part)
        print(f"({', '.join(measured)}: {time.monotonic() - begun:.0f} s)\n", flush=True)


def main(arguments: Sequence[str]) -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(prog="benchmarks.cost", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all without")
    parser.add_argument("--quick", action="store_true", help="few and short rounds: under 4 minutes for all")
    parser.add_argument("--json", type=Path, default=DEFAULT, metavar="FILE")
    parser.add_argument("--append", action="store_true", help="add rounds to those in the file")
    parser.add_argument("--variants", nargs="+", metavar="WORD", help="those whose name contains a word")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--seconds", type=int, default=0, help="how long a load on a server lasts")
    given = parser.parse_args(arguments)
    parts = [part for part in PARTS if part in given.parts] or list(PARTS)
    if unknown := set(given.parts) - PARTS.keys():
        parser.error(f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    variants, skipped = installed(chosen(given.variants))
    for name, reason in skipped.items():
        print(f"skipped: {name}: {reason}")
    results = Results.read(given.json)
    if not given.append:
        results.drop(parts)
    commands = [results.meta["command"]] if results.records else []
    commands.append(shlex.join(["python", "-m", "benchmarks.cost", *arguments]))
    results.meta = describe("; ".join(dict.fromkeys(commands)))
    results.skipped = skipped
    run_name = f"{time.time():.0f}"
    options = Options((), variants, given.quick, run_name, given.rounds, given.seconds)
    run(parts, options, given.json, results)
    for path in write_plots(results, given.json.parent):
        print(f"drawn: {path}")
    print(f"records: {given.json}; python -m benchmarks.cost.report prints them in Markdown")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main(sys.argv[1:])
