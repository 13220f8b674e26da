"""The page of the command lists what the command finds."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "eco2_tracing" / "_doctor"


def test_every_finding_is_listed():
    """Each id in the code is a row of the page, and each row an id; every page that is named exists."""
    code = "".join(file.read_text() for file in SOURCES.glob("*.py"))
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", (ROOT / "docs" / "doctor.md").read_text(), re.MULTILINE)
    rows = [each for each in rows if not each.startswith("--")]
    assert len(rows) == len(set(rows))
    assert [each for each in rows if f'"{each}"' not in code] == []
    named = set(re.findall(r'"([a-z0-9]+(?:-[a-z0-9]+)+)"', code))
    assert sorted(named - set(rows) - NO_IDS) == []
    pages = set(re.findall(r'"(docs/[a-z0-9/-]+\.md)"', code))
    assert sorted(each for each in pages if not (ROOT / each).exists()) == []


NO_IDS = {
    "ddtrace-run", "elastic-apm", "elasticapm-run", "newrelic-admin", "opentelemetry-instrument",
    "eco2-tracing", "sentry-sdk", "utf-8", "x-b3-flags", "x-b3-sampled", "x-b3-traceid",
}  # fmt: skip
