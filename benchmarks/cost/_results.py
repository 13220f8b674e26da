"""Measurements as flat records in a JSON file, and the ratios that are read from them."""

from __future__ import annotations

import json
import platform
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

PACKAGES = (
    "eco2-tracing",
    "fastapi",
    "starlette",
    "uvicorn",
    "uvloop",
    "httptools",
    "httpx",
    "grpcio",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation-fastapi",
    "logfire",
    "ddtrace",
    "elastic-apm",
    "sentry-sdk",
)


@dataclass(frozen=True)
class Record:
    """One measurement of one variant.

    Attributes:
        part: Which benchmark.
        row: Which of its rows.
        round: Variants of the same round were measured one after the other; ratios are taken within it.
        variant: The variant's name.
        figures: The numbers by their names.
    """

    part: str
    row: str
    round: str
    variant: str
    figures: dict[str, float]


@dataclass(frozen=True)
class Spread:
    """A median and the range around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarize values."""
        return cls(median(values), min(values), max(values))


@dataclass
class Results:
    """All records of a run, and what they were measured with.

    Attributes:
        meta: Date, versions, machine and command.
        skipped: Variants that were not measured, with the reason.
    """

    meta: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read a file; empty if there is none."""
        if not path.exists():
            return cls()
        found = json.loads(path.read_text())
        records = [Record(**one) for one in found["records"]]
        return cls(found["meta"], found["skipped"], records)

    def write(self, path: Path) -> None:
        """Write the file, a record a line."""
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = ",\n".join(json.dumps(asdict(record)) for record in self.records)
        head = json.dumps({"meta": self.meta, "skipped": self.skipped}, indent=1)
        path.write_text(f'{head[:-2]},\n "records": [\n{lines}\n]}}\n')

    def rows(self, part: str) -> list[str]:
        """Give the rows of a part, in the order in which they were measured."""
        return list(dict.fromkeys(one.row for one in self.records if one.part == part))

    def variants(self, part: str, row: str) -> list[str]:
        """Give the variants of a row, in the order in which they were first measured."""
        found = (one for one in self.records if one.part == part and one.row == row)
        return list(dict.fromkeys(one.variant for one in found))

    def values(self, part: str, row: str, variant: str, figure: str) -> dict[str, float]:
        """Give one figure of a variant by round."""
        return {
            one.round: one.figures[figure]
            for one in self.records
            if (one.part, one.row, one.variant) == (part, row, variant) and figure in one.figures
        }

    def spread(self, part: str, row: str, variant: str, figure: str) -> Spread | None:
        """Give the median of a figure and its range."""
        values = self.values(part, row, variant, figure)
        return Spread.of(list(values.values())) if values else None

    def ratio(self, part: str, row: str, variant: str, base: str, figure: str) -> Spread | None:
        """Compare a figure with another variant's of the same round: the median of these pairs."""
        ours, theirs = (self.values(part, row, one, figure) for one in (variant, base))
        pairs = [ours[key] / theirs[key] for key in ours if theirs.get(key)]
        return Spread.of(pairs) if pairs else None

    def added(self, part: str, row: str, variant: str, base: str, figure: str) -> Spread | None:
        """Subtract another variant's figure of the same round."""
        ours, theirs = (self.values(part, row, one, figure) for one in (variant, base))
        pairs = [ours[key] - theirs[key] for key in ours if key in theirs]
        return Spread.of(pairs) if pairs else None

    def drop(self, parts: Iterable[str]) -> None:
        """Forget the records of some parts."""
        gone = set(parts)
        self.records = [one for one in self.records if one.part not in gone]


def by_round(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Group records."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for one in records:
        groups[one.round].append(one)
    return groups


def describe(command: str) -> dict[str, str]:
    """Say when, where and with what is measured."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "date": time.strftime("%Y-%m-%d"),
        "command": command,
        "machine": _processor(),
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} x {models[0]}" if models else platform.machine()
