"""Run the tests of real programs, once for each way to a Jaeger, and print what ran and what was skipped.

``python -m tests.parts`` takes Docker, the command ``jaeger``, and neither; ``python -m tests.parts docker`` one of
them; what follows ``--`` goes to pytest, such as other paths.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.support.jaeger import WAYS_VARIABLE, missing

ROOT = Path(__file__).parents[1]
WAYS = {"docker": "Docker", "command": "the command", "neither": "neither", "endpoint": "an endpoint"}
USUAL = ("docker", "command", "neither")
# By part: the modules that show something of it.
PARTS = {
    "Jaeger": ("tests.e2e.test_jaeger", "tests.sampling.test_jaeger"),
    "TLS of Jaeger and Envoy": ("tests.e2e.test_tls",),
    "rotel and otelcol": ("tests.e2e.test_collector",),
    "otelcol": ("tests.e2e.test_go_collector",),
    "Envoy, the mesh": ("tests.mesh.", "tests.tail_sampling.test_gateway"),
    "proxies": ("tests.proxies.",),
    "Compose": ("tests.compose.",),
    "Go, Flask, a browser": ("tests.interop.",),
    "databases, brokers": ("tests.libraries.", "tests.messaging."),
    "servers, processes": ("tests.lifecycle.",),
}
PATHS = (
    "tests/compose",
    "tests/e2e",
    "tests/interop",
    "tests/mesh",
    "tests/proxies",
    "tests/sampling/test_jaeger.py",
    "tests/tail_sampling/test_gateway.py",
)


def run(way: str, arguments: list[str]) -> tuple[int, list[ET.Element]]:
    """Run pytest with one way to a Jaeger; return its exit status and the tests."""
    environ = os.environ | {WAYS_VARIABLE: way}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "junit.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-r", "fE", f"--junit-xml={report}", *arguments]
        status = subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode
        cases = list(ET.parse(report).iter("testcase")) if report.exists() else []
    return status, cases


def part_of(case: ET.Element) -> str:
    """The part that a test belongs to."""
    module = f"{case.get('classname', '')}."
    return next((part for part, names in PARTS.items() if module.startswith(names)), "everything else")


def outcome(case: ET.Element) -> str:
    """Passed, failed or skipped."""
    kinds = {child.tag for child in case}
    return "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"


def in_words(counts: Counter[str]) -> str:
    """Counts in words."""
    return ", ".join(f"{counts[kind]} {kind}" for kind in ("passed", "skipped", "failed") if counts[kind])


def show(results: dict[str, list[ET.Element]]) -> None:
    """Print a row for each part, a column for each way, and the reasons of skipped tests."""
    counts = {
        way: {part: Counter(outcome(c) for c in cases if part_of(c) == part) for part in map(part_of, cases)}
        for way, cases in results.items()
    }
    found = set().union(*counts.values())
    rows = [["part", *(f"Jaeger by {WAYS[way]}" for way in results)]]
    for part in (*PARTS, "everything else"):
        if part in found:
            rows.append([part, *(in_words(counts[way].get(part, Counter())) for way in results)])
    everything = (sum(counts[way].values(), Counter()) for way in results)
    rows.append(["together", *map(in_words, everything)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print()
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for way, cases in results.items():
        print(f"\nskipped, with Jaeger by {WAYS[way]}:")
        reasons = Counter((part_of(c), s.get("message", "")) for c in cases for s in c.iter("skipped"))
        for (part, reason), count in reasons.most_common():
            print(f"  {count:3} of {part}: {reason}")


def main(arguments: list[str]) -> int:
    """Run the tests of the command line; return the worst exit status."""
    split = arguments.index("--") if "--" in arguments else len(arguments)
    ways, theirs = arguments[:split] or list(USUAL), arguments[split + 1 :] or list(PATHS)
    if unknown := set(ways) - set(WAYS):
        print(f"no way to a Jaeger: {', '.join(sorted(unknown))}; there are {', '.join(WAYS)}")
        return 2
    for way in ways:
        if way != "neither" and (reason := missing(way)) is not None:
            print(f"no Jaeger by {WAYS[way]}: {reason}; its tests will be skipped")
    results, worst = {}, 0
    for way in ways:
        print(f"\n== Jaeger by {WAYS[way]}")
        status, results[way] = run(way, theirs)
        worst = max(worst, status)
    show(results)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
