"""Spans at a rate: each is held, or counted as removed or refused."""

from __future__ import annotations

import subprocess
import sys

from eco2_tracing._cli.services import examples


def test_no_span_is_lost_uncounted():
    """As the benchmark measures it for a minute."""
    command = [sys.executable, "-m", "benchmarks.view.ingest", "--rate", "5000", "--seconds", "2"]
    done = subprocess.run(
        command, cwd=examples().parent, capture_output=True, text=True, check=True, timeout=60
    )
    figures = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert int(figures["spans_sent"]) > 9000
    assert (figures["requests_failed_spans"], figures["refused"]) == ("0", "{}")
    assert figures["traces_lost_uncounted"] == "0"
    assert int(figures["traces_held"]) > 900
